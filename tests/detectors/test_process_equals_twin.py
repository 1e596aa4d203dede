"""`process` says exactly what its slow twin says, in any chunks and slices, and after any repetition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors import process as fast
from detectors.limits import LimitTable, load_limits
from detectors.process import process
from detectors.state import PartitionState
from detectors.statuses import check_silence, silent_until
from detectors.twin import devices as twin_devices
from detectors.twin.oracle import Record
from schemas.reports import decode
from tests.detectors.given_reports import (
    T0,
    contents,
    crowds,
    cut,
    fleets,
    never_still,
    record,
    records_of,
    report,
    run,
    slowly,
    told,
)

PROFILE = settings(
    max_examples=60, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
CUTS = st.lists(st.integers(0, 60), max_size=6)
SLICES = st.lists(st.integers(0, 90), max_size=4)

WAITS_MS = [0, 360_000, 899_999, 900_000, 21_600_000, 22_200_000, 90_000_000]
QUICK = """
[default.residual_current_rise]
window_s = 12
confirm_warning_s = 1
[default.temperature_rise]
memory_s = 20
confirm_warning_s = 2
[default.malignant_load]
warning = 1000
[default.under_voltage]
confirm_warning_s = 2
confirm_alarm_s = 2
[default.over_voltage]
confirm_warning_s = 0
[default.no_fall]
confirm_warning_s = 1
[default.rising_plateau]
warning = 10
recovery_margin = 1
[device.OWN-3.temperature]
warning = 50
alarm = 55
[device.OWN-3.residual_current]
warning = 25
confirm_warning_s = 0
[device.OWN-3.absent.temperature_c]
power_on = [31.0]
sentinels = [21.3]
"""


def quick_limits(folder: Path) -> LimitTable:
    """Limits by which levels follow within a few reports, and a device with limits of its own."""
    path = folder / "limits.toml"
    path.write_text(QUICK, encoding="utf-8")
    return load_limits(path)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    return quick_limits(tmp_path_factory.mktemp("limits"))


@pytest.fixture
def small_floods(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device floods by its fifth report of a minute."""
    monkeypatch.setattr(fast, "FLOOD_REPORTS", 4)
    monkeypatch.setattr(twin_devices, "FLOOD_REPORTS", 4)


@PROFILE
@given(records=fleets(), cuts=CUTS, slices=SLICES)
def test_process_says_what_the_twin_says_in_any_chunks_and_slices(
    limits: LimitTable, records: list[Record], cuts: list[int], slices: list[int]
) -> None:
    assert told(cut(records, cuts), PartitionState(), limits, slices) == slowly(records, limits)


@pytest.mark.usefixtures("small_floods")
@PROFILE
@given(records=fleets(), cuts=CUTS, slices=SLICES)
def test_of_a_device_that_floods_the_twin_says_the_same(
    limits: LimitTable, records: list[Record], cuts: list[int], slices: list[int]
) -> None:
    assert told(cut(records, cuts), PartitionState(), limits, slices) == slowly(records, limits)


@PROFILE
@given(records=crowds(), cuts=CUTS, slices=SLICES, most=st.integers(1, 6))
def test_where_devices_are_refused_and_forgotten_the_twin_says_the_same(
    limits: LimitTable, records: list[Record], cuts: list[int], slices: list[int], most: int
) -> None:
    state = PartitionState(most)
    assert told(cut(records, cuts), state, limits, slices) == slowly(records, limits, devices_most=most)
    assert len(state) <= most


@PROFILE
@given(records=fleets(), cuts=CUTS, slices=SLICES)
def test_one_record_at_a_time_leaves_the_same_state_as_one_chunk(
    limits: LimitTable, records: list[Record], cuts: list[int], slices: list[int]
) -> None:
    whole, pieces = PartitionState(), PartitionState()
    at_once = told([records], whole, limits)
    assert at_once == told(cut(records, cuts), pieces, limits, slices)
    assert contents(whole) == contents(pieces)


@PROFILE
@given(records=fleets(), cuts=CUTS, back=st.integers(0, 60))
def test_feeding_offsets_again_says_nothing_and_changes_nothing(
    limits: LimitTable, records: list[Record], cuts: list[int], back: int
) -> None:
    state = PartitionState()
    told(cut(records, cuts), state, limits)
    before = contents(state)
    again = run(records[-back:], state, limits)
    assert (again.alarms, again.requests, again.aggregates, again.statuses, again.refused) == ([], [], [], [], {})
    assert again.sessions == []
    assert again.skipped == again.readable
    assert contents(state) == before


@PROFILE
@given(records=fleets(), cuts=CUTS, slices=SLICES)
def test_places_rise_strictly_within_each_kind_of_event(
    limits: LimitTable, records: list[Record], cuts: list[int], slices: list[int]
) -> None:
    found = told(cut(records, cuts), PartitionState(), limits, slices)
    for events in (found.alarms, found.requests, found.aggregates, found.sessions, found.statuses):
        positions = [(event.source_offset, event.source_ordinal) for event in events]
        assert positions == sorted(set(positions))


