"""What a run of `emberline hourly` costs a city: time and memory of the command and of the embedded ClickHouse.

The city is registered, has 13 components a device and reports every five minutes; what its components learned is there,
of the size that it has after months. Measured is the command on the hour that has just closed: making it of its
minutes, judging, keeping what is learned, rating. It has nothing to tell: a city has some 20 notices an hour.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from benchmarks.machine import machine, versions
from benchmarks.processes import ROOT, peak_mb
from cli.hourly.learned import KeptSlices
from cli.hourly.reading import places
from cli.hourly.run import HourlyJob, run_once
from cli.hourly.slices import sliced
from cli.hourly.storage import insert, patient
from common.settings import Settings
from common.times import now_ms
from early_warning.calendar import DAY_HOURS, HOUR_MS
from early_warning.parameters import load_parameters
from early_warning.risk import load_risk
from embedded.processes import Running, running_broker, running_clickhouse
from schemas.registry import VERSION, ComponentEntry, DeviceEntry
from sinks.clickhouse.service import Service
from streams.storage import run_migrations
from streams.topics import make_topics

RUN_S: Final = 300.0
"""The issue: a run of 130,000 devices within five minutes."""
COMPONENTS: Final = {
    "residual_current_ma": (1, 40),
    "temperature_c": (6, 35),
    "current_a": (3, 20),
    "voltage_v": (3, 220),
}
"""A device has, and a middle value: 13, 1.7 million of a city."""
_AT_ONCE: Final = 10_000
TOPIC_ID: Final = UUID(int=1)
_MINUTES: Final = """
    INSERT INTO aggregates_1m
    (device_id, device_kind, quantity, component, minute_ts, ingest_ts, count, min, max, mean, last, topic, topic_id,
        `partition`, `offset`)
    SELECT concat('CT-', leftPad(toString(device), 7, '0')), 'electrical_monitor', %(quantity)s, part,
        toDateTime(%(at)s + minute * 300), toDateTime64(%(at)s + minute * 300 + 90, 3), 5,
        %(middle)s - 1, %(middle)s + 1, %(middle)s, %(middle)s, 'emberline.aggregates', %(topic_id)s, 0,
        %(offset)s + device * 12 + minute
    FROM
    (
        SELECT number %% 12 AS minute, intDiv(number, 12) %% %(parts)s AS part, intDiv(number, 12 * %(parts)s) AS device
        FROM numbers(%(devices)s * 12 * %(parts)s)
    )
"""


class HourlySize(NamedTuple):
    """How many devices."""

    devices: int = 130_000


FULL: Final = HourlySize()
SMOKE: Final = HourlySize(60)


def run(size: HourlySize, say: Callable[[str], None]) -> dict[str, Any]:
    """One JSON object."""
    with (
        tempfile.TemporaryDirectory() as name,
        running_clickhouse(Path(name) / "data", log=Path(name) / "log") as clickhouse,
        running_broker(log=Path(name) / "broker.log") as broker,
    ):
        settings = Settings(kafka=broker.address, clickhouse=clickhouse.address, data_dir=name, partitions=1)
        asyncio.run(make_topics(settings))
        run_migrations(settings)
        with patient(settings) as service:
            _prepare(service, settings, size.devices, now_ms() // HOUR_MS, say)
        say("the run")
        return _measured(settings, size, clickhouse)


def good(result: Mapping[str, Any]) -> bool:
    """Whether the run keeps its time."""
    return bool(result["seconds"] <= RUN_S)


def _measured(settings: Settings, size: HourlySize, clickhouse: Running) -> dict[str, Any]:
    command = [sys.executable, "-m", "cli", "hourly", "--settle", "0", "--json"]
    environment = os.environ | settings.to_environment()
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    summary = orjson.loads(ended.stdout.splitlines()[-1])["summary"]
    return {
        "benchmark": "hourly",
        "version": 1,
        "size": size._asdict(),
        "machine": machine(),
        "versions": versions(["chdb-core"]),
        **{name: summary[name] for name in ("hours", "devices", "components", "notices", "making_s", "seconds")},
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1_024),
        "clickhouse_peak_mb": round(peak_mb(clickhouse.pid)),
    }


def _prepare(service: Service, settings: Settings, devices: int, closed: int, say: Callable[[str], None]) -> None:
    """A city one hour before: registered, and all learned; and the minutes of that hour."""
    say("registering")
    for begin in range(0, devices, _AT_ONCE):
        _register(service, [_entry(number) for number in range(begin, min(begin + _AT_ONCE, devices))])
    say("minutes, and the hour before")
    _minutes(service, devices, closed - 2, 0)
    run_once(service, HourlyJob(settings, load_parameters(), load_risk(), settle_ms=0), (closed - 1) * HOUR_MS)
    _learn(service, closed)
    _minutes(service, devices, closed - 1, 10**9)


def _entry(number: int) -> DeviceEntry:
    parts = [ComponentEntry(name, part) for name, (count, _) in COMPONENTS.items() for part in range(count)]
    area = f"14070200{number // 2_000:04d}"
    told: dict[str, Any] = {
        "kind": "electrical_monitor",
        "unit_id": f"U{number // 5}",
        "unit_name": f"单位{number // 5}",
        "area": area,
    }
    return DeviceEntry(v=VERSION, device_id=f"CT-{number:07d}", installed_on="2025-03-01", components=parts, **told)


def _register(service: Service, entries: list[DeviceEntry]) -> None:
    columns: dict[str, Any] = {
        name: [getattr(entry, name) for entry in entries]
        for name in ("device_id", "kind", "unit_id", "unit_name", "area")
    }
    columns |= {"body": [entry.to_json().decode() for entry in entries], "number": [1] * len(entries)}
    insert(service, "registry_history", columns)


def _minutes(service: Service, devices: int, hour: int, offset: int) -> None:
    """The minutes of an hour, a report each five."""
    for at, (quantity, (parts, middle)) in enumerate(COMPONENTS.items()):
        params = {
            "quantity": quantity, "parts": parts, "middle": middle, "devices": devices, "at": hour * 3_600,
            "offset": offset + at * 10**8, "topic_id": str(TOPIC_ID),
        }  # fmt: skip
        service.query(_MINUTES, params)


def _learn(service: Service, closed: int) -> None:
    """Let all components have learned for ten weeks."""
    registered, kept = places(service), KeptSlices(service)
    for number, devices in sliced(registered, registered).items():
        learned = kept.load(number, devices)
        for quantity, state in learned.states.items():
            state.fields["first"][:] = closed - 70 * DAY_HOURS
            state.fields["samples"][:] = 1_600
            state.fields["slot_samples"][:] = 30
            state.fields["normal"][:] = COMPONENTS[quantity][1]
        kept.save(learned, set(devices), learned.head.hours_made, closed)
