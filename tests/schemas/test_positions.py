"""The rule by which everybody who reads output topics knows repeats."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import VERSION, DeviceStatus, Status
from schemas.positions import NO_POSITION, Position, Repeats
from schemas.rejects import RejectEvent


def status(generation: int = 0, offset: int = 0, ordinal: int = 0, topic_id: str = "") -> DeviceStatus:
    """An event at a position."""
    return DeviceStatus(
        v=VERSION, device_id="LY-1", device_kind="electrical_monitor", test=False, status=Status.ONLINE, faults=[],
        since_ts=0, source_offset=offset, source_ordinal=ordinal, generation=generation, source_topic_id=topic_id,
    )  # fmt: skip


def seen(*events: DeviceStatus, partition: int = 0, repeats: Repeats | None = None) -> list[bool]:
    """Of each, whether it is new."""
    rule = repeats or Repeats()
    return [rule.is_new(partition, event) for event in events]


def test_what_is_not_above_the_highest_position_is_a_repeat() -> None:
    assert seen(status(0, 5), status(0, 5), status(0, 4, 9), status(0, 5, 1), status(0, 6)) == [
        True, False, False, True, True,
    ]  # fmt: skip


def test_another_generation_begins_above_all_before() -> None:
    assert seen(status(0, 900), status(1, 3), status(0, 901), status(1, 4)) == [True, True, False, True]


def test_each_partition_and_each_incarnation_of_telemetry_has_positions_of_its_own() -> None:
    repeats = Repeats()
    assert seen(status(0, 9), repeats=repeats) == [True]
    assert seen(status(0, 2), repeats=repeats, partition=1) == [True]
    assert seen(status(0, 2, topic_id="anew"), status(0, 2), repeats=repeats) == [True, False]


def test_silence_of_releases_that_gave_it_no_position_is_never_a_repeat() -> None:
    assert seen(status(0, 9), status(0, 3, NO_POSITION), status(0, 3, NO_POSITION)) == [True, True, True]


def test_the_ordinal_of_a_reject_is_its_index() -> None:
    reject = RejectEvent("not_json", "", "t", source_partition=0, source_offset=7, source_index=-1, ingest_ts=0)
    assert Position.of(reject) == (0, 7, -1)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_whoever_goes_by_it_has_every_event_once_however_often_workers_begin_again(seed: int, count: int) -> None:
    rng = random.Random(seed)
    events = [status(offset // 15, offset, ordinal) for offset in range(count) for ordinal in range(rng.randrange(3))]
    sent, at = list[DeviceStatus](), 0
    while at < len(events):
        beyond = rng.randint(at, len(events))
        sent += events[at:beyond]
        # A worker dies, and its successor goes on from a checkpoint before.
        at = rng.randint(max(0, beyond - 5), beyond) if beyond < len(events) else beyond
    repeats = Repeats()
    assert [event for event in sent if repeats.is_new(0, event)] == events
