"""What devices are asked for: a read-back where a single value is told as provisional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from detectors.limits import load_limits
from detectors.state import PartitionState
from detectors.twin.oracle import Record, Told
from schemas.device_requests import DeviceRequest
from tests.detectors.given_reports import T0, record, report, slowly, told

LIMITS: Final = load_limits()
MINUTE: Final = 60_000


def come_to(records: Sequence[Record]) -> Told:
    """What the records mean, of which the twin says the same, in one chunk and one by one."""
    found = told([records], PartitionState(), LIMITS)
    assert found == slowly(records, LIMITS) == told([[one] for one in records], PartitionState(), LIMITS)
    return found


def seldom(*each: dict[str, Any], every_ms: int = 5 * MINUTE) -> list[Record]:
    """A device that reports each 5 minutes."""
    times = [T0 + number * every_ms for number in range(len(each))]
    return [
        record(number, report(ts, **fields), ingest_ts=ts + 700)
        for number, (ts, fields) in enumerate(zip(times, each, strict=True))
    ]


def hot(*values: float) -> dict[str, Any]:
    return {"temperature_c": list(values)}


def life(found: Told) -> list[str]:
    return [one.event for one in found.alarms if one.kind == "temperature"]


CALM: Final = [hot(30.0, 30.0)] * 3


def test_a_provisional_is_followed_by_a_request_to_read_it_back_that_expires() -> None:
    found = come_to(seldom(*CALM, hot(30.0, 95.0), hot(30.0, 95.0)))
    assert life(found) == ["provisional", "confirmed"]
    (asked,) = found.requests
    first = found.alarms[0]
    assert (asked.kind, asked.device_id, asked.quantity, asked.component) == ("read_back", "LY-1", "temperature_c", 1)
    assert (asked.by, asked.alarm_id, asked.why) == ("emberline", first.alarm_id, first.message)
    assert (asked.ingest_ts, asked.expires_ts - asked.ingest_ts) == (first.ingest_ts, 120_000)
    assert (asked.source_offset, asked.source_ordinal) == (3, 0)
    assert DeviceRequest.from_json(asked.to_json()) == asked


def test_one_report_asks_once_and_for_the_whole_device_where_it_tells_of_several() -> None:
    found = come_to(seldom(*CALM, hot(95.0, 95.0) | {"residual_current_ma": [450.0]}))
    assert [one.event for one in found.alarms].count("provisional") > 2
    (asked,) = found.requests
    assert (asked.quantity, asked.component) == ("", 255)
    assert asked.alarm_id == found.alarms[0].alarm_id


def test_each_report_of_an_array_asks_for_itself() -> None:
    both = [report(T0, device, temperature_c=[95.0]) for device in ("LY-1", "LY-2")]
    found = come_to([record(0, *both, ingest_ts=T0)])
    assert [(one.device_id, one.source_ordinal) for one in found.requests] == [("LY-1", 0), ("LY-2", 1)]
    assert len({one.request_id for one in found.requests}) == 2


def test_what_is_confirmed_at_once_or_told_late_or_not_over_a_limit_asks_for_nothing() -> None:
    often = come_to(seldom(*[hot(30.0)] * 3, *[hot(95.0)] * 8, every_ms=1_000))
    assert life(often) == ["opened"]
    late = [record(9, report(T0 + MINUTE, temperature_c=[95.0, 30.0]), ingest_ts=T0 + 16 * MINUTE)]
    kept = come_to([*seldom(*CALM), *late])
    assert [(one.event, one.late) for one in kept.alarms] == [("provisional", True)]
    assert (often.requests, kept.requests, come_to(seldom(*CALM)).requests) == ([], [], [])
