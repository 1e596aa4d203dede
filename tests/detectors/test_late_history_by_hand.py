"""Late history (补报): what was measured before values that are known already. Worked out by hand from domain.md; the
twin is held to the same."""

from __future__ import annotations

from itertools import permutations

import pytest

from detectors.limits import load_limits
from detectors.state import PartitionState
from tests.detectors.given_reports import T0, told
from tests.detectors.given_series import BEGINS, HOUR_MS, alarms, begun, events, handed_in, log, numbered, seen, series

LIMITS = load_limits()
LIVE = series(*[50.0] * 120)
FIRE_BEFORE = series(*[50.0] * 5, *[900.0] * 5, *[50.0] * 5, at=-HOUR_MS, every_ms=10_000)


def test_a_single_late_value_over_is_provisional_and_a_normal_one_after_it_withdraws_it() -> None:
    kept = series(*[50.0] * 5, 900.0, *[50.0] * 5, at=-HOUR_MS)
    found = alarms(LIVE, handed_in(kept, at=60_050, every_ms=5))
    assert [(str(alarm.event), alarm.severity, alarm.late, alarm.ingest_ts - T0) for alarm in found] == [
        ("provisional", 1, True, 60_075),
        ("withdrawn", 0, True, 60_080),
    ]
    assert {(alarm.alarm_id, alarm.onset_ts - T0) for alarm in found} == {(found[0].alarm_id, 5_000 - HOUR_MS)}
    assert found[0].message.startswith("【补报】")


@pytest.mark.parametrize(("normal_until", "withdrawn_at"), [(660, []), (662, [661_000])])
def test_live_values_withdraw_a_single_late_one_ten_minutes_after_it_came(
    normal_until: int, withdrawn_at: list[int]
) -> None:
    live = series(*[50.0] * normal_until)
    found = alarms(live, handed_in(series(900.0, at=-HOUR_MS), at=60_050))
    assert seen(found) == [("provisional", 60_050), *(("withdrawn", at) for at in withdrawn_at)]


def test_a_second_late_value_over_confirms_the_first_at_the_level_that_both_reach() -> None:
    found = alarms(LIVE, handed_in(series(250.0, 900.0, 900.0, at=-HOUR_MS), at=60_050, every_ms=7))
    assert [(str(alarm.event), alarm.severity, alarm.late) for alarm in found] == [
        ("provisional", 1, True),
        ("confirmed", 1, True),
        ("escalated", 2, True),
    ]
    assert {(alarm.alarm_id, alarm.onset_ts - T0) for alarm in found} == {(found[0].alarm_id, -HOUR_MS)}


def test_a_single_late_value_after_a_day_of_normal_ones_is_provisional_though_the_alarm_before_was_never_reset() -> (
    None
):
    day = [*series(*[50.0] * 2, *[900.0] * 5), *series(*[50.0] * 300, at=7_000, every_ms=600_000)]
    found = alarms(numbered(day), handed_in(series(900.0, at=40 * HOUR_MS + 300_000), at=45 * HOUR_MS))
    assert events(found) == ["opened", "recovered", "provisional", "withdrawn"]
    assert found[2].alarm_id != found[0].alarm_id


def test_an_onset_stays_after_the_last_normal_value_though_a_late_one_was_provisional_before() -> None:
    live = series(*[50.0] * 3, every_ms=60_000)
    single = handed_in(series(450.0, at=90_000), at=121_000)
    after = series(250.0, 450.0, 450.0, at=180_000, every_ms=60_000)
    found = alarms(numbered(live), single, numbered(after), handed_in(series(450.0, at=-HOUR_MS), at=301_000))
    assert events(found) == ["provisional", "confirmed", "escalated"]


