"""Sending a recording through the workers, and saying what came out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from cli.offsets import Offsets
from cli.progress import progress
from cli.replay.recording import Recording
from cli.send import Sender
from common.errors import OperatorError
from common.settings import Settings
from schemas.topics import TELEMETRY
from sinks.clickhouse.service import Service
from sinks.contract import SinkError
from streams.storage import config_of
from streams.topics import count_partitions, topic_ids

BATCH_REPORTS: Final = 500
WORK_S: Final = 600.0
"""A year of one device's minutes takes some minutes; longer than this a worker is missing or hangs."""
SETTLE_S: Final = 60.0
LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RecordingReplay:
    """What came out of a replay, as ClickHouse tells it."""

    device: str
    reports_sent: int
    seconds: float
    reports_stored: int
    reports_rejected: int
    minutes_aggregated: int
    alarm_events: list[str]

    def as_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return asdict(self)

    def told(self) -> list[str]:
        """A few lines for a person."""
        rate = self.reports_sent / max(self.seconds, 1e-9)
        lines = [
            f"{self.reports_sent} readings of {self.device} sent in {self.seconds:.1f} s ({rate:.0f}/s)",
            f"stored {self.reports_stored}, rejected {self.reports_rejected}, minutes {self.minutes_aggregated}",
            f"alarm events {len(self.alarm_events)}" + ("" if self.alarm_events else ": no limit was reached"),
        ]
        return lines + [f"  {message}" for message in self.alarm_events]


async def replay_recording(settings: Settings, recording: Recording, quiet: bool) -> RecordingReplay:
    """Send the recording's reports, wait until the workers have them all, and say what came out."""
    incarnation = str((await topic_ids(settings, [TELEMETRY.name]))[TELEMETRY.name])
    service = Service(config_of(settings))
    try:
        before = await asyncio.to_thread(_results, service, recording.device_id, incarnation)
        began = time.monotonic()
        await _send(settings, recording, quiet)
        sent_s = time.monotonic() - began
        await _processed(settings, quiet)
        stored, rejected, minutes, messages = await _settled(service, recording, incarnation, before)
        return RecordingReplay(
            device=recording.device_id,
            reports_sent=len(recording.readings),
            seconds=round(sent_s, 2),
            reports_stored=stored - before[0],
            reports_rejected=rejected - before[1],
            minutes_aggregated=minutes - before[2],
            alarm_events=messages[len(before[3]) :],
        )
    except SinkError as error:
        raise OperatorError(str(error)) from error
    finally:
        service.close()


async def _send(settings: Settings, recording: Recording, quiet: bool) -> None:
    count = 0
    first_ts = recording.readings[0][0]
    async with Sender(settings) as sender:
        bar = progress("sending", 0 if quiet else len(recording.readings), lambda: count)
        began = time.monotonic()
        with bar:
            for reports in batched(recording.reports(), 1 if recording.speed else BATCH_REPORTS):
                due_s = (reports[0][0] - first_ts) / 1000 / recording.speed if recording.speed else 0.0
                if (wait_s := due_s - (time.monotonic() - began)) > 0:
                    await asyncio.sleep(wait_s)
                await sender.send((recording.device_id.encode(), value) for _, value in reports)
                count += len(reports)
            await sender.flush()


def batched(reports: Iterator[tuple[int, bytes]], size: int) -> Iterator[list[tuple[int, bytes]]]:
    """The reports in lists of `size`, the last one shorter."""
    while some := list(islice(reports, size)):
        yield some


Results = tuple[int, int, int, list[str]]


async def _processed(settings: Settings, quiet: bool) -> None:
    """Wait until the detect workers have committed past everything that telemetry holds now."""
    deadline = time.monotonic() + WORK_S
    partitions = await count_partitions(settings, TELEMETRY.name)
    async with Offsets(settings, f"{settings.group}-detect", TELEMETRY.name, partitions) as offsets:
        # Not to where it ends meanwhile: it goes on by itself, for workers tell it that time passes.
        ends = await offsets.ends()
        total = waiting = await offsets.behind(ends)
        with progress("detecting", 0 if quiet else waiting, lambda: total - waiting):
            while waiting and time.monotonic() < deadline:
                await asyncio.sleep(LOOK_S)
                waiting = await offsets.behind(ends)
    if waiting:
        raise OperatorError(f"{waiting} records still wait for a detect worker after {WORK_S:.0f} s; is one running?")


async def _settled(service: Service, recording: Recording, incarnation: str, before: Results) -> Results:
    """The results once all that was sent is stored or rejected and the events that follow have come to rest."""
    deadline = time.monotonic() + SETTLE_S
    seen = before
    while time.monotonic() < deadline:
        now = await asyncio.to_thread(_results, service, recording.device_id, incarnation)
        if now[0] + now[1] - before[0] - before[1] >= len(recording.readings) and now == seen:
            break
        seen = now
        await asyncio.sleep(2 * LOOK_S)
    return seen


def _results(service: Service, device_id: str, incarnation: str) -> Results:
    asked = {"device": device_id, "key": device_id, "topic_id": incarnation}
    stored = service.query(
        "SELECT count() FROM telemetry WHERE device_id = %(device)s AND topic_id = %(topic_id)s", asked
    )
    rejected = service.query("SELECT count() FROM rejects WHERE key = %(key)s", asked)
    minutes = service.query("SELECT uniqExact(minute_ts) FROM aggregates_1m WHERE device_id = %(device)s", asked)
    alarms = service.query(
        "SELECT message FROM alarm_events WHERE device_id = %(device)s ORDER BY ingest_ts, event_ts", asked
    )
    return stored[0][0], rejected[0][0], minutes[0][0], [message for (message,) in alarms]
