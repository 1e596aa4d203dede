"""How a level is confirmed, by how often a component speaks, worked out by hand from domain.md (Confirming, Life of an
alarm); the twin is held to the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from detectors.checkpoints.encode import encode
from detectors.checkpoints.restore import restore_all
from detectors.limits import LimitTable, load_limits
from detectors.state import PartitionState
from schemas.events import Alarm
from tests.detectors.given_reports import CALM, T0, readings, record, report, slowly, told
from tests.detectors.given_series import HOUR_MS, alarms, behind, events, numbered, seen, series
from tests.detectors.test_detectors_by_hand import alarms as alarms_of

LEAKS = "residual_current"
FIVE_MINUTES = 300_000
TEN_MINUTES = 600_000
DAY = 24 * 6
"""Reports of each ten minutes in a day."""


def told_of(found: Sequence[Alarm]) -> list[tuple[str, int]]:
    """What happened, and how bad that is."""
    return [(str(alarm.event), alarm.severity) for alarm in found]


def leaks(*values: float, every_ms: int = 1_000) -> list[Alarm]:
    """The alarms of a component that speaks so often, of which it is known how often that is."""
    return alarms(series(*CALM, *values, every_ms=every_ms))


# Up to 10 s: time over a level within a window.


def test_a_value_that_stands_for_no_time_does_not_break_a_stretch_off() -> None:
    at_once = [report(T0 + 1, residual_current_ma=[450.0]), report(T0 + 1, residual_current_ma=[900.0])]
    later = report(T0 + 60_001, residual_current_ma=[900.0])
    records = [
        record(0, report(T0, residual_current_ma=[900.0]), ingest_ts=T0 + 3_000),
        record(1, *at_once, later, ingest_ts=T0 + 6_000),
    ]
    limits = load_limits()
    found = told([records], PartitionState(), limits)
    assert found == slowly(records, limits)
    assert events(found.alarms) == ["provisional", "confirmed", "worsened"]


@pytest.mark.parametrize("period", [(400.0, 50.0), (400.0, 400.0, 50.0, 50.0), (400.0, 50.0, 50.0, 50.0)])
def test_of_a_component_that_speaks_each_second_what_comes_and_goes_is_seen_within_half_a_minute(
    period: tuple[float, ...],
) -> None:
    (alarm,) = leaks(*period * 30)
    assert (alarm.event, alarm.severity, alarm.onset_ts - T0) == ("opened", 2, 2_000)
    assert alarm.ingest_ts - T0 <= 2_000 + 30_000


@pytest.mark.parametrize("every_ms", [1_000, 5_000, 10_000])
def test_of_a_component_that_speaks_each_ten_seconds_or_more_often_one_sample_is_nothing(every_ms: int) -> None:
    assert not leaks(5_000.0, *[50.0] * 100, every_ms=every_ms)
    assert not leaks(*[5_000.0, *[50.0] * 90] * 5, every_ms=every_ms)


def test_two_samples_25_s_apart_are_nothing_at_a_second() -> None:
    assert not leaks(900.0, *[50.0] * 24, 900.0, *[50.0] * 60)
    assert not leaks(*[900.0, *[50.0] * 24] * 10)


@pytest.mark.parametrize("begins_at", range(0, 35, 5))
def test_a_window_slides_whenever_the_first_sample_came(begins_at: int) -> None:
    # Half a second of each second and a half, a sample each half second: 10 s of 30, so the alarm is due in these.
    found = leaks(*[50.0] * begins_at, *[400.0, 50.0, 50.0] * 40, every_ms=500)
    assert told_of(found) == [("opened", 2)]
    assert found[0].ingest_ts - T0 <= (2 + begins_at) * 500 + 30_000


def test_what_was_over_longer_ago_than_the_window_counts_no_more() -> None:
    assert not leaks(*[250.0] * 9, *[50.0] * 61, *[250.0] * 9)
    assert told_of(leaks(*[250.0] * 9, *[50.0] * 5, *[250.0] * 9)) == [("opened", 1)]


@pytest.mark.parametrize("every_ms", [1_000, 5_000, 10_000])
def test_what_stays_over_is_urgent_within_half_a_minute(every_ms: int) -> None:
    (alarm,) = leaks(*[306.0] * 31, every_ms=every_ms)
    assert (alarm.event, alarm.severity, alarm.onset_ts - T0) == ("opened", 2, 2 * every_ms)
    assert alarm.ingest_ts - T0 <= 2 * every_ms + 30_000


# Up to 2 min: the second value in a row.


@pytest.mark.parametrize("every_ms", [10_001, 60_000, 120_000])
def test_of_a_component_that_speaks_each_two_minutes_or_more_often_the_second_value_in_a_row_opens(
    every_ms: int,
) -> None:
    assert seen(leaks(900.0, 900.0, every_ms=every_ms)) == [("opened", 3 * every_ms)]
    assert told_of(leaks(250.0, 900.0, 900.0, every_ms=every_ms)) == [("opened", 1), ("escalated", 2)]
    assert not leaks(*[900.0, 50.0] * 20, every_ms=every_ms)


# Longer or unknown: provisional, then confirmed or withdrawn.


@pytest.mark.parametrize("every_ms", [120_001, FIVE_MINUTES, 6 * HOUR_MS])
def test_a_first_value_of_a_component_that_speaks_more_seldom_is_provisional_and_the_next_confirms_it(
    every_ms: int,
) -> None:
    first, then = leaks(450.0, 460.0, every_ms=every_ms)
    assert told_of([first, then]) == [("provisional", 1), ("confirmed", 2)]
    assert [(one.value, one.limit, one.ingest_ts - T0) for one in (first, then)] == [
        (450.0, 300.0, 2 * every_ms),
        (460.0, 300.0, 3 * every_ms),
    ]
    assert then.alarm_id == first.alarm_id
    assert {(one.onset_ts - T0, one.episode, one.active) for one in (first, then)} == {
        (2 * every_ms, first.ingest_ts, True)
    }
    assert "待下一读数核实" in first.message
    assert "已证实" in then.message


@pytest.mark.parametrize("every_ms", [120_001, FIVE_MINUTES, 6 * HOUR_MS])
def test_a_next_value_that_is_normal_withdraws_it_and_leaves_nothing(every_ms: int) -> None:
    first, then = leaks(301.0, *[50.0] * 50, every_ms=every_ms)
    assert told_of([first, then]) == [("provisional", 1), ("withdrawn", 0)]
    assert (then.alarm_id, then.onset_ts, then.active) == (first.alarm_id, first.onset_ts, False)
    assert "未经证实，已撤回" in then.message


def test_each_single_value_is_told_and_withdrawn_under_an_id_of_its_own() -> None:
    found = leaks(*[301.0, 50.0] * 3, every_ms=FIVE_MINUTES)
    assert events(found) == ["provisional", "withdrawn"] * 3
    assert len({alarm.alarm_id for alarm in found}) == 3


def test_of_a_component_of_which_it_is_not_known_how_often_it_speaks_a_value_is_provisional() -> None:
    assert told_of(alarms(series(900.0))) == [("provisional", 1)]
    assert told_of(alarms(series(50.0, 900.0))) == [("provisional", 1)]
    assert told_of(alarms(series(900.0, 900.0))) == [("provisional", 1), ("confirmed", 2)]
    assert told_of(alarms(series(900.0, 50.0))) == [("provisional", 1), ("withdrawn", 0)]


def test_a_value_after_a_gap_confirms_a_provisional_as_a_warning_and_the_next_value_makes_it_an_alarm() -> None:
    lead = series(*[50.0] * 5, 900.0, every_ms=FIVE_MINUTES)
    found = alarms(lead, series(900.0, 900.0, at=3 * HOUR_MS, every_ms=FIVE_MINUTES))
    assert told_of(found) == [("provisional", 1), ("confirmed", 1), ("escalated", 2)]


def test_a_probe_that_is_hardly_ever_there_is_never_urgent_by_two_values_days_apart() -> None:
    open_most = [-200.0] * 600
    temperatures = [*open_most, 97.7, *open_most, 99.1, *open_most]
    found = alarms(series(*temperatures, every_ms=TEN_MINUTES, of="temperature_c"), kind="temperature")
    assert told_of(found) == [("provisional", 1), ("confirmed", 1)]


@pytest.mark.parametrize("every_ms", [1_000, 60_000])
def test_a_first_value_after_a_gap_is_provisional_and_alone_never_urgent(every_ms: int) -> None:
    before, after = series(*[50.0] * 60, every_ms=every_ms), HOUR_MS + 60 * every_ms
    alone = alarms(before, series(900.0, *[50.0] * 60, every_ms=every_ms, at=after))
    assert told_of(alone) == [("provisional", 1), ("withdrawn", 0)]
    assert told_of(alarms(before, series(900.0, 900.0, every_ms=every_ms, at=after)))[-1] == ("confirmed", 2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((250.0, 250.0), ["confirmed 1"]),
        ((250.0, 900.0), ["confirmed 1"]),
        ((900.0, 250.0), ["confirmed 1"]),
        ((900.0, 900.0), ["confirmed 2"]),
        ((250.0, 900.0, 900.0), ["confirmed 1", "escalated 2"]),
        ((900.0, 250.0, 900.0, 900.0), ["confirmed 1", "escalated 2"]),
    ],
)
def test_a_provisional_is_a_warning_and_is_confirmed_at_the_level_that_both_values_reach(
    values: tuple[float, ...], expected: list[str]
) -> None:
    first, *then = leaks(*values, every_ms=FIVE_MINUTES)
    assert (first.event, first.severity, first.severity_highest) == ("provisional", 1, 1)
    assert [f"{alarm.event} {alarm.severity}" for alarm in then] == expected


def test_of_a_charging_pile_which_has_no_warning_a_provisional_is_one_all_the_same() -> None:
    found = alarms(series(9.0, 9.0, 45.0, 45.0, every_ms=FIVE_MINUTES, kind="charging_pile"))
    assert [(str(alarm.event), alarm.severity, alarm.limit) for alarm in found] == [
        ("provisional", 1, 30.0),
        ("confirmed", 2, 30.0),
    ]


@pytest.mark.parametrize(("value", "event"), [(900.0, "confirmed"), (50.0, "withdrawn")])
def test_a_value_that_is_read_back_at_once_confirms_or_withdraws_what_waits(value: float, event: str) -> None:
    sent = series(*CALM, 900.0, every_ms=FIVE_MINUTES)
    read_back = series(value, at=2 * FIVE_MINUTES + 2_000)
    after = series(*[value] * 3, every_ms=FIVE_MINUTES, at=3 * FIVE_MINUTES)
    assert seen(alarms(sent, read_back, after)) == [
        ("provisional", 2 * FIVE_MINUTES),
        (event, 2 * FIVE_MINUTES + 2_000),
    ]


def test_without_a_next_value_what_waits_stays_and_the_next_however_late_decides() -> None:
    sent = series(*CALM, 900.0, every_ms=FIVE_MINUTES)
    for value, event in ((900.0, "confirmed"), (50.0, "withdrawn")):
        found = alarms(sent, series(value, at=20 * HOUR_MS))
        assert seen(found) == [("provisional", 2 * FIVE_MINUTES), (event, 20 * HOUR_MS)]


def test_what_waits_outlives_a_restart() -> None:
    records, limits = readings("residual_current_ma", *CALM, 900.0, 900.0, step_ms=FIVE_MINUTES), load_limits()
    state, successor = PartitionState(), PartitionState()
    (first,) = (one for one in told([records[:3]], state, limits).alarms if one.kind == LEAKS)
    restore_all(successor, dict(encode(state, [0])))
    (then,) = (one for one in told([records[3:]], successor, limits).alarms if one.kind == LEAKS)
    assert (then.event, then.alarm_id, then.onset_ts) == ("confirmed", first.alarm_id, first.onset_ts)


def test_what_another_component_measures_decides_nothing() -> None:
    both = [[50, 50], [50, 50], [900, 50], [None, 50], [None, 900], [900, 50]]
    records = [record(n, report(T0 + n * FIVE_MINUTES, residual_current_ma=one)) for n, one in enumerate(both)]
    found = [(str(one.event), one.component, one.source_offset) for one in alarms_of(records, LEAKS)]
    assert found == [("provisional", 0, 2), ("provisional", 1, 4), ("confirmed", 0, 5), ("withdrawn", 1, 5)]


def test_power_on_values_open_no_provisional_and_decide_none() -> None:
    once = series(*[30.0] * 3, 85.0, *[30.0] * 3, every_ms=FIVE_MINUTES, of="temperature_c")
    assert not alarms(once, kind="temperature")
    assert not alarms(series(85.0, of="temperature_c"), kind="temperature")
    waits = series(*[30.0] * 3, 95.0, 85.0, 95.0, every_ms=FIVE_MINUTES, of="temperature_c")
    assert seen(alarms(waits, kind="temperature")) == [
        ("provisional", 3 * FIVE_MINUTES),
        ("confirmed", 5 * FIVE_MINUTES),
    ]


def lasting(folder: Path) -> LimitTable:
    """Limits by which a warning must last for five minutes, and an alarm for three seconds."""
    path = folder / "limits.toml"
    path.write_text("[default.residual_current]\nconfirm_warning_s = 300\n", encoding="utf-8")
    return load_limits(path)


def test_a_level_that_must_last_for_minutes_opens_no_provisional(tmp_path: Path) -> None:
    def of(*values: float) -> list[tuple[str, int]]:
        records, limits = readings("residual_current_ma", *CALM, *values, step_ms=240_000), lasting(tmp_path)
        found = told([records], PartitionState(), limits)
        assert found == slowly(records, limits)
        return told_of([one for one in found.alarms if one.kind == LEAKS])

    assert of(250.0, 50.0) == of(250.0, 250.0) == []
    assert of(250.0, 250.0, 250.0) == [("opened", 1)]
    # The other level need not last.
    assert of(900.0, 50.0) == [("provisional", 1), ("withdrawn", 0)]


def test_arcs_need_no_second_value_however_seldom_a_component_speaks() -> None:
    found = alarms(series(0, 0, 14, 0, every_ms=6 * HOUR_MS, of="arc_half_cycles"), kind="arc_fault")
    assert told_of(found) == [("opened", 2)]


# While the alarm before was not reset.


BURNT = (*CALM, *[450.0] * 2, *[50.0] * 3)
"""An alarm that recovered."""


def test_a_single_value_within_a_day_of_recovery_reactivates_the_alarm_that_was_never_reset() -> None:
    found = alarms(series(*BURNT, 250.0, *[50.0] * 3, every_ms=TEN_MINUTES))
    assert told_of(found) == [
        ("provisional", 1), ("confirmed", 2), ("recovered", 0), ("reactivated", 1), ("recovered", 0),
    ]  # fmt: skip
    assert len({alarm.alarm_id for alarm in found}) == 1


def test_what_came_back_as_a_warning_and_is_urgent_at_the_next_value_is_told_as_such() -> None:
    found = alarms(series(*BURNT, 450.0, 450.0, every_ms=TEN_MINUTES))
    assert told_of(found)[2:] == [("recovered", 0), ("reactivated", 1), ("escalated", 2)]


def test_of_a_charging_pile_a_single_value_that_reactivates_is_not_urgent() -> None:
    sent = series(9.0, 9.0, 45.0, 45.0, *[9.0] * 3, 45.0, 9.0, every_ms=TEN_MINUTES, kind="charging_pile")
    assert told_of(alarms(sent))[2:] == [("recovered", 0), ("reactivated", 1)]


def test_a_single_value_after_more_than_a_day_is_provisional_and_what_it_comes_to_decides_over_the_alarm_before() -> (
    None
):
    before = [*BURNT, *[50.0] * DAY]
    withdrawn = alarms(series(*before, 450.0, *[50.0] * 3, every_ms=TEN_MINUTES))
    assert told_of(withdrawn)[2:] == [("recovered", 0), ("provisional", 1), ("withdrawn", 0)]
    assert withdrawn[3].alarm_id == withdrawn[4].alarm_id != withdrawn[2].alarm_id
    # The one before stays as it was: within a day of another value it would be superseded, not reactivated.
    confirmed = alarms(series(*before, 450.0, 50.0, 450.0, 460.0, every_ms=TEN_MINUTES))
    assert told_of(confirmed)[5:] == [("provisional", 1), ("superseded", 0), ("confirmed", 2)]
    waits, over, anew = confirmed[5:]
    assert over.alarm_id == confirmed[0].alarm_id
    assert anew.alarm_id == waits.alarm_id not in {alarm.alarm_id for alarm in confirmed[:5]}
    assert (anew.onset_ts, anew.severity_highest, anew.peak) == (waits.onset_ts, 2, 460.0)


def test_a_value_that_is_handed_in_late_does_not_decide_over_a_live_one_that_waits() -> None:
    sent = numbered(series(*CALM, 900.0, every_ms=FIVE_MINUTES))
    late = [(2 * FIVE_MINUTES + 5_000, one) for _, one in series(50.0, clock=behind(HOUR_MS))]
    after = series(900.0, at=3 * FIVE_MINUTES)
    assert seen(alarms(sent, late, after)) == [("provisional", 2 * FIVE_MINUTES), ("confirmed", 3 * FIVE_MINUTES)]
