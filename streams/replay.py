"""Recorded readings of one device, from a CSV file through the same workers as live ones."""

from __future__ import annotations

import asyncio
import csv
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from schemas.quantities import BY_NAME, KIND_CODES, MAX_COMPONENTS
from schemas.report_rules import AHEAD_MS, BEHIND_MS, VERSION
from schemas.topics import DAY_MS, TELEMETRY
from sinks.clickhouse.service import Service
from sinks.contract import SinkError
from streams.errors import OperatorError
from streams.offsets import Offsets
from streams.progress import progress
from streams.send import Sender
from streams.settings import Settings
from streams.storage import config_of
from streams.times import local as local_time
from streams.times import moment, now_ms
from streams.topics import count_partitions, topic_ids

CONVERSIONS: Final[dict[str, Callable[[float], float]]] = {
    "fahrenheit": lambda value: (value - 32) / 1.8,
    "tenth": lambda value: value / 10,
    "hundredth": lambda value: value / 100,
    "milli": lambda value: value * 1_000,
    "kilo": lambda value: value / 1_000,
}
"""Vendors' units into ours (domain.md, rule 9)."""
BATCH_REPORTS: Final = 500
WORK_S: Final = 600.0
"""A year of one device's minutes takes some minutes; longer than this a worker is missing or hangs."""
SETTLE_S: Final = 60.0
LOOK_S: Final = 1.0
_MAPPING: Final = re.compile(r"(?P<column>.+)=(?P<quantity>[a-z_]+)(\[(?P<component>\d+)\])?(:(?P<conversion>\w+))?")