def test_a_component_that_holds_nothing_any_more_begins_its_time_anew_with_a_late_alarm() -> None:
    calm, flickers = series(*[50.0] * 5, every_ms=5_000), series(450.0, *[50.0] * 8, 450.0, at=40_000, every_ms=5_000)
    found = alarms(
        numbered(calm),
        handed_in(series(450.0, at=-HOUR_MS), at=25_000),
        numbered(series(*[50.0] * 3, at=25_000, every_ms=5_000)),
        handed_in(series(50.0, at=1_000 - HOUR_MS), at=40_000),
        handed_in(series(450.0, 450.0, at=60_000 - HOUR_MS), at=40_000, every_ms=0),
        numbered(flickers),
    )
    assert events(found) == ["provisional", "withdrawn", "provisional", "confirmed", "recovered", "reactivated"]


def test_a_single_late_arc_opens_for_it_needs_no_second() -> None:
    live = series(*[0] * 60, of="arc_half_cycles")
    (alarm, *_) = alarms(live, handed_in(series(20, at=-HOUR_MS, of="arc_half_cycles"), at=30_500), kind="arc_fault")
    assert (alarm.event, alarm.late, alarm.onset_ts - T0) == ("opened", True, -HOUR_MS)


@pytest.mark.parametrize("turn", list(permutations(range(5))))
def test_two_late_values_with_none_under_between_open_an_alarm_in_any_order(turn: tuple[int, ...]) -> None:
    kept = numbered([*series(50.0, 900.0, 950.0, 50.0, at=-HOUR_MS), *series(50.0, at=40_000 - HOUR_MS)])
    found = alarms(LIVE, handed_in([kept[number] for number in turn], at=60_050, every_ms=7))
    assert (found[0].event, found[0].severity, found[0].late) == ("provisional", 1, True)
    (fire,) = begun(found)
    assert (fire.severity, fire.late) == (2, True)
    assert fire.message.startswith("【补报】")
    last = found[-1]
    assert (last.event, last.onset_ts - T0, last.event_ts - T0) == ("recovered", 1_000 - HOUR_MS, 3_000 - HOUR_MS)
    assert {alarm.alarm_id for alarm in found[found.index(fire) :]} == {fire.alarm_id}
    # Where one that is normal comes between, the first was withdrawn.
    assert (fire.event == "confirmed") == ("withdrawn" not in events(found)) == (fire.alarm_id == found[0].alarm_id)


@pytest.mark.parametrize("turn", list(permutations(range(3))))
def test_two_late_values_with_one_under_between_open_nothing_once_it_is_known(turn: tuple[int, ...]) -> None:
    kept = series(900.0, 50.0, 900.0, at=-HOUR_MS)
    ordered = [kept[number] for number in turn]
    found = alarms(LIVE, handed_in(ordered, at=60_050, every_ms=7))
    assert found[0].event == "provisional"
    # Where the one under comes last nothing yet says that they do not belong together.
    assert (begun(found) == []) == (turn[-1] != 1)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("every_ms", [0, 7, 900])
def test_a_fire_that_is_over_is_told_with_its_true_times_whichever_way_it_is_drained(
    newest_first: bool, every_ms: int
) -> None:
    kept = FIRE_BEFORE[::-1] if newest_first else FIRE_BEFORE
    found = alarms(LIVE, handed_in(kept, at=60_050, every_ms=every_ms))
    assert {alarm.late for alarm in found} == {True}
    assert events(found[:2]) == ["provisional", "confirmed"]
    assert (found[-1].onset_ts - T0, found[-1].peak) == (50_000 - HOUR_MS, 900.0)
    recovered = [alarm for alarm in found if alarm.event == "recovered"]
    assert [alarm.event_ts - T0 for alarm in recovered] == [100_000 - HOUR_MS]


def test_a_single_late_value_that_is_normal_ends_nothing() -> None:
    kept = series(*[900.0] * 3, 0.0, *[900.0] * 3, at=-HOUR_MS)
    found = alarms(LIVE, handed_in(kept, at=60_050, every_ms=7))
    assert events(found) == ["provisional", "confirmed"]


