"""The minutes of one device, as the slow twin counts them. See `detectors.twin`."""

from __future__ import annotations

from typing import Any, Final

from detectors.twin.devices import MINUTE_MS, Device, TwinReport
from schemas.events import VERSION, Aggregate
from schemas.quantities import QUANTITIES

LATENESS_MS: Final = 30_000


def count(device: Device, report: TwinReport, values: dict[tuple[str, int], float]) -> None:
    """Count the values in their minute, unless that has closed."""
    minute_ts = report.ts - report.ts % MINUTE_MS
    if minute_ts + MINUTE_MS + LATENESS_MS <= device.newest_ts:
        return
    minute = device.minutes.setdefault(minute_ts, {})
    for where, value in values.items():
        minute.setdefault(where, []).append((report.ts, value))


def closed(device: Device, offset: int, index: int, everything: bool = False) -> list[Aggregate]:
    """The minutes that the device's newest time has left behind by more than the lateness, or all; told of a report or
    order at this place."""
    found = []
    for minute_ts in sorted(device.minutes):
        if not everything and minute_ts + MINUTE_MS + LATENESS_MS > device.newest_ts:
            continue
        if minute := device.minutes.pop(minute_ts):
            found.append(
                Aggregate(
                    v=VERSION,
                    device_id=device.device_id,
                    device_kind=device.kind_name,
                    test=device.test,
                    minute_ts=minute_ts,
                    quantities=_statistics(minute),
                    source_offset=offset,
                    source_ordinal=index * 2 + minute_ts // MINUTE_MS % 2,
                )
            )
    return found


def _statistics(minute: dict[tuple[str, int], list[tuple[int, float]]]) -> dict[str, Any]:
    quantities: dict[str, Any] = {}
    for name in (quantity.name for quantity in QUANTITIES):
        last = max((component for quantity, component in minute if quantity == name), default=-1)
        if last < 0:
            continue
        columns = [_statistic(minute.get((name, component), [])) for component in range(last + 1)]
        quantities[name] = {key: [column[key] for column in columns] for key in columns[0]}
    return quantities


def _statistic(held: list[tuple[int, float]]) -> dict[str, Any]:
    if not held:
        return {"count": 0, "min": None, "max": None, "mean": None, "last": None}
    values, total = [value for _, value in held], 0.0
    for value in values:
        total += value  # sum() would compensate, the arrays do not
    newest_ts = max(ts for ts, _ in held)
    last = [value for ts, value in held if ts == newest_ts][-1]
    mean = total / len(held)
    return {"count": len(held), "min": min(values), "max": max(values), "mean": mean, "last": last}
