"""The run of a backfill: read, detect, write what was found to tables of its own, under the run's id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np

from cli.backfill import orders
from cli.backfill.plan import Plan
from cli.backfill.reading import StoredPartition, batches, stored_partitions
from cli.progress import progress
from common.errors import OperatorError
from common.times import now_ms
from detectors.process import process
from detectors.rounds import Result
from detectors.state import PartitionState
from schemas.events import Alarm
from schemas.rejects import DEVICE_REFUSED
from sinks.clickhouse.service import Service
from sinks.columns import Column, columns_of, constant, uuids
from sinks.contract import Block

INSERT_ROWS: Final = 10_000
"""Alarms held before they are written: 10 MB as Python objects [ours]."""
RUNS_LISTED: Final = 100
_RUNS: Final = """
    SELECT toString(run_id), toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(finished_at),
        toUnixTimestamp64Milli(from_ts), toUnixTimestamp64Milli(to_ts), warm_up_ms, devices, limits_file, limits_hash,
        reports, alarm_events
    FROM backfill_runs ORDER BY started_at DESC LIMIT %(limit)s
"""
_RUN_COLUMNS: Final = (
    "run_id", "started_ts", "finished_ts", "from_ts", "to_ts", "warm_up_ms", "devices", "limits_file", "limits_hash",
    "reports", "alarm_events",
)  # fmt: skip


@dataclass(slots=True)
class BackfillRun:
    """One backfill and how far it is. Counts hold the warm-up too, but for `reports_in_period`."""

    run_id: UUID
    reports: int = 0
    reports_in_period: int = 0
    alarm_events: int = 0


def run(service: Service, plan: Plan, devices_most: int, quiet: bool) -> BackfillRun:
    """Detect over the plan's period. Raises OperatorError if there is nothing in it.

    Broken off, by Ctrl-C or otherwise, it leaves a run that is marked as started and never as finished.
    """
    found = stored_partitions(service, plan)
    this = BackfillRun(uuid4(), reports_in_period=sum(stored.in_period for stored in found))
    if not this.reports_in_period:
        raise OperatorError("no telemetry of these devices arrived in this period, so there is nothing to detect over")
    _mark(service, plan, this, "started")
    total = sum(stored.rows for stored in found)
    with progress("detecting", 0 if quiet else total, lambda: this.reports):
        for stored in found:
            _detect(service, plan, stored, this, devices_most)
    _mark(service, plan, this, "finished")
    return this


def _detect(service: Service, plan: Plan, stored: StoredPartition, this: BackfillRun, devices_most: int) -> None:
    """Process a partition, with a state of its own, as one detect worker after the other would have."""
    state = PartitionState(devices_most)
    waiting: list[Alarm] = []
    for order in orders.registered(service, plan, stored):
        order.apply(plan, state)
    waiting_orders = orders.ordered(service, plan, stored)
    for reports in batches(service, plan, stored):
        result = Result()
        for before, part in orders.between(reports, waiting_orders):
            for order in before:
                result.alarms += order.apply(plan, state)
            result += process(part, state, plan.limits, now_ms())
        waiting += result.alarms
        this.reports += len(reports)
        if any(fault.reason == DEVICE_REFUSED for fault in result.refused.values()):
            raise OperatorError(
                f"partition {stored.partition} has more devices than EMBERLINE_DEVICES_MOST allows ({devices_most}); "
                "raise it or choose some with --devices"
            )
        if len(waiting) >= INSERT_ROWS:
            _write_alarms(service, stored, this, waiting)
            waiting = []
    for order in waiting_orders:
        waiting += order.apply(plan, state)
    _write_alarms(service, stored, this, waiting)


def _write_alarms(service: Service, stored: StoredPartition, this: BackfillRun, alarms: Sequence[Alarm]) -> None:
    if not alarms:
        return
    rows = len(alarms)
    columns: dict[str, Column] = {"run_id": uuids(this.run_id, rows)}
    # Enums are strings to the driver only once they are made so.
    columns |= {
        name: list(map(str, column)) if isinstance(column, list) else column
        for name, column in columns_of(Alarm, alarms).items()
    }
    # What an event has by being sent: a backfill sends none, and writes down itself which telemetry it read.
    del columns["generation"]
    columns |= {
        "source_topic_id": uuids(stored.topic_id, rows),
        "source_partition": np.full(rows, stored.partition, dtype=np.int32),
    }
    _insert(service, Block("backfill_alarms", columns, rows))
    this.alarm_events += rows


def _mark(service: Service, plan: Plan, this: BackfillRun, mark: str) -> None:
    def number(value: int) -> np.ndarray:
        return np.array([value], dtype=np.int64)

    columns: dict[str, Column] = {
        "run_id": uuids(this.run_id, 1),
        "mark": constant(mark, 1),
        "marked_at": number(now_ms()),
        "from_ts": number(plan.from_ts),
        "to_ts": number(plan.to_ts),
        "warm_up_ms": number(plan.warm_up_ms),
        "devices": [plan.devices_text],
        "limits_file": [plan.limits_file],
        "limits_hash": [plan.limits_hash],
        "reports": number(this.reports),
        "alarm_events": number(this.alarm_events),
    }
    _insert(service, Block("backfill_marks", columns, 1))


def _insert(service: Service, block: Block) -> None:
    """Once, even if the answer is lost and it is sent again: both attempts carry the same token."""
    names = ", ".join(f"`{name}`" for name in block.columns)
    settings = {"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": str(uuid4())}
    sql = f"INSERT INTO {block.table} ({names}) VALUES"
    service.call(lambda client: client.execute(sql, block, settings=settings))


def earlier(service: Service) -> list[dict[str, Any]]:
    """The newest runs, newest first; `finished_ts` is None of one that broke off or still runs."""
    rows = service.query(_RUNS, {"limit": RUNS_LISTED})
    return [dict(zip(_RUN_COLUMNS, row, strict=True)) for row in rows]
