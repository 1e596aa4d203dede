"""Clocks, order, gaps and repeats: no clock of a device decides whether a fire is seen, and none makes one of what was
none. Worked out by hand from domain.md; the twin is held to the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from detectors.limits import load_limits
from detectors.state import PartitionState
from tests.detectors.given_reports import T0, report, told
from tests.detectors.given_series import (
    DAY_MS,
    HOUR_MS,
    Arriving,
    Clock,
    alarms,
    begun,
    behind,
    events,
    handed_in,
    log,
    numbered,
    right,
    seen,
    series,
)

LIMITS = load_limits()

# Clocks. A fire of 900 mA from the tenth second on, at 1 s, must alarm 3 s later whatever the clock shows.

FIRE = [50.0] * 10 + [900.0] * 10
WRONG: dict[str, Clock] = {
    "right": right,
    "never set": lambda arrival: 740 + arrival,
    "2000": lambda arrival: 946_684_800_000 + arrival,
    "1024 weeks back": behind(1024 * 7 * DAY_MS),
    "local time for UTC": behind(-8 * HOUR_MS),
    "eight hours behind": behind(8 * HOUR_MS),
    "two days ahead": behind(-2 * DAY_MS),
    "five minutes ahead": behind(-300_000),
    "half a year ahead": behind(-180 * DAY_MS),
    "none": lambda arrival: None,
    "a text": lambda arrival: "2026-11-26T14:00:00Z",
    "in seconds": lambda arrival: (T0 + arrival) // 1000,
    "in microseconds": lambda arrival: (T0 + arrival) * 1000,
    "stuck at 1970": lambda arrival: 740,
    "stuck": lambda arrival: T0 - 60_000,
    "slow": lambda arrival: T0 + arrival // 1000,
    "a tenth as fast": lambda arrival: T0 + arrival // 10,
    "twice as fast": lambda arrival: T0 - HOUR_MS + arrival * 2,
    "of whole seconds": lambda arrival: (T0 + arrival) // 1000 * 1000,
    "of whole minutes": lambda arrival: (T0 + arrival) // 60_000 * 60_000,
    "random": lambda arrival: T0 - arrival * 7_919_000 % 86_400_000,
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("with_seq", [False, True])
def test_no_clock_decides_whether_a_fire_is_seen(name: str, with_seq: bool) -> None:
    sent = series(*FIRE, clock=WRONG[name])
    found = alarms(numbered(sent) if with_seq else sent)
    # What a clock without any order sends looks like history.
    assert events(found[:2]) == (["provisional", "confirmed"] if name == "random" else ["opened"])
    (fire,) = begun(found)
    assert fire.severity == 2
    assert fire.ingest_ts - T0 <= 15_000


@pytest.mark.parametrize("clock", WRONG.values(), ids=WRONG)
def test_no_clock_makes_an_alarm_of_normal_life(clock: Clock) -> None:
    values = [50.0 + n % 7 for n in range(200)]
    assert not alarms(series(*values, clock=clock))


def test_a_report_by_a_clock_that_is_not_credible_is_judged_by_its_arrival_and_says_so() -> None:
    (alarm,) = alarms(series(*FIRE, clock=lambda arrival: 740 + arrival))
    assert (alarm.by_arrival, alarm.onset_ts - T0, alarm.event_ts - T0) == (True, 10_000, 13_000)
    (alarm,) = alarms(series(*FIRE))
    assert (alarm.by_arrival, alarm.onset_ts - T0) == (False, 10_000)


def test_two_records_of_the_same_second_without_sequence_numbers_are_both_judged() -> None:
    first = series(*FIRE, every_ms=1_000)
    second = series(*FIRE, every_ms=1_000, at=500, clock=lambda arrival: T0 + arrival - 500)
    (alarm,) = alarms(first, second)
    assert alarm.ingest_ts - T0 <= 13_500


def test_a_channel_that_always_comes_half_a_second_later_than_the_other_is_live() -> None:
    other = series(*[30.0] * 20, of="temperature_c")
    later = [(at + 10, one) for at, one in series(*FIRE, clock=behind(500))]
    (alarm,) = alarms(other, later)
    assert (alarm.late, alarm.onset_ts - T0) == (False, 9_500)


def test_a_twin_under_the_same_id_an_hour_behind_alarms() -> None:
    healthy = series(*[50.0] * 60)
    burning = series(*[900.0] * 60, at=300, clock=behind(HOUR_MS))
    (fire,) = begun(alarms(healthy, burning))
    assert (fire.event, fire.severity) == ("confirmed", 2)
    assert fire.ingest_ts - T0 <= 10_000


@pytest.mark.parametrize("numbers", [(0, 2, 1), (1, 2, 0), (0, 1, 0), (0, 1, 5), (5, 1, 0), (0, 1, 900)])
def test_a_twin_an_hour_behind_alarms_whatever_the_two_count(numbers: tuple[int, int, int]) -> None:
    healthy_from, step, burning_from = numbers
    healthy = [(at, one | {"seq": healthy_from + step * n}) for n, (at, one) in enumerate(series(*[50.0] * 60))]
    burns = series(*[900.0] * 60, at=300, clock=behind(HOUR_MS))
    burning = [(at, one | {"seq": burning_from + step * n}) for n, (at, one) in enumerate(burns)]
    (fire,) = begun(alarms(healthy, burning))
    assert (fire.event, fire.severity) == ("confirmed", 2)
    assert fire.ingest_ts - T0 <= 10_000


def test_a_batch_dated_eight_hours_ahead_does_not_make_what_follows_late() -> None:
    batch = handed_in(series(*[50.0] * 20, clock=behind(-8 * HOUR_MS)), at=0)
    (alarm,) = alarms(batch, series(*FIRE, at=1_000))
    assert (alarm.late, alarm.ingest_ts - T0) == (False, 14_000)


def test_a_batch_dated_eight_hours_ahead_is_judged_itself() -> None:
    found = alarms(handed_in(series(*[900.0] * 20, clock=behind(-8 * HOUR_MS)), at=0))
    assert events(found) == ["provisional", "confirmed"]


@pytest.mark.parametrize("ahead_ms", [60_000, 299_000, 300_000, 3_600_000])
def test_a_report_ahead_for_each_two_real_ones_mutes_nobody(ahead_ms: int) -> None:
    sent = series(*FIRE)
    for number in range(0, len(sent), 3):
        at, one = sent[number]
        sent[number] = at, one | {"event_ts": one["event_ts"] + ahead_ms}
    (alarm,) = alarms(sent)
    assert (alarm.event, alarm.late) == ("opened", False)
    assert alarm.ingest_ts - T0 <= 14_000


@pytest.mark.parametrize("back_ms", [10_000, HOUR_MS, 30 * DAY_MS])
def test_a_clock_set_back_at_the_fault_is_live_at_once_where_its_sequence_number_goes_on(back_ms: int) -> None:
    sent = [*series(*[50.0] * 10), *series(*[900.0] * 10, at=10_000, clock=behind(back_ms))]
    (alarm, *_) = alarms(numbered(sent))
    assert (alarm.event, alarm.late, alarm.ingest_ts - T0) == ("opened", False, 13_000)
    assert alarm.onset_ts - T0 == 10_000 - back_ms


def test_a_clock_set_back_without_sequence_numbers_is_live_from_its_third_report() -> None:
    sent = [*series(*[50.0] * 10), *series(*[50.0] * 2, *[900.0] * 5, at=10_000, clock=behind(HOUR_MS))]
    (alarm,) = alarms(sent)
    assert (alarm.late, alarm.ingest_ts - T0) == (False, 15_000)


@pytest.mark.parametrize("shows", [T0 - HOUR_MS, T0 - DAY_MS, 740, T0 + 5_000])
def test_a_clock_set_back_at_the_fault_that_stands_still_since_is_live_again(shows: int) -> None:
    sent = [*series(*[50.0] * 10), *series(*[900.0] * 10, at=10_000, clock=lambda _: shows)]
    (alarm,) = begun(alarms(sent))
    assert (alarm.severity, alarm.late, alarm.ingest_ts - T0 <= 17_000) == (2, False, True)


def test_old_reports_handed_in_at_once_are_no_clock_that_was_set_back() -> None:
    live, kept = series(*[50.0] * 60), series(*[60.0] * 20, clock=behind(HOUR_MS))
    records = log(live, handed_in(kept, at=30_500, every_ms=10))
    minutes = told([records], PartitionState(), LIMITS).aggregates
    assert [(one.minute_ts - T0) // 60_000 for one in minutes] == []


def test_a_sequence_number_that_wraps_at_64_bits_goes_on() -> None:
    sent = [*series(*[50.0] * 2), *series(*[900.0] * 10, at=2_000, clock=behind(HOUR_MS))]
    numbers = [2**64 - 2, 2**64 - 1, *range(10)]
    (alarm, *_) = alarms([(at, one | {"seq": seq}) for (at, one), seq in zip(sent, numbers, strict=True)])
    assert alarm.ingest_ts - T0 == 5_000


# Repeats.


def test_a_repeat_says_nothing_twice() -> None:
    sent = series(*FIRE)
    twice = [(at + 200, one) for at, one in sent]
    assert seen(alarms(sent, twice)) == seen(alarms(sent))


def test_a_repeat_a_month_later_is_judged_as_any_by_whatever_interval() -> None:
    sent = series(*[50.0] * 3, every_ms=20 * DAY_MS)
    assert not alarms(sent, [(60 * DAY_MS, sent[-1][1]), (61 * DAY_MS, sent[-1][1]), (62 * DAY_MS, sent[0][1])])


def test_one_report_repeated_for_long_confirms_nothing() -> None:
    sent = [*series(*[50.0] * 10), *series(900.0, at=10_000)]
    resent = handed_in([sent[-1]] * 20, at=10_050, every_ms=50)
    assert not alarms(sent, resent, series(*[50.0] * 30, at=11_500))


def test_equal_reports_in_pace_three_times_running_are_a_clock_that_is_stuck() -> None:
    sent = [
        *series(*[50.0] * 10),
        *[(10_000 + n * 1_000, report(T0 + 10_000, residual_current_ma=[900.0])) for n in range(9)],
    ]
    (alarm,) = alarms(sent)
    assert alarm.ingest_ts - T0 <= 17_000


@pytest.mark.parametrize("every_ms", [1_000, 10_000])
@pytest.mark.parametrize("others", [["temperature_c"], ["temperature_c", "voltage_v", "current_a"]])
def test_a_stuck_clock_is_known_as_one_also_where_channels_come_together_in_reports_of_their_own(
    every_ms: int, others: list[str]
) -> None:
    beside = [series(*[30.0] * 40, every_ms=every_ms, clock=lambda _: T0, of=name) for name in others]
    glitch, fire = [50.0] * 10 + [900.0] + [50.0] * 29, [50.0] * 10 + [900.0] * 30
    assert not alarms(*beside, series(*glitch, every_ms=every_ms, clock=lambda _: T0))
    (alarm,) = alarms(*beside, series(*fire, every_ms=every_ms, clock=lambda _: T0))
    assert (alarm.event, alarm.severity) == ("opened", 2)
    # The third equal one is judged, which is the second in a row of those that are.
    assert alarm.ingest_ts - T0 <= 10 * every_ms + 3 * max(every_ms, 5_000)


def test_the_second_value_in_a_row_opens_an_alarm_also_where_a_component_just_begins_to_be_believed_by_time() -> None:
    sent = [*series(50.0, 50.0, every_ms=10_100), *series(900.0, 900.0, 900.0, every_ms=10_000, at=20_100)]
    assert seen(alarms(sent)) == [("opened", 30_100)]


def test_reports_of_one_time_with_other_content_are_no_repeats() -> None:
    sent = [(n * 1_000, report(T0, residual_current_ma=[(50.0 if n < 3 else 900.0) + n])) for n in range(9)]
    assert seen(alarms(sent)) == [("opened", 6_000)]


# Durations and gaps.


def test_two_glitches_five_silent_minutes_apart_do_not_confirm_each_other() -> None:
    sent = [*series(*[50.0] * 60, 900.0), *series(900.0, *[50.0] * 60, at=360_000)]
    assert seen(alarms(sent)) == [("provisional", 360_000), ("withdrawn", 361_000)]


def test_a_value_over_on_both_sides_of_a_short_loss_is_one_stretch() -> None:
    sent = [*series(*[50.0] * 60, *[900.0] * 2), *series(*[900.0] * 3, at=75_000)]
    # No value is taken to have lasted over the loss for longer than two intervals.
    assert seen(alarms(sent)) == [("opened", 75_000)]


def test_a_component_has_its_own_gap_however_often_its_device_speaks() -> None:
    others = series(*[30.0] * 400, of="temperature_c")
    sent = [*series(*[50.0] * 30, 900.0), *series(900.0, *[50.0] * 10, at=360_000)]
    assert seen(alarms(others, sent)) == [("provisional", 360_000), ("withdrawn", 361_000)]


@pytest.mark.parametrize("at_once", [1, 20, 60])
@pytest.mark.parametrize("every_ms", [1_000, 5_000, 60_000])
def test_reports_kept_and_handed_in_at_once_last_as_long_as_they_are_dated(at_once: int, every_ms: int) -> None:
    sent = series(*[50.0] * 60, *[900.0] * 60, *[50.0] * 60, every_ms=every_ms)
    bursts = [
        report
        for begin in range(0, len(sent), at_once)
        for report in handed_in(sent[begin : begin + at_once], at=sent[min(begin + at_once, len(sent)) - 1][0])
    ]
    onsets = [(str(alarm.event), alarm.onset_ts - T0) for alarm in alarms(bursts)]
    # What comes after a silence of eight of its intervals and more is a first value.
    begins = ["opened"] if at_once == 1 or (at_once, every_ms) == (20, 1_000) else ["provisional", "confirmed"]
    assert onsets == [(event, 60 * every_ms) for event in (*begins, "recovered")]


def in_bursts_of_a_minute(values: Sequence[float]) -> list[Arriving]:
    """One value a second by a clock of whole minutes, handed in at the end of each minute."""
    sent = series(*values, clock=lambda arrival: (T0 + arrival) // 60_000 * 60_000)
    minutes = range(0, len(sent), 60)
    return [one for begin in minutes for one in handed_in(sent[begin : begin + 60], at=begin * 1_000 + 59_000)]


def swaying(count: int, around: float = 50.0) -> list[float]:
    """Values of which no two are equal."""
    return [around + number / 100 for number in range(count)]


@pytest.mark.parametrize("second", [600, 601, 630, 659])
def test_one_spike_by_a_clock_of_whole_minutes_in_bursts_is_no_fire(second: int) -> None:
    values = swaying(720)
    values[second] = 900.0
    assert not alarms(in_bursts_of_a_minute(values))


@pytest.mark.parametrize("second", [300, 301, 330, 359])
def test_a_fire_by_a_clock_of_whole_minutes_in_bursts_is_seen_with_the_next_minute(second: int) -> None:
    (alarm,) = alarms(in_bursts_of_a_minute([*swaying(second), *swaying(480 - second, 900.0)]))
    assert alarm.ingest_ts - T0 <= 419_000


def test_arcs_need_no_second_report() -> None:
    assert seen(alarms(series(14, of="arc_half_cycles"), kind="arc_fault")) == [("opened", 0)]


def test_a_fire_beside_what_is_none_is_seen() -> None:
    sent = [
        (
            n * 1_000,
            report(
                T0 + n * 1_000,
                residual_current_ma=[-127, 50 if n < 2 else 520],
                temperature_c=[-127, None, 6551.5],
                current_a=[-3.48],
            ),
        )
        for n in range(8)
    ]
    (alarm,) = alarms(sent)
    assert (str(alarm.event), alarm.component, alarm.ingest_ts - T0) == ("opened", 1, 5_000)


# Power-on values.


def test_a_single_power_on_value_is_no_temperature_and_a_second_one_in_a_row_is() -> None:
    once = series(*[30.0] * 20, 85.0, *[30.0] * 20, of="temperature_c")
    assert not alarms(once, kind="temperature")
    twice = series(*[30.0] * 20, *[85.0] * 10, of="temperature_c")
    assert seen(alarms(twice, kind="temperature")) == [("opened", 26_000)]


def test_a_power_on_value_after_every_reboot_is_never_a_fire_however_often() -> None:
    assert not alarms(series(*[85.0, 30.0] * 50, of="temperature_c"), kind="temperature")
    assert not alarms(series(*[85.0, 30.0] * 50, of="temperature_c"), kind="temperature_rise")


def test_a_power_on_value_does_not_end_a_fire() -> None:
    sent = series(*[30.0] * 20, *[95.0] * 20, 85.0, *[95.0] * 20, of="temperature_c")
    assert [event for event, _ in seen(alarms(sent, kind="temperature"))] == ["opened"]
