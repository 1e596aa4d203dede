"""The twin of `detectors.control`: one order at a time, by its rules as they are written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from detectors.twin.devices import MINUTE_MS, Device
from detectors.twin.orders import TwinObeyed, TwinOrderAt, obey
from detectors.twin.registry import TwinRegistry, read_entry
from schemas.commands import Command
from schemas.control import ControlRecord, Order
from schemas.events import VERSION, ControlOutcome
from schemas.registry import DeviceEntry

_MISPLACED = "该设备不属于本分区，请按 Kafka 的 murmur2 分区方式以设备编号为键发送"


@dataclass
class TwinApplied:
    """What was applied: by topic its id and offset, by topic and source the epoch and number; and the last record."""

    record: int = -1
    offsets: dict[str, tuple[UUID, int]] = field(default_factory=dict)
    changes: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


class TwinControl:
    """The orders of one partition. `misplaced` says of a key, by how many partitions there are, whether it belongs to
    another one."""

    def __init__(self, registry: TwinRegistry, misplaced: Callable[[bytes, int], bool]) -> None:
        self.registry = registry
        self.misplaced = misplaced
        self.applied = TwinApplied()

    def take(
        self, record: ControlRecord, devices: dict[tuple[str, bool], Device]
    ) -> Iterator[tuple[ControlOutcome, TwinObeyed]]:
        """What became of each order of a record."""
        if record.offset <= self.applied.record:
            return
        self.applied.record = record.offset
        for number, order in enumerate(record.held.orders):
            outcome, found = self._judge(record, number, order, devices)
            yield _event(record, number, order, outcome, found.reason), found

    def _judge(
        self, record: ControlRecord, number: int, order: Order, devices: dict[tuple[str, bool], Device]
    ) -> tuple[str, TwinObeyed]:
        topic, topic_id = record.held.topic, record.held.topic_id
        known_id, known_offset = self.applied.offsets.get(topic, (topic_id, -1))
        if known_id == topic_id and order.offset <= known_offset:
            return "repeated", TwinObeyed()
        says_which = order.source is not None and order.epoch is not None and order.number is not None
        change = (order.epoch or 0, order.number or 0)
        where = (topic, order.source or "")
        if says_which and where in self.applied.changes and change <= self.applied.changes[where]:
            self.applied.offsets[topic] = (topic_id, order.offset)
            return "repeated", TwinObeyed()

        self.applied.offsets[topic] = (topic_id, order.offset)
        if not says_which:
            return "refused", TwinObeyed(
                "记录头没有说明这是哪个来源的哪一项变更（emberline.source、emberline.epoch、emberline.number）"
            )
        sources = {source for of_topic, source in self.applied.changes if of_topic == topic}
        if order.source not in sources and len(sources) == 16:
            return "refused", TwinObeyed("本分区已有 16 个来源，不再接受新的来源")
        self.applied.changes[where] = change
        if record.kind == "change":
            return self._judge_change(record, order, devices)
        try:
            command = Command.from_json(order.body.encode())
        except ValueError as error:
            return "refused", TwinObeyed(f"无法读取：{error}")
        reason = self._why_refused(command, record, devices)
        if reason:
            return "refused", TwinObeyed(reason)
        device = devices[command.device_id, command.test]
        before = deepcopy(device)
        try:
            found = obey(command, device, TwinOrderAt(record.offset, number, record.ingest_ts), self.registry)
        except Exception as error:
            devices[command.device_id, command.test] = before
            why = f"{type(error).__name__}: {error}"[:100]
            return "refused", TwinObeyed(f"执行时出错（{why}），设备状态未改变；这是 emberline 的缺陷，请报告")
        return ("refused" if found.reason else "applied"), found

    def _judge_change(
        self, record: ControlRecord, order: Order, devices: dict[tuple[str, bool], Device]
    ) -> tuple[str, TwinObeyed]:
        try:
            entry = read_entry(order.body)
        except ValueError as error:
            return "refused", TwinObeyed(f"无法读取：{error}")
        if isinstance(entry, DeviceEntry) and self.misplaced(entry.device_id.encode(), record.held.partitions):
            return "refused", TwinObeyed(_MISPLACED)
        reason = self.registry.take(entry, devices.values())
        return ("refused" if reason else "applied"), TwinObeyed(reason)

    def _why_refused(self, command: Command, record: ControlRecord, devices: dict[tuple[str, bool], Device]) -> str:
        if self.misplaced(command.device_id.encode(), record.held.partitions):
            return _MISPLACED
        if command.by.strip() == "":
            return "没有填写下令人（by）"
        if command.why.strip() == "":
            return "没有填写原因（why）"
        if record.ingest_ts > command.made_ts + 10 * MINUTE_MS:
            return "下令超过 10 分钟后才到达，已失效"
        if command.made_ts > record.ingest_ts + 5 * MINUTE_MS:
            return "下令时间比到达时间晚 5 分钟以上，请校准下令一方的时钟"
        if command.kind == "maintenance" and command.until_ts > command.made_ts + 72 * 60 * MINUTE_MS:
            return "维护最长 72 小时"
        if (command.device_id, command.test) not in devices:
            return "本分区没有该设备的记录"
        return ""


def _event(record: ControlRecord, number: int, order: Order, outcome: str, reason: str) -> ControlOutcome:
    try:
        told: Any = msgspec.json.decode(order.body)
    except (ValueError, RecursionError):
        told = {}
    if not isinstance(told, dict):
        told = {}

    def text(name: str, most: int) -> str:
        value = told.get(name)
        return value[:most].encode(errors="replace").decode() if isinstance(value, str) else ""

    if record.kind == "change":
        kind = "change" if "device_id" in told else "limits"
        told = {"kind": kind, "device_id": told.get("device_id")}
    return ControlOutcome(
        v=VERSION,
        kind=text("kind", 64),
        device_id=text("device_id", 64),
        test=told.get("test") is True,
        outcome=outcome,
        reason=reason,
        by=text("by", 64),
        why=text("why", 500),
        source=order.source or "",
        epoch=order.epoch or 0,
        number=order.number or 0,
        body=order.body,
        ingest_ts=record.ingest_ts,
        source_offset=record.offset,
        source_ordinal=number,
    )


def time_passed(offset: int, ingest_ts: int) -> ControlOutcome:
    """What is told of a record of time."""
    return ControlOutcome(1, "time", "", False, "applied", "", "", "", "", 0, 0, "", ingest_ts, offset, 0)
