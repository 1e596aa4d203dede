"""Records of every topic, built by hand, with what is awkward in each: Chinese, NULLs, bytes that are not text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from schemas import topics
from schemas.actions import ActionKind, AlarmAction
from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus
from schemas.notices import Notice, notice_id
from schemas.records import Records
from schemas.registry import ChangeNumber, ComponentEntry, DeviceEntry
from schemas.rejects import RejectEvent

TOPIC_ID = UUID("12345678-9abc-def0-fedc-ba9876543210")
NOON = 1_789_963_200_000
"""2026-09-21 04:00 UTC, noon in Shanghai."""
JULY = 1_785_542_399_000
"""2026-07-31 23:59:59 UTC; a second later it is August."""


def records(
    topic: str,
    values: Sequence[bytes | None],
    *,
    partition: int = 3,
    first: int = 100,
    timestamps: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
    headers: Sequence[Sequence[tuple[str, bytes | None]]] | None = None,
) -> Records:
    count = len(values)
    return Records(
        topic=topic,
        partition=partition,
        offsets=np.arange(first, first + count),
        timestamps=np.array(timestamps if timestamps is not None else [NOON] * count, dtype=np.int64),
        keys=keys if keys is not None else [b"LY-1"] * count,
        values=values,
        headers=headers if headers is not None else [()] * count,
    )


def report(**fields: Any) -> dict[str, Any]:
    return {"v": 1, "device_id": "LY-1", "device_kind": "electrical_monitor", "event_ts": NOON} | fields


def telemetry(*reports: Any, **more: Any) -> Records:
    return records(topics.TELEMETRY.name, [orjson.dumps(one) for one in reports], **more)


def alarm(**fields: Any) -> Alarm:
    values: dict[str, Any] = {
        "v": 1,
        "alarm_id": "a" * 32,
        "event": "opened",
        "severity": 1,
        "severity_label": "警告",
        "kind": "temperature",
        "device_id": "LY-1",
        "device_kind": "electrical_monitor",
        "quantity": "temperature_c",
        "component": 2,
        "episode": NOON - 4_000,
        "event_ts": NOON,
        "onset_ts": NOON - 5_000,
        "ingest_ts": NOON + 200,
        "detected_ts": NOON + 300,
        "by_arrival": False,
        "late": False,
        "value": 61.25,
        "limit": 60.0,
        "peak": 61.25,
        "baseline": None,
        "limit_from": "GB 14287.3-2014",
        "test": False,
        "message": "温度超限:3 号线缆 61.2 ℃ ≥ 60 ℃",
        "source_offset": 40,
        "source_ordinal": 0,
    }
    return Alarm(**(values | fields))


def aggregate(**fields: Any) -> Aggregate:
    values: dict[str, Any] = {
        "v": 1,
        "device_id": "LY-1",
        "device_kind": "electrical_monitor",
        "test": False,
        "minute_ts": NOON - 60_000,
        "quantities": {
            "temperature_c": {
                "count": [2, 0],
                "min": [30.5, None],
                "max": [31.5, None],
                "mean": [31.0, None],
                "last": [30.5, None],
            },
            "current_a": {"count": [1], "min": [5], "max": [5], "mean": [5], "last": [5]},
        },
        "source_offset": 40,
        "source_ordinal": 1,
    }
    return Aggregate(**(values | fields))


def status(**fields: Any) -> DeviceStatus:
    values: dict[str, Any] = {
        "v": 1,
        "device_id": "LY-1",
        "device_kind": "smoke_detector",
        "test": True,
        "status": "online",
        "faults": ["探头故障", "low_battery"],
        "since_ts": NOON,
        "source_offset": 40,
        "source_ordinal": 2,
    }
    return DeviceStatus(**(values | fields))


def outcome(**fields: Any) -> ControlOutcome:
    values: dict[str, Any] = {
        "v": 1,
        "kind": "reset",
        "device_id": "LY-1",
        "test": False,
        "outcome": "refused",
        "reason": "维护最长 72 小时",
        "by": "李工",
        "why": "已现场检查",
        "source": "registry",
        "epoch": 2**63 - 1,
        "number": 18,
        "body": "{\u0000 火",
        "ingest_ts": NOON,
        "source_offset": 40,
        "source_ordinal": 2,
    }
    return ControlOutcome(**(values | fields))


def request(**fields: Any) -> DeviceRequest:
    values: dict[str, Any] = {
        "v": 1,
        "request_id": "c" * 32,
        "kind": "read_back",
        "device_id": "LY-1",
        "device_kind": "electrical_monitor",
        "test": False,
        "quantity": "temperature_c",
        "component": 255,
        "alarm_id": "a" * 32,
        "by": "emberline",
        "why": "待下一读数核实",
        "ingest_ts": NOON,
        "expires_ts": NOON + 120_000,
        "source_offset": 40,
        "source_ordinal": 2,
    }
    return DeviceRequest(**(values | fields))


def session(**fields: Any) -> ChargingSession:
    values: dict[str, Any] = {
        "v": 1,
        "session_id": "d" * 32,
        "device_id": "CD-1",
        "device_kind": "charging_pile",
        "test": False,
        "port": 2,
        "began_ts": NOON - 3_600_000,
        "ended_ts": NOON - 1_000,
        "energy_wh": 412.5,
        "power_w_max": None,
        "stop_reason": 10,
        "ended_as": "safety",
        "settled": True,
        "amended": False,
        "ingest_ts": NOON,
        "source_offset": 40,
        "source_ordinal": 4,
    }
    return ChargingSession(**(values | fields))


def notice(**fields: Any) -> Notice:
    about: dict[str, Any] = {
        "rule": "baseline",
        "device_id": "LY-1",
        "quantity": "residual_current_ma",
        "component": 0,
        "hour_ts": NOON - 3_600_000,
    } | {name: fields[name] for name in ("rule", "device_id", "component", "hour_ts") if name in fields}
    values: dict[str, Any] = about | {
        "v": 1,
        "notice_id": notice_id(**about),
        "rule_label": "泄漏高于正常",
        "excess": 61.25,
        "message": "【提示】永安市第一中学 LY-1 第1路剩余电流：当前102mA",
        "advice": "请排查该回路绝缘",
        "evidence": {"value_ma": 102.0, "normal_ma": 40.75},
        "device_kind": "electrical_monitor",
        "unit_id": "U-1",
        "unit_name": "永安市第一中学",
        "place": "中山路1号",
        "area": "350481001002",
    }
    return Notice(**(values | fields))


def reject(**fields: Any) -> RejectEvent:
    values: dict[str, Any] = {
        "reason": "not_json",
        "detail": "不是 JSON",
        "source_topic": topics.TELEMETRY.name,
        "source_partition": 3,
        "source_offset": 41,
        "source_index": -1,
        "ingest_ts": NOON,
    }
    return RejectEvent(**(values | fields))


def alarms(*events: Alarm, **more: Any) -> Records:
    return records(topics.ALARMS.name, [event.to_json() for event in events], **more)


def aggregates(*events: Aggregate, **more: Any) -> Records:
    return records(topics.AGGREGATES.name, [event.to_json() for event in events], **more)


def statuses(*events: DeviceStatus, **more: Any) -> Records:
    return records(topics.DEVICE_STATUS.name, [event.to_json() for event in events], **more)


def outcomes(*events: ControlOutcome, **more: Any) -> Records:
    return records(topics.CONTROL_OUTCOMES.name, [event.to_json() for event in events], **more)


def requests(*events: DeviceRequest, **more: Any) -> Records:
    return records(topics.DEVICE_REQUESTS.name, [event.to_json() for event in events], **more)


def sessions(*events: ChargingSession, **more: Any) -> Records:
    return records(topics.CHARGING_SESSIONS.name, [event.to_json() for event in events], **more)


def notices(*told: Notice, **more: Any) -> Records:
    return records(topics.NOTICES.name, [one.to_json() for one in told], **more)


def rejects(*events: RejectEvent, original: Sequence[tuple[str, bytes | None]] = (), **more: Any) -> Records:
    values = more.pop("values", [b"{"] * len(events))
    return records(topics.REJECTS.name, values, headers=[event.to_headers(original) for event in events], **more)


def entry(**fields: Any) -> DeviceEntry:
    values: dict[str, Any] = {
        "v": 1,
        "device_id": "LY-1",
        "kind": "electrical_monitor",
        "name": "1号配电箱",
        "unit_id": "U-1",
        "unit_name": "永安市第一中学",
        "organisation_id": "M-1",
        "organisation_name": "安电维保",
        "area": "350481001002",
        "place_kind": "school",
        "address": "中山路1号",
        "rated_current_a": 63.0,
        "components": [
            ComponentEntry("temperature_c", 0, "C-1", "A相电缆", "cable", 1, "A"),
            ComponentEntry("residual_current_ma", 0),
        ],
    }
    return DeviceEntry(**(values | fields))


def action(kind: str, **fields: Any) -> AlarmAction:
    values: dict[str, Any] = {
        "v": 1,
        "alarm_id": "a" * 32,
        "device_id": "LY-1",
        "kind": ActionKind(kind),
        "by": "张三",
        "ts": NOON + 60_000,
        "version": 1,
    }
    return AlarmAction(**(values | fields))


def changes(topic: str, *told: tuple[DeviceEntry | AlarmAction, int], epoch: int = 1, **more: Any) -> Records:
    """Records of a topic that the registry's publisher fills, each with its number."""
    headers = [ChangeNumber("registry", epoch, number).to_headers() for _, number in told]
    return records(topic, [one.to_json() for one, _ in told], headers=headers, **more)


def entries(*told: tuple[DeviceEntry, int], **more: Any) -> Records:
    return changes(topics.REGISTRY.name, *told, **more)


def actions(*told: tuple[AlarmAction, int], **more: Any) -> Records:
    return changes(topics.ALARM_ACTIONS.name, *told, **more)
