"""What a backfill found against the alarms that were raised, folded in ClickHouse.

At most one alarm is open of a device, component and kind, until a person resets it. So the two sides are compared by
(device, test, component, kind): did each open an alarm in the period, and how severe did it get in it? Some are not
compared. Where either side opened an alarm before the period, or where the live side has events but no opening in the
period, the latch was engaged already, and the period says nothing. A provisional is no alarm and not compared; its
confirmation opens one.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from uuid import UUID

from cli.backfill.plan import Plan
from sinks.clickhouse.service import Service

DIFFERENCES_MOST: Final = 10_000
"""Differences named one by one; beyond that they are only counted [ours]."""
CATEGORIES: Final = ("same", "only_live", "only_backfill", "other_severity", "not_compared")
_FOLDED: Final = """
    WITH event IN ('opened', 'confirmed') AS is_opening
    SELECT device_id, test, component, kind, ingest_ts >= {from_ts} AS within,
        countIf(live AND is_opening) AS live_opened, countIf(NOT live AND is_opening) AS found_opened,
        maxIf(severity, live) AS live_severity, maxIf(severity, NOT live) AS found_severity,
        minOrNullIf(onset_ts, live AND is_opening) AS live_onset_ts,
        minOrNullIf(onset_ts, NOT live AND is_opening) AS found_onset_ts,
        argMaxIf(message, (severity, ingest_ts), live) AS live_message,
        argMaxIf(message, (severity, ingest_ts), NOT live) AS found_message
    FROM
    (
        SELECT true AS live, device_id, test, component, kind, event, severity, onset_ts, ingest_ts, message
        FROM alarm_events WHERE ingest_ts < {to_ts} AND {devices}
        UNION ALL
        SELECT false AS live, device_id, test, component, kind, event, severity, onset_ts, ingest_ts, message
        FROM backfill_alarms WHERE run_id = toUUID(%(run)s)
    )
    WHERE event NOT IN ('provisional', 'withdrawn')
    GROUP BY device_id, test, component, kind, within
"""
_JUDGED: Final = """
    SELECT device_id, test, component, kind,
        sumIf(live_opened + found_opened, NOT within) > 0 AS opened_before,
        sumIf(live_opened, within) > 0 AS in_live, sumIf(found_opened, within) > 0 AS in_backfill,
        maxIf(live_severity, within) AS severity_live, maxIf(found_severity, within) AS severity_backfill,
        minIf(live_onset_ts, within) AS onset_live, minIf(found_onset_ts, within) AS onset_backfill,
        anyIf(live_message, within) AS message_live, anyIf(found_message, within) AS message_backfill,
        multiIf(
            opened_before OR NOT (in_live OR in_backfill), 'not_compared',
            NOT in_backfill, 'only_live',
            NOT in_live, 'only_backfill',
            severity_live != severity_backfill, 'other_severity',
            'same') AS category
    FROM ({folded})
    GROUP BY device_id, test, component, kind
    HAVING countIf(within) > 0
"""
_COUNTS: Final = """
    SELECT kind, category, count(), countIf(category = 'same' AND onset_live != onset_backfill)
    FROM ({judged}) GROUP BY kind, category ORDER BY kind, category
"""
_DIFFERENCES: Final = """
    SELECT category, kind, device_id, test, component,
        if(in_live, severity_live, NULL), if(in_backfill, severity_backfill, NULL),
        toUnixTimestamp64Milli(onset_live), toUnixTimestamp64Milli(onset_backfill), message_live, message_backfill
    FROM ({judged}) WHERE category IN ('only_live', 'only_backfill', 'other_severity')
    ORDER BY category, kind, device_id, test, component LIMIT %(most)s
"""


class AlarmDifference(NamedTuple):
    """An alarm on which the two sides differ; what a side does not have is None or empty."""

    category: str
    kind: str
    device_id: str
    test: bool
    component: int
    severity_live: int | None
    severity_backfill: int | None
    onset_live_ts: int | None
    onset_backfill_ts: int | None
    message_live: str
    message_backfill: str


class Comparison(NamedTuple):
    """How many of each category, by kind, and the differences, up to `DIFFERENCES_MOST`.

    `moved` counts, by kind, those among the same whose onset differs.
    """

    counts: dict[str, dict[str, int]]
    moved: dict[str, int]
    differences: list[AlarmDifference]

    def total(self, category: str) -> int:
        """How many, over all kinds."""
        return sum(of_kind.get(category, 0) for of_kind in self.counts.values())


def compare(service: Service, plan: Plan, run_id: UUID) -> Comparison:
    """Compare a finished run with the live alarms of its period."""
    devices, asked = plan.devices.where()
    folded = _FOLDED.format(from_ts=_at(plan.from_ts), to_ts=_at(plan.to_ts), devices=devices)
    judged = _JUDGED.format(folded=folded)
    asked |= {"run": str(run_id), "most": DIFFERENCES_MOST}
    counts: dict[str, dict[str, int]] = {}
    moved: dict[str, int] = {}
    for kind, category, count, moved_count in service.query(_COUNTS.format(judged=judged), asked):
        counts.setdefault(kind, {})[category] = count
        moved[kind] = moved.get(kind, 0) + moved_count
    rows: list[tuple[Any, ...]] = service.query(_DIFFERENCES.format(judged=judged), asked)
    return Comparison(counts, moved, [AlarmDifference(*row) for row in rows])


def _at(ts: int) -> str:
    return f"fromUnixTimestamp64Milli(toInt64({ts}))"
