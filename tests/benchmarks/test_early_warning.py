"""The benchmark of early warning at a size that shows that it runs, and that its targets are not beyond reach."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import early_warning
from benchmarks.page import table


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return early_warning.run(early_warning.SMOKE, lambda _: None)


def test_a_small_fleet_is_spoken_of_in_time_and_seldom_for_nothing(result: dict[str, Any]) -> None:
    by_fault = {one["fault"]: one for one in result["faults"] if one["lines"] == "all"}
    # Of few lines the wet ones know few neighbours: rain takes them longer to tell.
    assert by_fault["step_60"]["in_time"] >= 0.8
    assert by_fault["creep_110_in_7_days"]["never"] == 0
    assert by_fault["joint_15_k"]["in_time"] >= 0.8
    assert result["false_per_device_month"] <= early_warning.FALSE_MOST


def test_the_recorded_machine_is_spoken_of_before_its_failures_end(result: dict[str, Any]) -> None:
    if not early_warning.RECORDING.exists():
        pytest.skip("the recording of NAB is not beside this checkout")
    for recording in result["recordings"].values():
        assert recording["spoken_of"] >= 3
        assert recording["false_per_month"] <= 2


def test_a_result_becomes_a_table(result: dict[str, Any]) -> None:
    assert len(table(result)) > len(early_warning.TARGETS)