def test_late_values_tell_of_worse_under_the_same_id() -> None:
    kept = series(*[350.0] * 3, *[900.0] * 3, at=-HOUR_MS)
    found = alarms(LIVE, handed_in(kept, at=60_050, every_ms=7))
    assert [(alarm.event, alarm.value, alarm.late) for alarm in found] == [
        ("provisional", 350.0, True),
        ("confirmed", 350.0, True),
        ("worsened", 900.0, True),
    ]
    assert len({alarm.alarm_id for alarm in found}) == 1


def test_a_late_fire_after_a_day_of_normal_values_is_another_alarm() -> None:
    day = [*series(*[50.0] * 2, *[900.0] * 5), *series(*[50.0] * 300, at=7_000, every_ms=600_000)]
    kept = series(*[900.0] * 3, at=40 * HOUR_MS + 300_000)
    found = alarms(numbered(day), handed_in(kept, at=45 * HOUR_MS, every_ms=7))
    told_of = [alarm for alarm in found if alarm.event != "provisional"]
    assert [(alarm.event in BEGINS or str(alarm.event), alarm.late) for alarm in told_of] == [
        (True, False),
        ("recovered", False),
        ("superseded", True),
        (True, True),
        ("recovered", False),
    ]
    assert told_of[2].alarm_id == told_of[0].alarm_id != told_of[3].alarm_id


def test_an_onset_found_earlier_is_told_as_amended_under_the_same_id() -> None:
    burning = series(*[900.0] * 60)
    kept = series(*[50.0] * 5, *[900.0] * 5, at=-10_000)
    found = alarms(burning, handed_in(kept[::-1], at=30_050, every_ms=7))
    assert events(found) == ["provisional", "confirmed", *["amended"] * 5]
    assert (found[0].onset_ts - T0, found[-1].onset_ts - T0) == (0, -5_000)
    assert len({(alarm.alarm_id, alarm.episode) for alarm in found}) == 1
    assert {alarm.limit for alarm in found} == {300.0}


def test_what_is_late_never_recovers_what_is_live() -> None:
    burning = series(*[900.0] * 60)
    kept = series(*[50.0] * 30, at=-HOUR_MS)
    assert events(alarms(burning, handed_in(kept, at=30_050, every_ms=7))) == ["provisional", "confirmed"]


def test_history_resent_at_its_own_pace_reactivates_nothing() -> None:
    day = numbered([*series(*[900.0] * 20), *series(*[50.0] * 600, at=20_000)])
    resent = [(at + 300_500, one) for at, one in day[:200]]
    assert events(alarms(day, resent)) == ["provisional", "confirmed", "recovered"]


def test_late_values_do_not_confirm_a_single_live_one() -> None:
    live = series(*[50.0] * 60, 900.0, *[50.0] * 20)
    kept = series(*[50.0] * 5, 900.0, *[50.0] * 5, at=-HOUR_MS)
    found = alarms(live, handed_in(kept, at=60_500, every_ms=7))
    assert [(str(alarm.event), alarm.late) for alarm in found] == [("provisional", True), ("withdrawn", True)]


def test_late_values_are_counted_in_their_minute_while_it_is_open() -> None:
    live = [*series(0, 0, of="arc_half_cycles", every_ms=5_000), *series(0, of="arc_half_cycles", at=200_000)]
    records = log(live, handed_in(series(9, of="arc_half_cycles", at=1_000), at=5_500))
    (aggregate,) = told([records], PartitionState(), LIMITS).aggregates
    assert aggregate.quantities["arc_half_cycles"] == {
        "count": [3], "min": [0.0], "max": [9.0], "mean": [3.0], "last": [0.0]
    }  # fmt: skip


def test_a_fire_going_on_live_while_history_is_drained_is_told_as_live() -> None:
    live = series(*[50.0] * 60, *[900.0] * 30)
    kept = series(*[60.0] * 600, at=-2 * HOUR_MS)
    (alarm,) = alarms(live, handed_in(kept, at=30_005, every_ms=50))
    assert (alarm.late, alarm.ingest_ts - T0) == (False, 63_000)
