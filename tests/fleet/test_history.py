"""Months of simulated hours: seeded, as domain.md says, and with the truth of what was planted."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from fleet.history import HistoryConfig, SlowFault, make_history
from fleet.history.habits import KIND_NAMES, workdays

CONFIG: Final = HistoryConfig(seed=4, days=90, normal=8, faulty=1, quiet_days=30, within_days=10)
HISTORY: Final = make_history(CONFIG)
HOURS: Final = CONFIG.days * 24


def test_the_same_seed_gives_the_same_and_another_one_not() -> None:
    again = make_history(CONFIG)
    np.testing.assert_array_equal(again.residual.mean, HISTORY.residual.mean)
    np.testing.assert_array_equal(again.temperature.most, HISTORY.temperature.most)
    assert again.planted == HISTORY.planted
    other = make_history(HistoryConfig(seed=5, days=90, normal=8, faulty=1, quiet_days=30, within_days=10))
    assert not np.array_equal(other.residual.mean, HISTORY.residual.mean, equal_nan=True)


def test_a_few_hours_are_missing_and_the_values_are_possible() -> None:
    residual = HISTORY.residual.mean
    assert 0.02 < np.isnan(residual).mean() < 0.08
    assert np.nanmin(residual) >= 0
    assert -30 < np.nanmin(HISTORY.temperature.mean) < np.nanmax(HISTORY.temperature.mean) < 400
    assert np.nanmin(HISTORY.current.mean) >= 0
    for columns in (HISTORY.residual, HISTORY.temperature, HISTORY.current):
        known = ~np.isnan(columns.mean)
        assert (columns.least[known] <= columns.mean[known] + 0.01).all()
        assert (columns.mean[known] <= columns.most[known] + 0.01).all()


def test_an_office_swings_with_its_workdays() -> None:
    planted = {one.device_id for one in HISTORY.planted}
    office = [
        at
        for at, device in enumerate(HISTORY.device_ids)
        if device not in planted and HISTORY.kind[at] == KIND_NAMES.index("office")
    ]
    works = workdays(CONFIG.first_hour, HOURS)
    at_noon = np.arange(HOURS) % 24 == 10
    busy = np.nanmedian(HISTORY.residual.mean[office][:, works & at_noon], axis=1)
    idle = np.nanmedian(HISTORY.residual.mean[office][:, ~works & at_noon], axis=1)
    assert (busy - idle > 40).all()


@pytest.mark.parametrize(("fault", "rise"), [(SlowFault.STEP, 60), (SlowFault.CREEP_7, 110), (SlowFault.CREEP_50, 50)])
def test_a_planted_rise_is_as_large_as_its_truth_says(fault: SlowFault, rise: float) -> None:
    with_fault = {one.device_id: one for one in HISTORY.planted if one.fault is fault}
    assert {one.line_kind for one in with_fault.values()} == set(KIND_NAMES)
    rises = []
    for device, one in with_fault.items():
        hours = HISTORY.residual.mean[HISTORY.device_ids.index(device)]
        begin, full = one.begin_hour - CONFIG.first_hour, one.full_hour - CONFIG.first_hour
        rises.append(
            np.nanquantile(hours[full : full + 20 * 24], 0.2) - np.nanquantile(hours[begin - 20 * 24 : begin], 0.2)
        )
    assert np.median(rises) == pytest.approx(rise, abs=12)


def test_neighbours_share_wet_weather() -> None:
    wet = np.flatnonzero(HISTORY.kind == KIND_NAMES.index("wet"))[:8]
    areas = [HISTORY.registered[at].area for at in wet]
    lines = HISTORY.residual.mean[wet][:, : 30 * 24]
    known = np.where(np.isnan(lines), np.nanmedian(lines, axis=1, keepdims=True), lines)
    daily = known.reshape(len(wet), 30, 24).mean(axis=2)
    together = [
        np.corrcoef(daily[one], daily[other])[0, 1]
        for one in range(len(wet))
        for other in range(one)
        if areas[one] == areas[other]
    ]
    assert np.median(together) > 0.6
