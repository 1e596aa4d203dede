"""Each rule on a few lines: what it tells, when, and what it leaves alone."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

from early_warning import rules
from early_warning.advance import CURRENT, RelearnOrder, hour_values
from early_warning.table import LEAKAGE, RULES, TEMPERATURE
from tests.early_warning.given_hours import FIRST, day_of_notice, days, hours_of, neighbour, told

DAY = 24


def test_a_step_is_told_within_a_day_and_once() -> None:
    line = days(40)
    line[20 * DAY :] += 60
    first, *others = told({LEAKAGE: hours_of({"A": [line]})})
    assert first.rule == "baseline"
    assert 20 < day_of_notice(first) < 21
    assert 50 < first.excess < 70
    assert not others
    assert "高出" in first.message
    assert "基线" in first.advice


def test_a_step_that_stands_is_told_again_after_a_month_and_when_it_is_half_as_bad_again() -> None:
    line = days(80)
    line[20 * DAY :] += 40
    line[60 * DAY :] += 60
    told_days = [round(day_of_notice(one)) for one in told({LEAKAGE: hours_of({"A": [line]})}) if one.rule != "trend"]
    assert told_days[0] in (20, 21)
    assert any(50 <= day <= 52 for day in told_days)
    assert any(60 <= day <= 62 for day in told_days)
    assert len(told_days) <= 5


def test_a_normal_line_a_constant_one_and_a_single_value_are_left_alone() -> None:
    nothing = np.full(40 * DAY, np.nan)
    single = nothing.copy()
    single[5] = 500.0
    lines = {"A": [days(40)], "B": [np.full(40 * DAY, 12.0)], "C": [single], "D": [nothing]}
    assert told({LEAKAGE: hours_of(lines)}) == []
    assert told({TEMPERATURE: hours_of(lines)}) == []
    assert told({}) == []
    assert told({LEAKAGE: hours_of({})}) == []


def test_office_hours_that_begin_an_hour_early_are_normal() -> None:
    line = days(40, swing=100)
    line[20 * DAY + 7 :: DAY] += 100
    assert told({LEAKAGE: hours_of({"A": [line]})}) == []


def test_an_evening_of_work_is_normal() -> None:
    line = days(40, swing=100)
    for day in range(20, 40, 3):
        line[day * DAY + 18 : day * DAY + 23] += 100
    assert told({LEAKAGE: hours_of({"A": [line]})}) == []


def test_an_accepted_rise_is_learned_and_the_next_one_told() -> None:
    line = days(70)
    line[20 * DAY :] += 60
    line[50 * DAY :] += 60
    order = RelearnOrder(FIRST + 22 * DAY, "accept_rise", "A")
    notices = [one for one in told({LEAKAGE: hours_of({"A": [line]})}, [order]) if one.rule == "baseline"]
    assert [round(day_of_notice(one)) for one in notices] == [20, 50] or [
        int(day_of_notice(one)) for one in notices
    ] == [20, 50]


def test_a_replaced_device_is_another() -> None:
    line, heat = days(25), days(25, base=30, swing=5, noise=0.5)
    line[14 * DAY :] += 80
    heat[14 * DAY :] += 30
    order = RelearnOrder(FIRST + 14 * DAY, "replace", "A")
    hours = {LEAKAGE: hours_of({"A": [line]}), TEMPERATURE: hours_of({"A": [heat]})}
    assert told(hours, [order]) == []
    assert {one.quantity for one in told(hours)} == {LEAKAGE, TEMPERATURE}


def test_creep_is_told_before_it_comes_to_60_ma() -> None:
    line = days(62)
    line[35 * DAY :] += np.minimum(np.arange(len(line) - 35 * DAY) / DAY / 30, 1) * 110
    first = told({LEAKAGE: hours_of({"A": [line]})})[0]
    assert 35 < day_of_notice(first) < 35 + 30 * 60 / 110


def test_what_load_explains_is_normal_and_what_it_does_not_is_told() -> None:
    rng = np.random.default_rng(3)
    load = np.clip(rng.normal(20, 8, 60 * DAY), 2, 50)
    line = 30 + 3 * load + rng.standard_normal(len(load))
    working, failing = load.copy(), line.copy()
    working[40 * DAY :] = 55.0
    worked = 30 + 3 * working + rng.standard_normal(len(load))
    failing[40 * DAY :] += 40
    notices = told(
        {
            LEAKAGE: hours_of({"A": [worked], "B": [failing]}),
            CURRENT: hours_of({"A": [working], "B": [load]}),
        }
    )
    assert {one.device_id for one in notices if one.rule != "trend"} == {"B"}


def _wet(days_of_rain: float = 3.0) -> np.ndarray:
    """How wet it is, 0 to 1: a rain of a day each two weeks, and drying."""
    found = np.zeros(70 * DAY)
    for begin in range(10 * DAY, len(found), 14 * DAY):
        since = np.arange(len(found) - begin)
        found[begin:] += np.where(since < DAY, since / DAY, np.exp(-(since - DAY) / (days_of_rain * 8)))
    return found


def test_wet_weather_is_no_notice_and_a_line_that_stays_wet_is_one() -> None:
    wet = _wet()
    lines = {f"N{at}": [days(70, seed=at) + 10 * wet] for at in range(8)}
    lines["cellar"] = [days(70, seed=20) + 70 * wet]
    stays = days(70, seed=21) + 70 * wet
    stays[52 * DAY + 12 :] += 35  # in the rain of day 52
    lines["stays"] = [stays]
    notices = told({LEAKAGE: hours_of(lines)}, registered=[neighbour(name) for name in lines])
    assert {one.device_id for one in notices} == {"stays"}
    assert day_of_notice(notices[0]) > 52
    assert "国贸大厦" in notices[0].message


def test_heat_is_told_at_the_close_of_its_first_hour() -> None:
    heat = days(30, base=30, swing=8, noise=0.5)
    heat[20 * DAY + 3 :] += 16
    first = told({TEMPERATURE: hours_of({"A": [heat]})})[0]
    assert first.rule == "heat"
    assert day_of_notice(first) == pytest.approx(20 + 3 / 24)


def test_one_place_warmer_than_its_siblings_is_told_and_warm_weather_is_not() -> None:
    three = [days(30, seed=at, base=30 + 3 * at, swing=8, noise=0.5) for at in range(3)]
    warm = np.where(np.arange(30 * DAY) >= 20 * DAY, 17.0, 0.0)
    assert told({TEMPERATURE: hours_of({"A": [one + warm for one in three]})}) == []
    three[1][25 * DAY :] += 16
    first, *_ = told({TEMPERATURE: hours_of({"A": three})})
    assert (first.rule, first.component) == ("siblings", 1)
    assert day_of_notice(first) == 25


def test_a_line_of_load_that_is_off_for_all_siblings_hides_no_joint() -> None:
    rng = np.random.default_rng(7)
    load = np.where(days(30, noise=0) > 50, 30.0, rng.uniform(8, 20, 30 * DAY))
    begin = 20 * DAY
    load[begin : begin + 3] = 1
    # Not by the square of the load: with next to none all three lie some K below the line.
    three = [25 + 1.2 * load + 0.3 * rng.standard_normal(len(load)) for _ in range(3)]
    three[1][begin:] += 17
    first, *_ = told({TEMPERATURE: hours_of({"A": three}), CURRENT: hours_of({"A": [load] * 3})})
    assert (first.rule, first.component) == ("siblings", 1)
    assert day_of_notice(first) == begin / DAY


def test_all_phases_of_a_device_are_one_notice() -> None:
    three = [days(30, seed=at, base=30, swing=8, noise=0.5) for at in range(3)]
    hot = [one + np.where(np.arange(30 * DAY) >= 20 * DAY, 30.0, 0.0) for one in three]
    notices = told({TEMPERATURE: hours_of({"A": hot})})
    assert len(notices) == 1
    assert "另有2路" in notices[0].message


def test_a_lone_wild_sample_is_nothing() -> None:
    heat = days(30, base=30, swing=8, noise=0.5)
    heat[20 * DAY + 3] = 230.0
    assert told({TEMPERATURE: hours_of({"A": [heat]}, counts=1)}) == []


def test_a_probe_that_came_off_is_told_and_a_load_that_is_gone_is_not() -> None:
    heat, load = days(40, base=45, swing=5, noise=0.5), days(40, base=20, swing=5, noise=0.2)
    cold = np.where(np.arange(40 * DAY) >= 30 * DAY, 20.0, heat)
    off = np.where(np.arange(40 * DAY) >= 30 * DAY, 0.1, load)
    hours = {TEMPERATURE: hours_of({"A": [cold], "B": [cold]}), CURRENT: hours_of({"A": [load], "B": [off]})}
    notices = told(hours)
    assert [(one.rule, one.device_id) for one in notices] == [("fall", "A")]


def test_a_joint_that_heats_more_at_equal_load_from_week_to_week_is_told() -> None:
    rng = np.random.default_rng(5)
    hours = 98 * DAY
    load = np.clip(rng.normal(20, 8, hours), 2, 45)
    worse = np.clip((np.arange(hours) - 42 * DAY) / (42 * DAY), 0, 1)
    well = 25 + 0.02 * load**2 + 0.3 * rng.standard_normal(hours)
    ill = 25 + 0.02 * (1 + worse) * load**2 + 0.3 * rng.standard_normal(hours)
    notices = told({TEMPERATURE: hours_of({"A": [well], "B": [ill]}), CURRENT: hours_of({"A": [load], "B": [load]})})
    joints = [one for one in notices if one.rule == "joint"]
    assert {one.device_id for one in joints} == {"B"}
    assert 42 < day_of_notice(joints[0]) < 84


def test_a_limit_that_will_be_crossed_is_told_with_the_days_that_are_left() -> None:
    line = days(60, base=100, swing=20, noise=1)
    line[30 * DAY :] += np.arange(30 * DAY) / DAY * 2.5
    trend = next(one for one in told({LEAKAGE: hours_of({"A": [line]})}) if one.rule == "trend")
    left = (200 - trend.evidence["highest"]) / trend.evidence["a_day"]
    assert trend.evidence["days"] == pytest.approx(np.ceil(left), abs=1)
    assert trend.evidence["days"] <= 30
    assert "限值200mA" in trend.message


def test_the_least_and_the_greatest_value_of_an_hour_do_not_count() -> None:
    count = np.array([60, 3, 2, 1, 0])
    mean = np.array([(58 * 40 + 39 + 241) / 60, 40.0, 45.0, 47.0, np.nan])
    least, most = np.array([39.0, 30.0, 40.0, 47.0, np.nan]), np.array([241.0, 50.0, 50.0, 47.0, np.nan])
    np.testing.assert_allclose(hour_values(count, least, mean, most), [40, 40, 45, 47, np.nan])


def test_every_rule_says_what_to_do_and_its_sentence_is_as_it_is_written() -> None:
    assert all(rule.advice and rule.label for rule in RULES)
    modules = [importlib.import_module(f"{rules.__name__}.{one.name}") for one in pkgutil.iter_modules(rules.__path__)]
    results = [doctest.testmod(module) for module in modules]
    assert sum(one.attempted for one in results) >= len(modules) == len({rule.name for rule in RULES})
    assert sum(one.failed for one in results) == 0
