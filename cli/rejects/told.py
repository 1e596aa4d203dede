"""Rejects for people and as JSON. What came from outside is shown with everything unprintable escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.rejects.remembered import SENT, ReplayNote
from cli.rejects.replay import RejectReplayOutcome
from cli.rejects.stored import Body, StoredReject, shortened
from common.log import readable
from common.times import local

DETAIL_SHOWN: Final = 70
REASONS_SHOWN: Final = 10
Notes = Mapping[str, ReplayNote]


def line(reject: StoredReject, notes: Notes | None) -> str:
    """One line of the list."""
    detail = readable(reject.detail)
    detail = detail if len(detail) <= DETAIL_SHOWN else detail[: DETAIL_SHOWN - 1] + "…"
    remarks = [f"{reject.reports} reports"] if reject.reports > 1 else []
    remarks += ["cut"] if reject.cut >= 0 else []
    remarks += [f"replay of {shortened(readable(reject.replay_of))}"] if reject.replay_of else []
    more = "".join(f" ({one})" for one in remarks)
    reason = readable(reject.reason)
    when, size = local(reject.ingest_ts), f"{reject.size} B"
    return f"{when}  {reject.id!s:<20} {reason:<18} {size:>10}  {_replayed(reject, notes):<9} {detail}{more}"


HEADING: Final = f"{'arrived (Shanghai)':<19}  {'id':<20} {'reason':<18} {'size':>10}  {'replayed':<9} detail"


def _replayed(reject: StoredReject, notes: Notes | None) -> str:
    if notes is None:
        return "unknown"
    note = notes.get(reject.id.full)
    if note is None:
        return "no"
    return "yes" if note.state == SENT else "broke off"


def as_json(reject: StoredReject, notes: Notes | None) -> dict[str, Any]:
    """All but the bytes."""
    note = None if notes is None else notes.get(reject.id.full)
    return {
        "id": reject.id.full,
        **{name: value for name, value in reject._asdict().items() if name not in ("id", "replay_of")},
        "replay_of": reject.replay_of or None,
        "replayed": _replayed(reject, notes),
        "replayed_ts": note.at if note and note.state == SENT else None,
        "replayed_offset": note.offset if note and note.state == SENT else None,
    }


def body_json(body: Body) -> dict[str, Any]:
    """Bytes as base64, and as text where they are text."""
    return {
        "key": _both(body.key),
        "value": _both(body.value),
        "headers": [{"name": name} | (_both(value) or _NULL) for name, value in body.headers],
    }


_NULL: Final = {"text": None, "base64": None}


def _both(value: bytes | None) -> dict[str, str | None] | None:
    if value is None:
        return None
    try:
        text: str | None = value.decode()
    except UnicodeDecodeError:
        text = None
    return {"text": text, "base64": b64encode(value).decode()}


def whole(reject: StoredReject, body: Body, notes: Notes | None) -> str:
    """Everything, for a person."""
    note = None if notes is None else notes.get(reject.id.full)
    which = "the whole record" if reject.source_index < 0 else f"report {reject.source_index} of the record"
    replayed = _replayed(reject, notes)
    if note and note.state == SENT:
        replayed = f"{local(note.at)} (Shanghai), offset {note.offset}"
    whole_is = f" of {reject.cut}, the others are in {reject.source}" if reject.cut >= 0 else ""
    rows = [
        ("id", f"{reject.id}  ({reject.id.full})"),
        ("arrived", f"{local(reject.ingest_ts)} (Shanghai)"),
        ("from", f"{reject.source}, {which}"),
        ("gateway", reject.gateway),
        ("stands for", f"{reject.reports} report{'s' * (reject.reports > 1)}"),
        ("reason", reject.reason),
        ("detail", reject.detail),
        ("replay of", reject.replay_of or "-"),
        ("replayed", replayed),
        ("key", "none" if body.key is None else body.key),
        *((f"header {name}", "null" if value is None else value) for name, value in body.headers),
        ("size", f"{reject.size} bytes{whole_is}"),
    ]
    lines = [f"{readable(name):<15} {readable(value)}" for name, value in rows]
    value = "no value" if body.value is None else readable(body.value, keep="\n\t")
    return "\n".join([*lines, "", value])


def told(outcome: RejectReplayOutcome) -> Sequence[str]:
    """What a replay came to, for a person."""
    lines = [f"{'would send' if outcome.dry_run else 'sent'} {outcome.sent}, sent before {outcome.sent_before}"]
    if outcome.found:
        lines.append(f"{outcome.found} of those sent before were found in telemetry, sent by a replay that broke off")
    if outcome.left_out:
        lines.append(f"left out {outcome.left_out}")
    lines += [f"  {reject}  {why}" for reject, why in outcome.reasons[:REASONS_SHOWN]]
    if outcome.left_out > REASONS_SHOWN:
        lines.append(f"  and {outcome.left_out - REASONS_SHOWN} more")
    return lines
