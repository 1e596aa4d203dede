"""Tables of what is right rather than fast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.machine import Measured

PageTable = tuple[Sequence[str], Iterable[Sequence[Any]]]


def yes(good: bool) -> str:
    return "yes" if good else "no"


def early_warning(result: Measured) -> PageTable:
    """How soon slow early warning speaks, and how often wrongly."""
    cost = result["cost"]
    head = ("", "lines", "planted", "in time", "never", "days p50", "p90", "max")
    faults = (
        (
            one["fault"],
            *("" if one[name] is None else one[name] for name in ("lines", "planted", "in_time", "never")),
            *(one["days"].get(name, "") for name in ("p50", "p90", "max")),
        )
        for one in result["faults"]
    )
    sums = [
        ("false a device-month", result["false_per_device_month"]),
        ("precision", result["precision"]),
        *(
            (f"NAB's machine, {name}: {what}", one[figure])
            for name, one in result.get("recordings", {}).items()
            for what, figure in (("failures of 4 spoken of", "spoken_of"), ("false a month", "false_per_month"))
        ),
        (f"s for an hour of {cost['devices']} devices", cost["seconds"]),
    ]
    return head, [*faults, *((name, value, *[""] * 6) for name, value in sums)]


def hourly(result: Measured) -> PageTable:
    """What a run of the hourly job costs."""
    head = ("devices", "components", "s", "of that making the hour", "peak MB", "of ClickHouse")
    names = ("devices", "components", "seconds", "making_s", "peak_mb", "clickhouse_peak_mb")
    return head, [tuple(result[name] for name in names)]


def rightness(result: Measured) -> PageTable:
    """What must be told, and what is."""
    head = ("what", "must be", "measured", "of", "right")
    return head, (
        (
            f"{one['part']}: {one['what']}",
            one["target"],
            one["measured"] or f"{one['failed']} wrong",
            one["checked"],
            "counted only" if one["counted_only"] else yes(one["good"]),
        )
        for one in result["lines"]
    )
