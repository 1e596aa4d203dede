"""What rises over a component's own level, worked out by hand from domain.md (Confirming, Normal life); the twin is
held to the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from schemas.events import Alarm
from tests.detectors.given_series import alarms, begun, events, seen, series

MINUTE = 60_000
LEAK_RISES, HEAT_RISES = "residual_current_rise", "temperature_rise"


def leak_rises(*values: float, every_ms: int = MINUTE, kind: str = "electrical_monitor") -> list[Alarm]:
    """The sudden rises of residual current of a component that speaks so often."""
    return alarms(series(*values, every_ms=every_ms, kind=kind), kind=LEAK_RISES)


# Residual current: over what was usual within half an hour.


def test_a_rise_over_what_was_usual_within_half_an_hour_alarms_below_every_absolute_limit() -> None:
    (alarm,) = leak_rises(*[40.0] * 30, *[160.0] * 3)
    assert (alarm.event, alarm.severity, alarm.ingest_ts) == ("opened", 1, alarm.onset_ts + MINUTE)
    assert (alarm.value, alarm.baseline, alarm.limit) == (120.0, 40.0, 100.0)
    assert "较基线 40mA 升高 120mA" in alarm.message


@pytest.mark.parametrize(("risen", "alarmed"), [(99.9, 0), (100.0, 1)])
def test_a_rise_of_a_hundred_alarms_and_less_does_not(risen: float, alarmed: int) -> None:
    assert len(leak_rises(*[40.0] * 30, *[40.0 + risen] * 30)) == alarmed


@pytest.mark.parametrize(("risen", "alarmed"), [(14.9, 0), (15.0, 1)])
def test_of_a_charging_pile_a_rise_of_fifteen_alarms(risen: float, alarmed: int) -> None:
    assert len(leak_rises(*[5.0] * 30, *[5.0 + risen] * 30, kind="charging_pile")) == alarmed


@pytest.mark.parametrize("every_ms", [30_000, MINUTE, 5 * MINUTE])
def test_an_office_line_that_rises_by_97_within_an_hour_each_morning_is_none(every_ms: int) -> None:
    hour = 60 * MINUTE // every_ms
    up = [40.0 + 97.0 * n / hour for n in range(hour)]
    day = [*[40.0] * hour, *up, *[137.0] * 3 * hour, *up[::-1]]
    assert not leak_rises(*day * 2, every_ms=every_ms)


@pytest.mark.parametrize("every_ms", [1_000, 10_000, MINUTE, 5 * MINUTE])
def test_120_more_within_ten_minutes_is_one(every_ms: int) -> None:
    ten = 10 * MINUTE // every_ms
    up = [40.0 + 120.0 * n / ten for n in range(1, ten + 1)]
    found = leak_rises(*[40.0] * 3 * ten, *up, *[160.0] * ten, every_ms=every_ms)
    assert events(found) == (["provisional", "confirmed"] if every_ms > 2 * MINUTE else ["opened"])


def test_as_long_as_a_rise_is_there_its_level_stays() -> None:
    found = leak_rises(*[40.0] * 30, *[160.0] * 600, *[40.0] * 30, *[160.0] * 3)
    assert [(str(alarm.event), alarm.baseline) for alarm in found] == [
        ("opened", 40.0),
        ("recovered", 40.0),
        ("reactivated", 40.0),
    ]


def test_a_rise_that_is_as_slow_as_the_day_moves_its_level() -> None:
    slowly = [40.0 + n for n in range(240)]
    assert not leak_rises(*slowly)


@pytest.mark.parametrize(("minutes", "judged"), [(9, False), (10, True)])
def test_a_level_is_known_once_two_of_its_six_parts_have_values(minutes: int, judged: bool) -> None:
    assert bool(leak_rises(*[40.0] * minutes, *[160.0] * 2)) == judged


def test_one_part_in_which_a_line_was_off_or_a_reading_wrong_is_not_its_level() -> None:
    # 50 mA and not 0: what is usual is the second lowest of the parts.
    dropout = [*[50.0] * 15, *[0.0] * 5, *[50.0] * 10]
    assert not leak_rises(*dropout, *[149.0] * 30)
    (alarm,) = leak_rises(*dropout, *[150.0] * 30)
    assert alarm.baseline == 50.0
    wild = [*[50.0] * 15, 5_000.0, *[50.0] * 14]
    (alarm,) = leak_rises(*wild, *[150.0] * 30)
    assert alarm.baseline == 50.0


def test_a_component_that_was_away_for_longer_than_half_an_hour_has_no_level() -> None:
    before = series(*[40.0] * 30, every_ms=MINUTE)
    after = series(*[160.0] * 30, every_ms=MINUTE, at=120 * MINUTE)
    assert not alarms(before, after, kind=LEAK_RISES)
    again = series(*[160.0] * 30, *[270.0] * 3, every_ms=MINUTE, at=120 * MINUTE)
    assert [alarm.baseline for alarm in alarms(before, again, kind=LEAK_RISES)] == [160.0]


def test_a_single_value_is_no_rise() -> None:
    assert not leak_rises(*[40.0] * 30, 180.0, *[40.0] * 30)
    assert events(leak_rises(*[40.0] * 30, 180.0, *[40.0] * 30, every_ms=5 * MINUTE)) == ["provisional", "withdrawn"]


# Temperature: over its running mean of 20 min.


def heat_rises(of: Callable[[float], float], every_s: int, phase_s: float, until_s: float) -> list[Alarm]:
    """The rises of a temperature that is `of` the seconds since something began, which is after the third value."""
    values = [round(of((n - 2) * every_s + phase_s), 2) for n in range(int(until_s / every_s) + 4)]
    return alarms(series(*values, every_ms=every_s * 1_000, of="temperature_c"), kind=HEAT_RISES)


def heating(at_s: float) -> float:
    """25 to 59 ℃ in five minutes, and held."""
    return 25 + 34 * min(max(at_s / 300, 0.0), 1.0)


def loaded(at_s: float) -> float:
    """A cable that takes on a load which ends at 40 K more, with a time constant of 20 min."""
    return 25 + 40 * (1 - math.exp(-max(at_s, 0.0) / 1_200))


@pytest.mark.parametrize(
    ("every_s", "phase_s"),
    [
        *[(1, 0.5), (10, 0), (10, 5), (60, 0), (60, 30)],
        *[(300, phase_s) for phase_s in (0, 60, 150, 299)],
        *[(600, phase_s) for phase_s in (0, 300, 450, 599)],
        *[(600, 100), (900, 0)],
    ],
)
def test_what_heats_from_25_to_59_in_five_minutes_is_seen_at_any_interval(every_s: int, phase_s: float) -> None:
    found = heat_rises(heating, every_s, phase_s, until_s=400 + 2 * every_s)
    assert events(found[:2]) == ["provisional", "confirmed"] if every_s > 120 else found[0].event == "opened"
    assert found[0].ingest_ts - found[0].onset_ts <= 1_000 * max(every_s, 10)
    assert found[0].baseline is not None
    assert 25 <= found[0].baseline <= 59


@pytest.mark.parametrize(
    "every_s",
    [10, 60, 300, 600, 1_200, 1_800, 2_700, 3_600, 5_400, 7_200, 21_600],
)
def test_a_load_that_ends_at_40_k_more_with_a_time_constant_of_20_min_is_none_at_any_interval(every_s: int) -> None:
    for phase_s in range(0, every_s, max(every_s // 4, 60)):
        assert not heat_rises(loaded, every_s, phase_s, until_s=3 * 3_600)


def test_a_rise_says_what_it_lies_over() -> None:
    (alarm,) = alarms(series(*[25.0] * 30, *[59.0] * 2, every_ms=MINUTE, of="temperature_c"), kind=HEAT_RISES)
    # Of a minute a 21st of what lies over the mean, and of no more than 30 K and a 20th; then it waits for the second.
    mean = 25 + 31.5 / 21
    assert alarm.baseline == pytest.approx(mean)
    assert alarm.value == pytest.approx(59 - mean)
    assert alarm.limit == 15.0
    assert "较均值 " in alarm.message
    assert "℃ 升高 " in alarm.message


@pytest.mark.parametrize(("every_ms", "told"), [(1_000, []), (MINUTE, []), (5 * MINUTE, ["provisional", "withdrawn"])])
def test_a_single_wrong_reading_is_no_rise_and_hides_none(every_ms: int, told: Sequence[str]) -> None:
    values = [*[25.0] * 30, 120.0, *[25.0] * 5]
    assert events(alarms(series(*values, every_ms=every_ms, of="temperature_c"), kind=HEAT_RISES)) == told
    found = alarms(series(*values, *[62.0] * 12, every_ms=every_ms, of="temperature_c"), kind=HEAT_RISES)
    assert begun(found)


def test_what_a_component_is_at_first_is_no_rise() -> None:
    assert not alarms(series(*[58.0] * 60, every_ms=MINUTE, of="temperature_c"), kind=HEAT_RISES)


def test_a_power_on_value_is_no_rise_and_none_follows_it() -> None:
    found = alarms(series(85.0, *[25.0] * 60, every_ms=MINUTE, of="temperature_c"), kind=HEAT_RISES)
    assert seen(found) == []
