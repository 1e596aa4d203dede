"""The benchmark of the hourly job at a size that says nothing about speed."""

from __future__ import annotations

from benchmarks import hourly
from benchmarks.page import table


def test_a_run_makes_the_hour_and_looks_at_all_components() -> None:
    result = hourly.run(hourly.SMOKE, lambda _: None)
    judged = sum(
        count for name, (count, _) in hourly.COMPONENTS.items() if name in ("residual_current_ma", "temperature_c")
    )
    assert (result["devices"], result["components"]) == (hourly.SMOKE.devices, judged * hourly.SMOKE.devices)
    assert (result["hours"], result["notices"]) == (1, 0)
    assert len(table(result)) > 1
