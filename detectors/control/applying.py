"""Control records against the state: each of their orders is applied, refused or recognised as a repeat, and told.

What becomes of an order hangs on the log and the state alone: on its arrival in the log, on how many partitions there
were when it was copied, on what was applied before. So a replay finds the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import structs

from detectors.control import changes, commands
from detectors.control.applied import SOURCES_MOST, AppliedTopic
from detectors.control.changes import read_change
from detectors.control.commands import Obeyed, OrderAt
from detectors.limits import LimitTable
from detectors.rounds import Result
from detectors.sift import RowsBefore
from detectors.state import PartitionState
from schemas.commands import AHEAD_MS, EXPIRES_MS, MAINTENANCE_MOST_MS, Command, CommandKind
from schemas.control import CHANGE, TIME, ControlRecord, Order
from schemas.events import VERSION, ControlOutcome, Outcome
from schemas.published import MAX_TEXT
from schemas.registry import DeviceEntry, LimitsEntry

_ID_MOST: Final = 64
_MINUTE_MS: Final = 60_000
_NO_CHANGE: Final = "记录头没有说明这是哪个来源的哪一项变更（emberline.source、emberline.epoch、emberline.number）"
_TOO_MANY_SOURCES: Final = f"本分区已有 {SOURCES_MOST} 个来源，不再接受新的来源"
_EXPIRED: Final = f"下令超过 {EXPIRES_MS // _MINUTE_MS} 分钟后才到达，已失效"
_AHEAD: Final = f"下令时间比到达时间晚 {AHEAD_MS // _MINUTE_MS} 分钟以上，请校准下令一方的时钟"
_TOO_LONG: Final = f"维护最长 {MAINTENANCE_MOST_MS // 3_600_000} 小时"
_MISPLACED: Final = "该设备不属于本分区，请按 Kafka 的 murmur2 分区方式以设备编号为键发送"
_UNKNOWN: Final = "本分区没有该设备的记录"

OrderContent = Command | DeviceEntry | LimitsEntry
"""What an order may say."""
Misplaced = Callable[[bytes, int], bool]
"""Whether a key belongs to another partition than this one, by how many partitions there are."""


def apply_control(
    record: ControlRecord, state: PartitionState, limits: LimitTable, now: int, misplaced: Misplaced
) -> Result:
    """Apply the orders of a control record, in their order, and say what became of each. A record that the state
    reflects already is skipped, as reports are.

    `now` (epoch ms) only marks when alarms were detected. Raises for nothing that an order holds, and for no defect of
    what applies it: such an order is refused."""
    result, held = Result(), record.held
    if record.offset <= state.applied.offset:
        return result
    state.applied.offset = record.offset
    applied = state.applied.topics.setdefault(held.topic, AppliedTopic(held.topic_id))
    for number, order in enumerate(held.orders):
        at = OrderAt(record.offset, number, record.ingest_ts)
        told, why = _read(record.kind, order.body)
        if applied.is_repeated(order, held.topic_id):
            outcome, found = Outcome.REPEATED, Obeyed()
        else:
            is_noted = applied.take(order, held.topic_id)
            why = _why_not(order, is_noted) or why
            if told is None or why:
                found = Obeyed(why)
            elif not isinstance(told, LimitsEntry) and misplaced(told.device_id.encode(), held.partitions):
                found = Obeyed(_MISPLACED)
            else:
                found = _judged(told, at, state, limits)
            outcome = Outcome.REFUSED if found.reason else Outcome.APPLIED
        result.alarms += [structs.replace(alarm, detected_ts=now) for alarm in found.alarms]
        result.requests += found.requests
        result.aggregates += found.aggregates
        result.statuses += found.statuses
        result.outcomes.append(_told(record, number, order, told, outcome, found.reason))
    return result


def judged_again(kind: bytes, body: str, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    """What comes of an order of a control record of this kind that was judged once, where other limits may hold now."""
    told, why = _read(kind.decode(), body)
    return Obeyed(why) if told is None or why else _judged(told, at, state, limits)


def _read(kind: str, body: str) -> tuple[OrderContent | None, str]:
    """What an order says, or why it says nothing."""
    try:
        return (read_change(body) if kind == CHANGE.decode() else Command.from_json(body.encode())), ""
    except ValueError as error:
        return None, f"无法读取：{error}"


def _why_not(order: Order, is_noted: bool) -> str:
    """Why an order is refused whatever it holds."""
    if order.change is None:
        return _NO_CHANGE
    return "" if is_noted else _TOO_MANY_SOURCES


def _judged(told: OrderContent, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    if not isinstance(told, Command):
        return Obeyed(changes.change(told, state, limits))
    (row,) = state.find([told.device_id], np.array([told.test])).tolist()
    if reason := _refused(told, at) or ("" if row >= 0 else _UNKNOWN):
        return Obeyed(reason)
    before = RowsBefore([(told.device_id, told.test)], state)
    try:
        return commands.obey(told, row, at, state, limits)
    except Exception as error:
        before.put_back(state)
        why = f"{type(error).__name__}: {error}"[:100]
        return Obeyed(f"执行时出错（{why}），设备状态未改变；这是 emberline 的缺陷，请报告")


def _refused(command: Command, at: OrderAt) -> str:
    """Why a command is refused whatever its device's state; empty where it is not."""
    for text, what in ((command.by, "下令人（by）"), (command.why, "原因（why）")):
        if not text.strip():
            return f"没有填写{what}"
    if at.ingest_ts - command.made_ts > EXPIRES_MS:
        return _EXPIRED
    if command.made_ts - at.ingest_ts > AHEAD_MS:
        return _AHEAD
    if command.kind is CommandKind.MAINTENANCE and command.until_ts - command.made_ts > MAINTENANCE_MOST_MS:
        return _TOO_LONG
    return ""


def _told(
    record: ControlRecord, number: int, order: Order, told: OrderContent | None, outcome: Outcome, reason: str
) -> ControlOutcome:
    found = structs.asdict(told) if told is not None else _loosely(order.body)
    if record.kind == CHANGE.decode():
        found = {"device_id": found.get("device_id", ""), "kind": "change" if "device_id" in found else "limits"}
    return ControlOutcome(
        v=VERSION,
        kind=_text(found, "kind", _ID_MOST),
        device_id=_text(found, "device_id", _ID_MOST),
        test=found.get("test") is True,
        outcome=outcome,
        reason=reason,
        by=_text(found, "by", _ID_MOST),
        why=_text(found, "why", MAX_TEXT),
        source=order.source or "",
        epoch=order.epoch or 0,
        number=order.number or 0,
        body=order.body,
        ingest_ts=record.ingest_ts,
        source_offset=record.offset,
        source_ordinal=number,
    )


def _loosely(body: str) -> dict[str, Any]:
    """What can be read of an order that is none."""
    with suppress(ValueError, RecursionError):
        found = msgspec.json.decode(body)
        return found if isinstance(found, dict) else {}
    return {}


def _text(found: dict[str, Any], name: str, most: int) -> str:
    text = found.get(name, "")
    # Half a surrogate pair could not be written.
    return text[:most].encode(errors="replace").decode() if isinstance(text, str) else ""


def time_told(offset: int, ingest_ts: int) -> ControlOutcome:
    """What is told of a record of time: that it came."""
    return ControlOutcome(
        v=VERSION,
        kind=TIME.decode(),
        device_id="",
        test=False,
        outcome=Outcome.APPLIED,
        reason="",
        by="",
        why="",
        source="",
        epoch=0,
        number=0,
        body="",
        ingest_ts=ingest_ts,
        source_offset=offset,
        source_ordinal=0,
    )
