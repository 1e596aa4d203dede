"""Minutes as sinks store them, by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from uuid import UUID

from cli.hourly.storage import insert
from early_warning.calendar import HOUR_MS
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


def store(service: Service, minutes: Iterable[StoredMinute], partition: int = 0) -> None:
    """Store minutes as a sink does, each a record of its own behind those that are there."""
    at = (service.config.database, partition)
    rows = []
    for one in minutes:
        _offsets[at] = offset = _offsets.get(at, -1) + 1
        ts = round(one.hour * HOUR_MS)
        row: dict[str, Any] = {
            "device_id": one.device_id, "device_kind": "electrical_monitor", "test": one.test,
            "quantity": one.quantity, "component": one.component, "minute_ts": ts // 1_000, "ingest_ts": ts + 90_000,
            "count": one.values, "min": one.least, "max": one.most, "mean": one.mean, "last": one.mean,
            "topic": "emberline.aggregates", "topic_id": TOPIC_ID, "partition": partition, "offset": offset,
        }  # fmt: skip
        rows.append(row)
    insert(service, "aggregates_1m", {name: [row[name] for row in rows] for name in rows[0]})
