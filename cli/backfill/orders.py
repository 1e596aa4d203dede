"""What was ordered of devices and registered of them meanwhile, from the table of control records, by partition.

A backfill applies it between the reports where it was applied live, and begins with what was registered before.
Commands of before are not applied: it knows no alarm of before either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from msgspec import structs

from cli.backfill.plan import Plan
from cli.backfill.reading import StoredPartition
from common.times import now_ms
from detectors.control.applying import judged_again
from detectors.control.commands import OrderAt
from detectors.state import PartitionState
from schemas.control import CHANGE, COMMAND
from schemas.events import Alarm
from schemas.reports import Reports
from sinks.clickhouse.service import Service

_OF_PARTITION: Final = """
    FROM control_records
    WHERE source_topic_id = %(topic_id)s AND `partition` = %(partition)s AND kind != 'time' AND outcome != 'repeated'
        AND ({devices} OR kind = 'limits')
"""
_REGISTERED: Final = """
    SELECT max(source_offset), 0, max(toUnixTimestamp64Milli(ingest_ts)) AS ts, 'change',
        argMax(body, (source_offset, source_ordinal))
    {of_partition} AND kind IN ('change', 'limits') AND outcome = 'applied'
        AND ingest_ts < fromUnixTimestamp64Milli(toInt64(%(begin)s))
    GROUP BY kind, device_id
"""
_ORDERED: Final = """
    SELECT source_offset, source_ordinal, toUnixTimestamp64Milli(ingest_ts), kind, body
    {of_partition} AND ingest_ts >= fromUnixTimestamp64Milli(toInt64(%(begin)s))
        AND ingest_ts < fromUnixTimestamp64Milli(toInt64(%(end)s))
    ORDER BY source_offset, source_ordinal LIMIT 1 BY source_offset, source_ordinal
"""


class StoredOrder(NamedTuple):
    """An order, where it stood in telemetry, and the kind of its control record."""

    at: OrderAt
    kind: bytes
    body: str

    def apply(self, plan: Plan, state: PartitionState) -> list[Alarm]:
        """Apply it to the state. The alarms that it ends."""
        found = judged_again(self.kind, self.body, self.at, state, plan.limits)
        return [structs.replace(alarm, detected_ts=now_ms()) for alarm in found.alarms]


def registered(service: Service, plan: Plan, stored: StoredPartition) -> list[StoredOrder]:
    """What was registered by the beginning of the plan's reading."""
    return _read(service, plan, stored, _REGISTERED)


def ordered(service: Service, plan: Plan, stored: StoredPartition) -> list[StoredOrder]:
    """What was ordered or registered from then on, in its order."""
    return _read(service, plan, stored, _ORDERED)


def _read(service: Service, plan: Plan, stored: StoredPartition, sql: str) -> list[StoredOrder]:
    devices, asked = plan.devices.where()
    asked |= {"topic_id": str(stored.topic_id), "partition": stored.partition}
    asked |= {"begin": plan.begin_ts, "end": plan.to_ts}
    rows = service.query(sql.format(of_partition=_OF_PARTITION.format(devices=devices)), asked)
    return [
        StoredOrder(OrderAt(offset, number, ts), CHANGE if kind in ("change", "limits") else COMMAND, body)
        for offset, number, ts, kind, body in rows
    ]


def between(reports: Reports, orders: list[StoredOrder]) -> Iterator[tuple[list[StoredOrder], Reports]]:
    """The reports cut where orders come between them, each part with the orders before it. Orders that come before the
    last report are taken out of the list."""
    begin = 0
    while orders and len(reports) and orders[0].at.offset < int(reports.offset[-1]):
        offset = orders[0].at.offset
        end = int(np.searchsorted(reports.offset, offset))
        if end > begin:
            yield [], reports.between(begin, end)
        together = [one for one in orders if one.at.offset == offset]
        del orders[: len(together)]
        following = orders[0].at.offset if orders else int(reports.offset[-1]) + 1
        begin, end = end, int(np.searchsorted(reports.offset, following))
        yield together, reports.between(begin, end)
        begin = end
    if begin < len(reports):
        yield [], reports.between(begin, len(reports))