@PROFILE
@given(records=fleets())
def test_no_two_alarms_of_a_component_and_kind_have_one_episode_and_each_begins_once_by_opening_or_being_confirmed(
    limits: LimitTable, records: list[Record]
) -> None:
    begun: set[str] = set()
    waiting: set[str] = set()
    for alarm in told([records], PartitionState(), limits).alarms:
        assert (alarm.alarm_id in begun) == (alarm.event not in ("opened", "provisional", "confirmed", "withdrawn"))
        # What arrives in one millisecond has one id: of it several values may wait, one after the other.
        assert (alarm.alarm_id in waiting) == (alarm.event in ("confirmed", "withdrawn"))
        if alarm.event in ("opened", "confirmed"):
            begun.add(alarm.alarm_id)
        waiting ^= {alarm.alarm_id} & waiting
        if alarm.event == "provisional":
            waiting.add(alarm.alarm_id)


@PROFILE
@given(records=fleets())
def test_a_report_makes_at_most_two_alarms_a_component_and_kind_and_one_status(
    limits: LimitTable, records: list[Record]
) -> None:
    found = told([records], PartitionState(), limits)
    about = [
        (one.source_offset, one.source_ordinal >> 16, one.device_id, one.test, one.component, one.kind)
        for one in found.alarms
    ]
    assert max(map(about.count, about), default=0) <= 2


@PROFILE
@given(records=fleets())
def test_the_reports_handed_in_are_not_touched(limits: LimitTable, records: list[Record]) -> None:
    reports, _ = decode(records_of(records), limits.absences)
    arrays = [reports.offset, reports.index, reports.ingest_ts, reports.event_ts, reports.ts, reports.by_arrival]
    arrays += [reports.seq, reports.has_seq, reports.device_kind, reports.test, reports.rejected, *reports.marks]
    for array in [*arrays, *(part for held in reports.quantities.values() for part in (held.starts, held.values))]:
        array.setflags(write=False)
    texts = list(reports.device_id), dict(reports.faults), dict(reports.notes)
    process(reports, PartitionState(), limits, 0)
    assert texts == (list(reports.device_id), reports.faults, reports.notes)


@PROFILE
@given(records=fleets(12), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_silence_is_told_as_the_twin_tells_it(limits: LimitTable, records: list[Record], cuts: list[int]) -> None:
    passing = never_still(records, max(ts for _, ts, _ in records) + 8 * 3_600_000, 55_000)
    assert told(cut(passing, cuts), PartitionState(), limits).statuses == slowly(passing, limits).statuses


@PROFILE
@given(records=fleets(12))
def test_silence_is_told_exactly_when_it_was_said_to_be(limits: LimitTable, records: list[Record]) -> None:
    state = PartitionState()
    told([records], state, limits)
    now = max(arrival for _, arrival, _ in records)
    check_silence(state, now, now, 0)
    for _ in range(2 * len(state)):
        if (due := silent_until(state)) is None:
            break
        assert due > now
        assert check_silence(state, due - 1, due - 1, 0) == []
        assert check_silence(state, due, due, 0)
        now = due
    assert silent_until(state) is None
    assert check_silence(state, now + 10**12, now + 10**12, 0) == []


def test_every_report_is_counted_once_as_skipped_repeated_or_late(limits: LimitTable) -> None:
    first = record(0, report(T0, seq=1), ingest_ts=T0)
    others = [report(T0 + 5, seq=2), report(T0 + 3, seq=9_999), report(T0, seq=1), report(740, seq=10_000)]
    chunk = [first, *(record(1 + n, one, ingest_ts=T0 + 10) for n, one in enumerate(others))]
    state = PartitionState()
    run([first], state, limits)
    result = run(chunk, state, limits)
    assert (result.readable, result.skipped, result.repeated, result.late, result.by_arrival) == (5, 1, 1, 1, 1)


def test_an_empty_chunk_means_nothing(limits: LimitTable) -> None:
    state = PartitionState()
    result = run([], state, limits)
    assert (result.readable, result.alarms, len(state)) == (0, [], 0)


@pytest.mark.parametrize("at_once", [1, 7, 300])
def test_there_is_room_for_any_number_of_devices_however_many_come_at_once(limits: LimitTable, at_once: int) -> None:
    state, count = PartitionState(), 300
    for first in range(0, count, at_once):
        run(
            [record(first, *(report(T0, f"LY-{first + n}", temperature_c=[30]) for n in range(at_once)))], state, limits
        )
    run([record(count, *(report(T0 + 200_000, f"LY-{n}", temperature_c=[30]) for n in range(count)))], state, limits)
    assert len(state) == len(range(0, count, at_once)) * at_once
    assert (state.rows["newest_ts"][:count] == T0 + 200_000).all()


def test_a_device_takes_no_more_slots_than_it_has_components(limits: LimitTable) -> None:
    state, used = PartitionState(), list[int]()
    for _ in range(3):
        used.append(state.minutes.last.room.used)
        offset, ts = len(used), T0 + len(used) * 120_000
        both = (report(ts, device_id, temperature_c=[30] * 8) for device_id in ("LY-1", "LY-2"))
        run([record(offset, *both)], state, limits)
    assert np.diff(used).tolist() == [16, 0]


def test_a_component_beyond_those_known_takes_the_state_of_the_others_along(limits: LimitTable) -> None:
    hot = [record(n, report(T0 + n * 2_500, temperature_c=[71] * (1 + n))) for n in range(4)]
    found = told([[one] for one in hot], PartitionState(), limits)
    hot_now = [alarm for alarm in found.alarms if alarm.kind == "temperature"]
    confirmed = [(one.component, one.onset_ts - T0) for one in hot_now if one.event == "confirmed"]
    assert confirmed == [(0, 0), (1, 2_500), (2, 5_000)]
    assert [one.component for one in hot_now if one.event == "provisional"] == [0, 1, 2, 3]
