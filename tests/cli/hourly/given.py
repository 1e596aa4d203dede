"""Minutes as sinks store them and hours as the job makes them, entries and orders, by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np

from cli.hourly.storage import insert
from early_warning.advance import HourlyValues
from early_warning.calendar import HOUR_MS
from schemas.registry import DeviceEntry
from sinks.clickhouse.service import Service

TOPIC_ID: Final = UUID(int=7)
FIRST: Final = 497_224
"""The hour 2026-09-21 16:00 UTC, with which a day in Shanghai begins."""


class StoredMinute(NamedTuple):
    """Values of one component in one minute: how many, the least, the greatest, their mean."""

    hour: float
    device_id: str = "LY-1"
    quantity: str = "residual_current_ma"
    component: int = 0
    values: int = 1
    least: float = 30.0
    mean: float = 30.0
    most: float = 30.0
    test: bool = False


_offsets: dict[tuple[str, int], int] = {}


def store(service: Service, minutes: Iterable[StoredMinute], partition: int = 0, again: int = 0) -> None:
    """Store minutes as a sink does, each a record of its own behind those that are there, or, where the last of these
    are gone, so many of them `again`."""
    at = (service.config.database, partition)
    _offsets[at] = _offsets.get(at, -1) - again
    rows = []
    for one in minutes:
        _offsets[at] = offset = _offsets[at] + 1
        ts = round(one.hour * HOUR_MS)
        row: dict[str, Any] = {
            "device_id": one.device_id, "device_kind": "electrical_monitor", "test": one.test,
            "quantity": one.quantity, "component": one.component, "minute_ts": ts // 1_000, "ingest_ts": ts + 90_000,
            "count": one.values, "min": one.least, "max": one.most, "mean": one.mean, "last": one.mean,
            "topic": "emberline.aggregates", "topic_id": TOPIC_ID, "partition": partition, "offset": offset,
        }  # fmt: skip
        rows.append(row)
    insert(service, "aggregates_1m", {name: [row[name] for row in rows] for name in rows[0]})


def store_hours(
    service: Service, hours: Mapping[str, HourlyValues], first: int, begin: int, end: int, test: bool = False
) -> None:
    """Store the hours from `begin` to `end`, counted from `first`, as if they had been made of minutes."""
    ((made,),) = service.query("SELECT toInt64(max(made)) + 1 FROM aggregates_made")
    rows: list[tuple[Any, ...]] = []
    for quantity, of in hours.items():
        for key, values, counts in zip(of.keys, of.value[:, begin:end], of.counts[:, begin:end], strict=True):
            rows += [
                ((first + begin + at) * 3_600, *key, quantity, int(count), float(value))
                for at, (value, count) in enumerate(zip(values, counts, strict=True))
                if np.isfinite(value)
            ]
    at, device, component, quantities, counted, value = (list(column) for column in zip(*rows, strict=True))
    columns = {"hour_ts": at, "device_id": device, "component": component, "quantity": quantities, "count": counted}
    columns |= dict.fromkeys(("min", "max", "mean"), value)
    insert(service, "aggregates_1h", columns | {"made": [made] * len(rows), "test": [test] * len(rows)})
    until = [(first + end) * 3_600]
    for period in ("hour", "day"):
        note = {"period": [period], "made": [made], "first_ts": [(first + begin) * 3_600], "until_ts": until}
        insert(service, "aggregates_made", note)


def register(service: Service, entries: Sequence[DeviceEntry], number: int = 1) -> None:
    """Store what is registered of devices, as the change of that number."""
    columns = {
        name: [getattr(entry, name) for entry in entries]
        for name in ("device_id", "kind", "removed", "unit_id", "area")
    }
    columns |= {"body": [entry.to_json().decode() for entry in entries], "epoch": [1] * len(entries)}
    insert(service, "registry_history", columns | {"number": [number] * len(entries)})
