"""`process` says exactly what its slow twin says, in any chunks, and after any repetition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.limits import LimitTable, load_limits
from detectors.process import process, tick
from detectors.state import PartitionState
from detectors.twin import Oracle, Record, oracle_events
from schemas.reports import decode
from tests.detectors.given_reports import T0, contents, cut, fleets, record, records_of, report, run, told

PROFILE = settings(
    max_examples=30, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
CUTS = st.lists(st.integers(0, 60), max_size=6)

WAITS_MS = [0, 360_000, 899_999, 900_000, 21_600_000, 90_000_000]
QUICK = """
[default.residual_current_rise]
learn_s = 5
learn_samples = 2
memory_s = 60
confirm_warning_s = 1
[default.temperature_rise]
window_s = 1
confirm_warning_s = 2
[device.OWN-3.temperature]
warning = 50
alarm = 55
[device.OWN-3.residual_current]
warning = 25
confirm_warning_s = 0
"""


def quick_limits(folder: Path) -> LimitTable:
    """Limits that learn within a few reports, and a device with limits of its own."""
    path = folder / "limits.toml"
    path.write_text(QUICK, encoding="utf-8")
    return load_limits(path)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    return quick_limits(tmp_path_factory.mktemp("limits"))


@PROFILE
@given(records=fleets(), cuts=CUTS)
def test_process_says_what_the_oracle_says_in_any_chunks(
    limits: LimitTable, records: list[Record], cuts: list[int]
) -> None:
    assert told(cut(records, cuts), PartitionState(), limits) == oracle_events(records, limits)


@PROFILE
@given(records=fleets(), cuts=CUTS)
def test_one_record_at_a_time_leaves_the_same_state_as_one_chunk(
    limits: LimitTable, records: list[Record], cuts: list[int]
) -> None:
    whole, pieces = PartitionState(), PartitionState()
    at_once, one_by_one = told([records], whole, limits), told([[one] for one in records], pieces, limits)
    assert at_once == one_by_one
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
    assert (again.alarms, again.aggregates, again.statuses) == ([], [], [])
    assert again.skipped == again.reports
    assert contents(state) == before


@PROFILE
@given(records=fleets(), cuts=CUTS)
def test_places_rise_strictly_within_each_kind_of_event(
    limits: LimitTable, records: list[Record], cuts: list[int]
) -> None:
    found = told(cut(records, cuts), PartitionState(), limits)
    for events in (found.alarms, found.aggregates, found.statuses):
        places = [(event.source_offset, event.source_ordinal) for event in events]
        assert places == sorted(set(places))


@PROFILE
@given(records=fleets())
def test_the_reports_handed_in_are_not_touched(limits: LimitTable, records: list[Record]) -> None:
    reports, _ = decode(records_of(records))
    arrays = [reports.offset, reports.index, reports.ingest_ts, reports.event_ts, reports.seq, reports.device_kind]
    arrays += [reports.test] + [part for held in reports.quantities.values() for part in (held.starts, held.values)]
    for array in arrays:
        array.setflags(write=False)
    device_ids, faults = list(reports.device_id), dict(reports.faults)
    process(reports, PartitionState(), limits, 0)
    assert (device_ids, faults) == (list(reports.device_id), reports.faults)


@PROFILE
@given(records=fleets(12), waits=st.lists(st.sampled_from(WAITS_MS), max_size=4))
def test_silence_is_told_as_the_oracle_tells_it(limits: LimitTable, records: list[Record], waits: list[int]) -> None:
    state, oracle = PartitionState(), Oracle(limits)
    for one in records:
        told([[one]], state, limits)
        oracle.feed(*one)
        for wait in waits:
            assert tick(state, one[1] + wait) == oracle.tick(one[1] + wait)


def test_every_report_is_counted_once_as_skipped_repeated_or_worked_off(limits: LimitTable) -> None:
    first = record(0, report(T0, seq=1))
    chunk = [first, record(1, report(T0 + 5, seq=2)), record(2, report(T0 + 3, seq=9)), record(3, report(T0, seq=1))]
    state = PartitionState()
    run([first], state, limits)
    result = run(chunk, state, limits)
    assert (result.reports, result.skipped, result.repeated, result.late) == (4, 1, 1, 1)


def test_an_empty_chunk_means_nothing(limits: LimitTable) -> None:
    state = PartitionState()
    result = run([], state, limits)
    assert (result.reports, result.alarms, len(state)) == (0, [], 0)


def test_a_device_that_changes_its_kind_keeps_the_limits_it_began_with(limits: LimitTable) -> None:
    piles = [record(n, report(T0 + n * 9_000, kind="charging_pile", residual_current_ma=[40])) for n in (0, 1)]
    monitor = record(2, report(T0 + 20_000, residual_current_ma=[40]))
    at_once, one_by_one = (
        told(chunks, PartitionState(), limits) for chunks in ([[*piles, monitor]], [[one] for one in (*piles, monitor)])
    )
    assert at_once == one_by_one == oracle_events([*piles, monitor], limits)
    assert [alarm.limit for alarm in at_once.alarms] == [30.0]


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
    opened = [(alarm.component, alarm.onset_ts - T0) for alarm in found.alarms if alarm.kind == "temperature"]
    assert opened == [(0, 0), (1, 2_500)]
