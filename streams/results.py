"""What detection made of telemetry, as metrics."""

from __future__ import annotations

from typing import Final

from common.metrics import Metrics
from detectors.rounds import Result
from schemas.commands import CommandKind
from schemas.control import TIME
from schemas.events import Severity

_KINDS: Final = {TIME.decode(), *CommandKind}


def note_result(metrics: Metrics, result: Result) -> None:
    """Note what detection made of telemetry."""
    metrics.add("emberline_reports_total", result.readable)
    metrics.add("emberline_repeated_reports_total", result.repeated)
    metrics.add("emberline_late_reports_total", result.late)
    metrics.add("emberline_flooded_reports_total", result.flooded)
    metrics.add("emberline_skipped_reports_total", result.skipped)
    metrics.add("emberline_by_arrival_reports_total", result.by_arrival)
    metrics.add("emberline_absent_values_total", result.absent_values)
    metrics.add("emberline_aggregates_total", len(result.aggregates))
    for alarm in result.alarms:
        severity = Severity(alarm.severity).name.lower()
        metrics.add("emberline_alarms_total", kind=alarm.kind, event=alarm.event, severity=severity)
        metrics.observe("emberline_alarm_delay_seconds", (alarm.detected_ts - alarm.ingest_ts) / 1000)
    for request in result.requests:
        metrics.add("emberline_device_requests_total", kind=request.kind)
    for session in result.sessions:
        metrics.add("emberline_charging_sessions_total", ended_as=session.ended_as)
    for outcome in result.outcomes:
        metrics.add("emberline_control_outcomes_total", kind=_kind(outcome.kind), outcome=outcome.outcome)
    for status in result.statuses:
        metrics.add("emberline_status_changes_total", status=status.status)


def _kind(kind: str) -> str:
    """Kinds that are ours; whoever writes to the topic of commands may make up any."""
    return kind if kind in _KINDS else "unknown"
