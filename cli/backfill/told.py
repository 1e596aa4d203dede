"""A backfill for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from cli.backfill.comparing import CATEGORIES, AlarmDifference, Comparison
from cli.backfill.finding import BackfillRun
from cli.backfill.plan import Plan
from common.times import local, moment

EXAMPLES: Final = 5
RECENT_MS: Final = 60_000
"""Detect and sink workers that are not behind are done with a report in seconds [ours]."""
_HEADINGS: Final = {name: name.replace("_", " ") for name in CATEGORIES}
_SEVERITIES: Final = ("notice", "warning", "alarm")


def as_json(plan: Plan, run: BackfillRun, compared: Comparison) -> dict[str, Any]:
    """Everything, as one JSON object."""
    return {
        "run_id": str(run.run_id),
        "from_ts": plan.from_ts,
        "to_ts": plan.to_ts,
        "warm_up_ms": plan.warm_up_ms,
        "devices": plan.devices_text,
        "limits_file": plan.limits_file,
        "limits_hash": plan.limits_hash,
        "reaches_to_now": _reaches_to_now(plan),
        "reports": run.reports_in_period,
        "reports_warm_up": run.reports - run.reports_in_period,
        "alarm_events_found": run.alarm_events,
        **{name: compared.total(name) for name in CATEGORIES},
        "same_at_another_time": sum(compared.moved.values()),
        "by_kind": compared.counts,
        "differences": [one._asdict() for one in compared.differences],
        "differences_left_out": _differing(compared) - len(compared.differences),
    }


def _reaches_to_now(plan: Plan) -> bool:
    return plan.to_ts > moment("now", "now") - RECENT_MS


def _differing(compared: Comparison) -> int:
    return sum(compared.total(name) for name in ("only_live", "only_backfill", "other_severity"))


def told(plan: Plan, run: BackfillRun, compared: Comparison) -> list[str]:
    """A summary by kind, and examples."""
    limits = plan.limits_file or "the shipped limits"
    lines = [
        f"{local(plan.from_ts)} to {local(plan.to_ts)} (Shanghai), by {limits} ({plan.limits_hash[:12]})",
        f"{run.reports_in_period} reports, and {run.reports - run.reports_in_period} of the warm-up before",
        "",
        f"{'alarms':<24}" + "".join(f"{heading:>15}" for heading in _HEADINGS.values()),
    ]
    for kind, counts in compared.counts.items():
        lines.append(f"{kind:<24}" + "".join(f"{counts.get(name, 0):>15}" for name in CATEGORIES))
    if not compared.counts:
        lines.append("none on either side")
    lines += _remarks(compared)
    if _reaches_to_now(plan):
        lines.append("the period reaches to now: what the workers have not stored yet is missing on the live side")
    for category, some in groupby(compared.differences, key=lambda one: one.category):
        lines += _examples(_HEADINGS[category], list(some), compared.total(category))
    return [*lines, "", f"run {run.run_id}; what it found is in the table backfill_alarms"]


def _remarks(compared: Comparison) -> list[str]:
    remarks = []
    if moved := sum(compared.moved.values()):
        remarks.append(f"{moved} of the same began at another time")
    if compared.total("not_compared"):
        remarks.append("not compared: open since before the period, on one side or both; an open alarm opens no second")
    return remarks


def _examples(heading: str, some: Sequence[AlarmDifference], total: int) -> list[str]:
    shown = some[:EXAMPLES]
    more = [f"  and {total - len(shown)} more; --json names them"] if total > len(shown) else []
    return ["", f"{heading}:", *map(_example, shown), *more]


def _example(one: AlarmDifference) -> str:
    onset = one.onset_backfill_ts if one.onset_live_ts is None else one.onset_live_ts
    when = "" if onset is None else local(onset)
    if one.severity_live is not None and one.severity_backfill is not None:
        change = f"{_SEVERITIES[one.severity_live]} live, {_SEVERITIES[one.severity_backfill]} by backfill: "
    else:
        change = ""
    return f"  {when}  {change}{one.message_live or one.message_backfill}"


def runs(found: Sequence[dict[str, Any]]) -> list[str]:
    """Earlier runs, a line each."""
    if not found:
        return ["no backfills yet"]
    lines = [f"{'started (Shanghai)':<21}{'took':<12}{'from':<21}{'to':<21}{'reports':>12}{'alarms':>8}  run, limits"]
    return [*lines, *map(_run_line, found)]


def _run_line(one: dict[str, Any]) -> str:
    return (
        f"{local(one['started_ts']):<21}{_took(one):<12}{local(one['from_ts']):<21}{local(one['to_ts']):<21}"
        f"{one['reports']:>12}{one['alarm_events']:>8}  {one['run_id']}, {one['limits_file'] or 'shipped'}"
    )


def _took(one: dict[str, Any]) -> str:
    return "unfinished" if one["finished_ts"] is None else f"{(one['finished_ts'] - one['started_ts']) / 1000:.0f} s"
