"""Hours and days are what the minutes say, however often they are made, and whatever came in between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from cli.hourly import aggregates
from cli.hourly.aggregates import NewlyMade, make_aggregates
from early_warning.calendar import day_of
from sinks.clickhouse.service import Service
from tests.cli.hourly.given import FIRST, StoredMinute, store

PeriodKey = tuple[str, int, str, int, bool]


def nobody(_: str) -> None:
    """Hears of nothing."""


def make(service: Service, closed: int) -> NewlyMade | None:
    return make_aggregates(service, closed, now_ms=closed * 3_600_000, tell=nobody)


def folded(minutes: Sequence[StoredMinute], period: Callable[[float], int]) -> dict[PeriodKey, tuple[Any, ...]]:
    """The slow twin: by key and period the hours with a value, how many values, the least, the greatest, the mean."""
    held = defaultdict[PeriodKey, list[StoredMinute]](list)
    for one in minutes:
        if one.values:
            held[one.device_id, period(one.hour), one.quantity, one.component, one.test].append(one)
    return {
        key: (
            *(len({int(one.hour) for one in of}), sum(one.values for one in of)),
            *(min(one.least for one in of), max(one.most for one in of)),
            round(sum(one.mean * one.values for one in of) / sum(one.values for one in of), 2),
        )
        for key, of in held.items()
    }


def hours(service: Service) -> dict[PeriodKey, tuple[Any, ...]]:
    found = service.query(
        "SELECT device_id, intDiv(toUnixTimestamp(hour_ts), 3600), quantity, component, test,"
        " 1, count, min, max, mean FROM hours"
    )
    return {row[:5]: (*row[5:9], round(row[9], 2)) for row in found}


def days(service: Service) -> dict[PeriodKey, tuple[Any, ...]]:
    found = service.query(
        "SELECT device_id, toUInt32(day), quantity, component, test, hours, count, min, max, mean FROM days"
    )
    return {row[:5]: (*row[5:9], round(row[9], 2)) for row in found}


def some_minutes(seed: int, first: int, count: int) -> list[StoredMinute]:
    """Minutes of four devices over a day and a half, tests and minutes without a value among them."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        least, middle, most = sorted(float(round(value)) for value in rng.uniform(20, 90, 3))
        made.append(
            StoredMinute(
                first + int(rng.integers(0, 36 * 60)) / 60,
                f"LY-{rng.integers(4)}",
                ("residual_current_ma", "temperature_c")[rng.integers(2)],
                int(rng.integers(2)),
                int(rng.integers(0, 3)),
                *(least, middle, most),
                bool(rng.random() < 0.1),
            )
        )
    return made


def of(day_hour: float) -> int:
    return day_of(int(day_hour))


def test_hours_and_days_are_what_the_minutes_say_and_late_ones_make_theirs_anew(service: Service) -> None:
    minutes = some_minutes(1, FIRST, 400)
    store(service, [one for one in minutes if one.hour < FIRST + 30])
    assert make(service, FIRST + 30) is not None
    before = [one for one in minutes if one.hour < FIRST + 30]
    assert hours(service) == folded(before, int)
    assert days(service) == folded([one for one in before if of(one.hour) == of(FIRST)], of)
    late = some_minutes(2, FIRST, 60)
    store(service, late, partition=1)
    store(service, [one for one in minutes if one.hour >= FIRST + 30])
    made = make(service, FIRST + 48)
    assert hours(service) == folded([*minutes, *late], int)
    assert days(service) == folded([*minutes, *late], of)
    assert made is not None
    assert made.days == 2
    assert made.first == min(int(one.hour) for one in late)


def test_an_hour_that_has_not_closed_is_not_made_before(service: Service) -> None:
    store(service, [StoredMinute(FIRST), StoredMinute(FIRST + 1)])
    make(service, FIRST + 1)
    assert {hour for _, hour, *_ in hours(service)} == {FIRST}
    # Nor is it late once it closes: it is made whole.
    store(service, [StoredMinute(FIRST + 1.5, mean=90, most=90)])
    make(service, FIRST + 2)
    assert hours(service)["LY-1", FIRST + 1, "residual_current_ma", 0, False] == (1, 2, 30, 90, 60)