class Mapping(NamedTuple):
    """Which column is which component of which quantity."""

    column: str
    quantity: str
    component: int
    convert: Callable[[float], float]

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `COLUMN=QUANTITY[COMPONENT]:CONVERSION`. Raises OperatorError."""
        match = _MAPPING.fullmatch(text)
        if match is None:
            raise OperatorError(f"--map {text!r} is not COLUMN=QUANTITY[COMPONENT]:CONVERSION")
        quantity, conversion = match["quantity"], match["conversion"]
        if quantity not in BY_NAME:
            raise OperatorError(f"--map {text!r}: {quantity} is no quantity; known are {', '.join(BY_NAME)}")
        if conversion is not None and conversion not in CONVERSIONS:
            raise OperatorError(f"--map {text!r}: {conversion} is no conversion; known are {', '.join(CONVERSIONS)}")
        component = int(match["component"] or 0)
        if component >= MAX_COMPONENTS:
            raise OperatorError(f"--map {text!r}: component numbers end at {MAX_COMPONENTS - 1}")
        return cls(match["column"], quantity, component, CONVERSIONS[conversion] if conversion else lambda value: value)


@dataclass(frozen=True, slots=True)
class Replay:
    """A checked plan: the readings, in order of time, and how fast they go."""

    device_id: str
    device_kind: str
    readings: Sequence[tuple[int, dict[str, list[float]]]]
    speed: float

    @classmethod
    def of(
        cls,
        file: Path,
        device: str,
        time_column: str,
        mappings: Sequence[str],
        kind: str,
        zone: str,
        speed: float,
        ending: str | None,
    ) -> Self:
        """Read the file. Raises OperatorError for what does not fit."""
        if kind not in KIND_CODES:
            raise OperatorError(f"--kind {kind} is not known; known are {', '.join(KIND_CODES)}")
        if speed < 0:
            raise OperatorError("--speed is times real time; 0 is as fast as it goes")
        try:
            local = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise OperatorError(f"--zone {zone} is no time zone; Asia/Shanghai and UTC are") from None
        readings = sorted(
            _read(file, time_column, [Mapping.of(text) for text in mappings], local), key=lambda one: one[0]
        )
        if not readings:
            raise OperatorError(f"{file} holds no readings")
        shift = 0
        if ending is not None:
            end = moment(ending, "--ending", local)
            shift = end - readings[-1][0]
        _check_times(file, readings[0][0] + shift, readings[-1][0] + shift)
        return cls(device, kind, [(ts + shift, values) for ts, values in readings], speed)

    def reports(self) -> Iterator[tuple[int, bytes]]:
        """Event time and JSON of each report."""
        for seq, (ts, quantities) in enumerate(self.readings):
            fields = {
                "v": VERSION,
                "device_id": self.device_id,
                "device_kind": self.device_kind,
                "event_ts": ts,
                "seq": seq,
            }
            yield ts, orjson.dumps(fields | quantities)


def _check_times(file: Path, first_ts: int, last_ts: int) -> None:
    """Raises OperatorError where readings are of a time that would be taken for that of a wrong clock."""
    now = now_ms()
    if first_ts < now - BEHIND_MS or last_ts > now + AHEAD_MS:
        days = BEHIND_MS // DAY_MS
        raise OperatorError(
            f"{file} holds readings from {local_time(first_ts)} to {local_time(last_ts)}; what is over {days} days old "
            "or in the future is taken for that of a wrong clock and judged by its arrival. --ending now moves all so "
            f"that the last is now; a file of over {days} days must be cut"
        )


def _read(
    file: Path, time_column: str, mappings: Sequence[Mapping], zone: ZoneInfo
) -> Iterator[tuple[int, dict[str, list[float]]]]:
    unread = _unread(mappings)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            columns = set(rows.fieldnames or ())
            if missing := {time_column, *(one.column for one in mappings)} - columns:
                raise OperatorError(
                    f"{file} has no column {min(missing)}; it has {', '.join(sorted(columns)) or 'none'}"
                )
            for row in rows:
                where = f"{file} line {rows.line_num}"
                quantities = {quantity: list(values) for quantity, values in unread.items()}
                for one in mappings:
                    quantities[one.quantity][one.component] = one.convert(_number(row[one.column], where))
                yield moment(row[time_column] or "", where, zone), quantities
    except (UnicodeDecodeError, csv.Error) as error:
        raise OperatorError(f"{file} is no CSV file in UTF-8: {error}") from error


def _unread(mappings: Sequence[Mapping]) -> dict[str, list[float]]:
    """Every mapped quantity before its columns are read: a component that no column gives stays at the sentinel."""
    unread: dict[str, list[float]] = {}
    for name in {one.quantity: None for one in mappings}:
        given = {one.component for one in mappings if one.quantity == name}
        absent, width = BY_NAME[name].absent, max(given) + 1
        if absent is None and len(given) < width:
            missing = min(set(range(width)) - given)
            raise OperatorError(f"--map gives {name}[{width - 1}] but not {name}[{missing}], which cannot be left out")
        unread[name] = [0.0 if absent is None else absent] * width
    return unread


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OperatorError(f"{where}: {text!r} is no number")
    return number


@dataclass(frozen=True, slots=True)
class Outcome:
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

    def told(self) -> str:
        """A few lines for a person."""
        rate = self.reports_sent / max(self.seconds, 1e-9)
        lines = [
            f"{self.reports_sent} readings of {self.device} sent in {self.seconds:.1f} s ({rate:.0f}/s)",
            f"stored {self.reports_stored}, rejected {self.reports_rejected}, minutes {self.minutes_aggregated}",
            f"alarm events {len(self.alarm_events)}" + ("" if self.alarm_events else ": no limit was reached"),
        ]
        return "\n".join(lines + [f"  {message}" for message in self.alarm_events])


async def replay_file(settings: Settings, plan: Replay, quiet: bool) -> Outcome:
    """Send the plan's reports, wait until the workers have them all, and say what came out."""
    incarnation = str((await topic_ids(settings.kafka, [TELEMETRY.name]))[TELEMETRY.name])
    service = Service(config_of(settings))
    try:
        before = await asyncio.to_thread(_results, service, plan.device_id, incarnation)
        began = time.monotonic()
        await _send(settings, plan, quiet)
        sent_s = time.monotonic() - began
        await _worked_off(settings, quiet)
        stored, rejected, minutes, messages = await _settled(service, plan, incarnation, before)
        return Outcome(
            device=plan.device_id,
            reports_sent=len(plan.readings),
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


async def _send(settings: Settings, plan: Replay, quiet: bool) -> None:
    count = 0
    first_ts = plan.readings[0][0]
    async with Sender(settings.kafka) as sender:
        bar = progress("sending", 0 if quiet else len(plan.readings), lambda: count)
        began = time.monotonic()
        with bar:
            for reports in batched(plan.reports(), 1 if plan.speed else BATCH_REPORTS):
                due_s = (reports[0][0] - first_ts) / 1000 / plan.speed if plan.speed else 0.0
                if (wait_s := due_s - (time.monotonic() - began)) > 0:
                    await asyncio.sleep(wait_s)
                await sender.send((plan.device_id.encode(), value) for _, value in reports)
                count += len(reports)
            await sender.flush()


def batched(reports: Iterator[tuple[int, bytes]], size: int) -> Iterator[list[tuple[int, bytes]]]:
    """The reports in lists of `size`, the last one shorter."""
    while some := list(islice(reports, size)):
        yield some


Results = tuple[int, int, int, list[str]]


async def _worked_off(settings: Settings, quiet: bool) -> None:
    """Wait until the detect workers have committed past everything that telemetry holds now."""
    deadline = time.monotonic() + WORK_S
    partitions = await count_partitions(settings.kafka, TELEMETRY.name)
    async with Offsets(settings.kafka, f"{settings.group}-detect", TELEMETRY.name, partitions) as offsets:
        total = waiting = await offsets.lag()
        with progress("detecting", 0 if quiet else waiting, lambda: total - waiting):
            while waiting and time.monotonic() < deadline:
                await asyncio.sleep(LOOK_S)
                waiting = await offsets.lag()
    if waiting:
        raise OperatorError(f"{waiting} records still wait for a detect worker after {WORK_S:.0f} s; is one running?")


async def _settled(service: Service, plan: Replay, incarnation: str, before: Results) -> Results:
    """The results once all that was sent is stored or rejected and the events that follow have come to rest."""
    deadline = time.monotonic() + SETTLE_S
    seen = before
    while time.monotonic() < deadline:
        now = await asyncio.to_thread(_results, service, plan.device_id, incarnation)
        if now[0] + now[1] - before[0] - before[1] >= len(plan.readings) and now == seen:
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
