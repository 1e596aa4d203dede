"""A partition has so many devices and no more: who is refused is told, who is known is always watched, and who may be
forgotten follows from the log alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.checkpoints.encode import changed, key_of
from detectors.limits import LimitTable, load_limits
from detectors.state import FORGOTTEN_MS, FORGOTTEN_ONCE_MS, PartitionState
from detectors.twin.oracle import Record, Told
from tests.detectors.given_reports import T0, contents, crowds, cut, record, report, run, slowly, told
from tests.detectors.given_series import begun
from tests.detectors.test_process_equals_twin import quick_limits

PROFILE = settings(
    max_examples=60, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
LIMITS = load_limits()
CUTS = st.lists(st.integers(0, 60), max_size=6)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    folder: Path = tmp_path_factory.mktemp("limits")
    return quick_limits(folder)


def at(offset: int, after_ms: int, device_id: str, **fields: object) -> Record:
    """A record that arrives so long after T0 as it is dated."""
    return record(offset, report(T0 + after_ms, device_id, **fields), ingest_ts=T0 + after_ms)  # type: ignore[arg-type]


def both(records: list[Record], most: int) -> Told:
    """What a partition of so many devices says, whatever the chunks; the twin says the same."""
    found = told([records], PartitionState(most), LIMITS)
    assert found == told([[one] for one in records], PartitionState(most), LIMITS)
    assert found == slowly(records, LIMITS, devices_most=most)
    return found


def test_a_device_beyond_the_bound_is_refused_with_a_reason_and_one_that_is_known_never() -> None:
    fire = {"arc_half_cycles": [20]}
    found = both([at(0, 0, "LY-1"), at(1, 1_000, "X-1", **fire), at(2, 2_000, "LY-1", **fire)], most=1)
    assert found.rejects == [(1, 0, "too_many_devices")]
    assert [(alarm.device_id, alarm.source_offset) for alarm in found.alarms] == [("LY-1", 2)]


def test_the_reason_says_what_to_do() -> None:
    result = run([at(0, 0, "LY-1"), at(1, 0, "X-1")], PartitionState(1), LIMITS)
    assert list(result.refused) == [(1, 0)]
    assert "EMBERLINE_DEVICES_MOST" in result.refused[1, 0].detail
    assert "stored, but not judged" in result.refused[1, 0].detail


def test_test_data_take_room_of_their_own() -> None:
    found = both([at(0, 0, "LY-1"), at(1, 0, "LY-1", test=True)], most=1)
    assert found.rejects == [(1, 0, "too_many_devices")]


@pytest.mark.parametrize(("after_ms", "forgotten"), [(FORGOTTEN_ONCE_MS - 1, False), (FORGOTTEN_ONCE_MS, True)])
def test_a_device_that_was_heard_once_makes_room_after_26_hours(after_ms: int, forgotten: bool) -> None:
    begin = -(T0 % 60_000)
    found = both([at(0, begin, "X-1"), at(1, begin + after_ms, "LY-1")], most=1)
    assert (found.rejects == []) == forgotten


@pytest.mark.parametrize(("after_ms", "forgotten"), [(FORGOTTEN_MS - 1, False), (FORGOTTEN_MS, True)])
def test_a_device_that_was_heard_more_than_once_makes_room_after_a_month(after_ms: int, forgotten: bool) -> None:
    begin = -(T0 % 60_000)
    found = both([at(0, begin - 60_000, "LY-1"), at(1, begin, "LY-1"), at(2, begin + after_ms, "LY-2")], most=1)
    assert (found.rejects == []) == forgotten


@pytest.mark.parametrize("seen", [{"arc_half_cycles": [20]}, {"residual_current_ma": [900]}])
def test_a_device_with_an_open_alarm_is_never_forgotten(seen: dict[str, list[float]]) -> None:
    year_ms = 365 * 86_400_000
    burning = [at(0, 0, "LY-1", **seen), at(1, 1_000, "LY-1", **seen)]
    found = both([*burning, at(2, year_ms, "X-1"), at(3, 2 * year_ms, "X-1")], most=1)
    assert [one[0] for one in found.rejects] == [2, 3]
    assert begun(found.alarms)


def test_a_device_whose_one_value_over_waits_for_the_next_is_forgotten_like_others_and_comes_back_as_a_new_one() -> (
    None
):
    day = FORGOTTEN_ONCE_MS + 60_000
    over, under = {"residual_current_ma": [900]}, {"residual_current_ma": [50]}
    records = [at(0, 0, "LY-1", **over), at(1, day, "LY-2"), at(2, 2 * day, "LY-1", **under)]
    records += [at(3, 2 * day + 1_000, "LY-1", **over)]
    found = both(records, most=1)
    assert found.rejects == []
    # Nothing is known any more of the first one, so nothing withdraws it.
    assert [(str(one.event), one.source_offset) for one in found.alarms] == [("provisional", 0), ("provisional", 3)]
    assert found.alarms[0].alarm_id != found.alarms[1].alarm_id


def test_a_device_whose_alarm_came_up_and_never_opened_is_forgotten_like_others() -> None:
    month_ms = FORGOTTEN_MS + 60_000
    over, under = ({"residual_current_ma": [value]} for value in (900, 50))
    records = [at(0, 0, "LY-1", **over), at(1, 1_000, "X-1"), at(2, 2_000, "LY-1", **under), at(3, month_ms, "X-1")]
    assert both(records, most=1).rejects == [(1, 0, "too_many_devices")]


def test_who_spoke_a_moment_before_in_the_same_chunk_is_not_forgotten() -> None:
    month_ms = FORGOTTEN_MS + 60_000
    records = [at(0, 0, "LY-1"), at(1, 1_000, "LY-1"), at(2, month_ms, "LY-1"), at(3, month_ms, "X-1")]
    assert both(records, most=1).rejects == [(3, 0, "too_many_devices")]


def test_a_device_that_was_forgotten_comes_back_as_a_new_one() -> None:
    fields = {"residual_current_ma": [60]}
    day = FORGOTTEN_ONCE_MS + 60_000
    found = both([at(0, 0, "LY-1", **fields), at(1, day, "LY-2", **fields), at(2, 2 * day, "LY-1", **fields)], most=1)
    assert [(one.device_id, one.since_ts - T0) for one in found.statuses] == [
        ("LY-1", 0),
        ("LY-2", day),
        ("LY-1", 2 * day),
    ]


def test_a_rejected_report_makes_no_device() -> None:
    state = PartitionState()
    run([at(0, 0, "LY-1", v=2)], state, LIMITS)
    assert len(state) == 0


def test_a_forgotten_device_is_written_as_gone_before_those_that_came_in_its_place() -> None:
    state = PartitionState(1)
    run([at(0, 0, "LY-1")], state, LIMITS)
    assert [key for key, _ in changed(state)] == [key_of("LY-1", False)]
    run([at(1, FORGOTTEN_ONCE_MS + 60_000, "LY-2")], state, LIMITS)
    (gone, come) = changed(state)
    assert (gone, come[0]) == ((key_of("LY-1", False), None), key_of("LY-2", False))
    assert changed(state) == []


@PROFILE
@given(records=crowds(), cuts=CUTS, slices=CUTS, most=st.integers(1, 6))
def test_whom_a_partition_knows_follows_from_the_log_whatever_the_chunks(
    limits: LimitTable, records: list[Record], cuts: list[int], slices: list[int], most: int
) -> None:
    whole, pieces = PartitionState(most), PartitionState(most)
    at_once, in_pieces = told([records], whole, limits), told(cut(records, cuts), pieces, limits, slices)
    assert at_once == in_pieces
    assert contents(whole) == contents(pieces)
    assert sorted(whole.forgotten) == sorted(pieces.forgotten)