def test_nothing_new_makes_nothing(service: Service) -> None:
    assert make(service, FIRST + 2) is None
    store(service, [StoredMinute(FIRST)])
    make(service, FIRST + 2)
    made = make(service, FIRST + 2)
    assert made is not None
    assert (made.hours, made.days) == (0, 0)
    assert service.query("SELECT count(), sum(count) FROM aggregates_1h") == [(1, 1)]


def test_a_making_that_broke_off_is_made_again_by_the_next(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    minutes = some_minutes(3, FIRST, 200)
    store(service, minutes)

    def dying(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(aggregates, "_note", dying)
        with pytest.raises(KeyboardInterrupt):
            make(service, FIRST + 20)
    make(service, FIRST + 40)
    assert hours(service) == folded(minutes, int)
    assert days(service) == folded([one for one in minutes if of(one.hour) == of(FIRST)], of)


def test_of_many_late_devices_the_whole_hour_is_made(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    minutes = [StoredMinute(FIRST, f"LY-{n}") for n in range(5)]
    store(service, minutes)
    make(service, FIRST + 30)
    late = [StoredMinute(FIRST + 0.5, f"LY-{n}", mean=50, most=50) for n in range(5)]
    store(service, late)
    monkeypatch.setattr(aggregates, "LATE_MOST", 3)
    make(service, FIRST + 30)
    assert hours(service) == folded([*minutes, *late], int)
    assert days(service) == folded([*minutes, *late], of)


def test_a_clock_that_goes_back_makes_nothing_older(service: Service) -> None:
    store(service, [StoredMinute(FIRST)])
    make_aggregates(service, FIRST + 1, now_ms=9_000_000_000_000, tell=nobody)
    store(service, [StoredMinute(FIRST + 0.5, mean=50, most=50)])
    make_aggregates(service, FIRST + 1, now_ms=1_000, tell=nobody)
    assert hours(service)["LY-1", FIRST, "residual_current_ma", 0, False] == (1, 2, 30, 50, 40)


def test_a_partition_whose_sink_was_behind_is_caught_up_with_however_old_its_minutes_are(service: Service) -> None:
    store(service, [StoredMinute(FIRST, "LY-0"), StoredMinute(FIRST + 40, "LY-0")], partition=2)
    store(service, [StoredMinute(FIRST, "LY-1")], partition=3)
    make(service, FIRST + 41)
    # It was published a day and a half ago, and is stored only now; of its neighbour nothing is new.
    late = [StoredMinute(FIRST + 1, "LY-1", mean=50, most=50), StoredMinute(FIRST + 2, "LY-1")]
    store(service, late, partition=3)
    made = make(service, FIRST + 42)
    assert made is not None
    assert (made.first, made.hours) == (FIRST + 1, 3)
    assert {key[1] for key in hours(service) if key[0] == "LY-1"} == {FIRST, FIRST + 1, FIRST + 2}


def test_minutes_that_were_lost_with_a_backup_count_once_they_are_stored_again(service: Service) -> None:
    kept, lost = StoredMinute(FIRST), StoredMinute(FIRST + 0.5, mean=50, most=50)
    store(service, [kept, lost], partition=4)
    make(service, FIRST + 3)
    service.query("TRUNCATE TABLE aggregates_1m")
    service.query("TRUNCATE TABLE aggregates_1h")
    store(service, [kept], partition=4, again=2)
    make(service, FIRST + 3)
    store(service, [lost, StoredMinute(FIRST + 2)], partition=4)
    make(service, FIRST + 3)
    found = hours(service)
    assert found["LY-1", FIRST, "residual_current_ma", 0, False] == (1, 2, 30, 50, 40)
    assert {key[1] for key in found} == {FIRST, FIRST + 2}
