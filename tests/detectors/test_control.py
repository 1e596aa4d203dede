"""Orders in the log: each refusal by hand, what comes again, and the same as the twin whatever comes in whatever
chunks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import orjson
import pytest

from detectors.control import commands as ordered
from detectors.control.applied import Applied
from detectors.control.commands import Obeyed, OrderAt
from detectors.limits import LimitTable, load_limits
from detectors.state import PartitionState
from detectors.twin import control as twin
from detectors.twin.devices import Device
from detectors.twin.oracle import timeless
from detectors.twin.orders import TwinObeyed
from schemas.commands import Command
from schemas.control import TIME_HEADERS, TIME_KEY
from schemas.control_keys import ControlKeys
from schemas.events import ControlOutcome
from tests.detectors.given_orders import T0, Sent, anything, control, order, quickly, report, slowly

pytestmark = pytest.mark.usefixtures("homes")


def told(records: Sequence[Sent]) -> list[ControlOutcome]:
    """The outcomes, which are the twin's."""
    limits = load_limits()
    result, rejects = quickly([records], PartitionState(), limits)
    said = slowly(records, limits)
    assert result.outcomes == said.outcomes
    assert rejects == said.rejects
    assert result.statuses == said.statuses
    return result.outcomes


LATE: Final = T0 + 600_000
REFUSED: Final[dict[str, tuple[Sent, str]]] = {
    "no change": (control(1, [order(1, source=None)]), "记录头没有说明"),
    "no JSON": (control(1, [order(1, "{")]), "无法读取："),
    "no value": (control(1, [order(1, "")]), "无法读取："),
    "nested": (control(1, [order(1, "[" * 8_000)]), "无法读取："),
    "field missing": (control(1, [order(1, why=...)]), "无法读取：Object missing required field `why`"),
    "field wrong": (control(1, [order(1, by=5)]), "$.by"),
    "kind unknown": (control(1, [order(1, kind="explode")]), "$.kind"),
    "version": (control(1, [order(1, v=2)]), "version 2"),
    "by blank": (control(1, [order(1, by=" ")]), "没有填写下令人（by）"),
    "why blank": (control(1, [order(1, why="\u3000")]), "没有填写原因（why）"),
    "expired": (control(1, [order(1)], ts=LATE + 1), "下令超过 10 分钟后才到达，已失效"),
    "ahead": (control(1, [order(1, made_ts=T0 + 300_001)]), "下令时间比到达时间晚 5 分钟以上"),
    "long": (control(1, [order(1, kind="maintenance", until_ts=T0 + 72 * 3_600_000 + 1)]), "维护最长 72 小时"),
    "misplaced": (control(1, [order(1)], partitions=9), "该设备不属于本分区"),
    "unknown": (control(1, [order(1, device_id="LY-2")]), "本分区没有该设备的记录"),
    "test unknown": (control(1, [order(1, test=True)]), "本分区没有该设备的记录"),
    "nothing to reset": (control(1, [order(1)], ts=LATE), "没有符合条件的未复位告警"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_order_is_refused_and_told_why(name: str) -> None:
    record, why = REFUSED[name]
    (outcome,) = told([report(0), record])
    assert outcome.outcome == "refused"
    assert why in outcome.reason
    assert (outcome.source_offset, outcome.source_ordinal, outcome.ingest_ts) == (1, 0, record.ts)
    assert ControlOutcome.from_json(outcome.to_json()) == outcome


def test_of_an_order_that_cannot_be_read_what_can_be_is_told() -> None:
    text = orjson.dumps(
        {"kind": "reset", "device_id": "x" * 90, "by": 5, "why": "\U0001f525" * 900, "test": True}
    ).decode()
    outcome, *_ = told([report(0), control(1, [order(1, text), order(2, '{"by":"\\ud800"}'), order(3, "[1]")])])
    assert (outcome.kind, outcome.device_id, outcome.by, outcome.test) == ("reset", "x" * 64, "", True)
    assert (len(outcome.why), outcome.body) == (500, text)


def test_what_comes_again_is_repeated_by_its_number_or_its_place() -> None:
    outcomes = told(
        [
            report(0),
            control(1, [order(5), order(6)]),
            # Copied by two workers.
            control(2, [order(5), order(6), order(7)]),
            # The same change at another place, and one before it.
            control(3, [order(8, number=7), order(9, number=6)]),
            # The topic made anew: its places mean nothing, the numbers still do.
            control(4, [order(0, number=7), order(1, number=8)], topic_id=13),
            # What some paused worker still copies of the old one.
            control(5, [order(7), order(8, number=9)]),
            # The database restored: numbers begin anew in a higher epoch.
            control(6, [order(2, number=1, epoch=2), order(3, number=9, epoch=1)], topic_id=13),
            # No number, but a place that was dealt with.
            control(7, [order(3, source=None)], topic_id=13),
        ]
    )
    assert [one.outcome for one in outcomes] == (
        ["refused"] * 2 + ["repeated", "repeated", "refused"] + ["repeated"] * 2 + ["repeated", "refused"]
        + ["repeated", "refused"] + ["refused", "repeated"] + ["repeated"]
    )  # fmt: skip
    assert not [one.reason for one in outcomes if one.outcome == "repeated" and one.reason]


def test_a_seventeenth_source_is_refused_and_those_before_go_on() -> None:
    held = [order(number, source=f"s{number}", number=1) for number in range(17)]
    *first, last, again = told([report(0), control(1, [*held, order(17, source="s3", number=2)])])
    assert {one.reason for one in (*first, again)} == {"没有符合条件的未复位告警"}
    assert last.reason == "本分区已有 16 个来源，不再接受新的来源"


def test_an_order_applies_to_what_is_after_it_and_knows_what_is_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, OrderAt]] = []

    def obey(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
        seen.append((int(state.rows["offset"][row]), at))
        return Obeyed()

    monkeypatch.setattr(ordered, "obey", obey)
    records = [report(0), report(1), control(2, [order(1), order(2)]), report(3), control(4, [order(3)])]
    result, _ = quickly([records], PartitionState(), load_limits())
    assert seen == [(1, OrderAt(2, 0, T0)), (1, OrderAt(2, 1, T0)), (3, OrderAt(4, 0, T0))]
    assert [one.outcome for one in result.outcomes] == ["applied"] * 3


def test_an_order_on_which_the_program_raises_changes_nothing_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def obey(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
        state.rows["heard_ts"][row] = 1
        raise KeyError("no such thing")

    def twin_obey(command: Command, device: Device, *_: object) -> TwinObeyed:
        device.heard_ts = 1
        raise KeyError("no such thing")

    monkeypatch.setattr(ordered, "obey", obey)
    monkeypatch.setattr(twin, "obey", twin_obey)
    state = PartitionState()
    quickly([[report(0), control(1, [order(1)])]], state, load_limits())
    assert state.rows["heard_ts"][state.find(["LY-1"], np.array([False]))].tolist() == [T0]
    first, second = told([report(0), control(1, [order(1), order(2, device_id="LY-2")])])
    assert "KeyError: 'no such thing'" in first.reason
    assert second.reason == "本分区没有该设备的记录"


def test_a_record_that_the_state_reflects_is_skipped_and_what_is_applied_outlives_a_restart() -> None:
    state, limits = PartitionState(), load_limits()
    records = [report(0), control(1, [order(5)]), control(2, [order(6)])]
    result, _ = quickly([records[:2]], state, limits)
    restored = PartitionState()
    restored.applied = Applied.from_json(orjson.loads(orjson.dumps(state.applied.to_json())))
    assert restored.applied == state.applied
    again, _ = quickly([records], restored, limits)
    assert [one.source_offset for one in (*result.outcomes, *again.outcomes)] == [1, 2]
    for odd in (None, {}, {"offset": 1, "topics": {"t": {}}}, {"offset": 1, "topics": {"t": 5}}):
        assert Applied.from_json(odd) == Applied()


def test_records_of_time_and_forged_ones_are_told_each_in_its_way() -> None:
    stranger = ControlKeys.of(f"k1 {'00' * 32}")
    time = Sent(2, T0 + 20_000, TIME_KEY, b"", TIME_HEADERS)
    records = [report(0), control(1, [order(1)], keys=stranger), time, control(3, [order(1)])]
    assert [(one.kind, one.source_offset) for one in told(records)] == [("time", 2), ("reset", 3)]
    assert slowly(records, load_limits()).rejects == [(1, -1, "bad_control")]


@pytest.mark.parametrize("seed", range(24))
def test_whatever_comes_in_whatever_chunks_is_what_the_twin_says(seed: int) -> None:
    rng, limits = random.Random(seed), load_limits()
    records = anything(rng)
    said = slowly(records, limits)
    edges = sorted({0, len(records), *(rng.randrange(len(records)) for _ in range(rng.randrange(12)))})
    chunks = [records[begin:end] for begin, end in pairwise(edges)]
    result, rejects = quickly(chunks, PartitionState(), limits)
    assert result.outcomes == said.outcomes
    assert (timeless(result.alarms), result.requests) == (said.alarms, said.requests)
    assert result.aggregates == said.aggregates
    assert rejects == said.rejects
    assert result.statuses == said.statuses
    assert {one.outcome for one in said.outcomes} == {"applied", "refused", "repeated"}
    assert [msgspec.json.decode(one.to_json(), type=ControlOutcome) for one in said.outcomes] == said.outcomes
