"""`emberline simulate`: a fleet in real time. Its reports leave when they are due, however long the broker takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from cli.command import read_settings, with_kafka
from cli.output import say
from cli.progress import progress
from cli.registering import write_registry
from cli.send import Sender
from common.errors import OperatorError
from common.settings import Settings
from common.times import now_ms
from fleet import Fleet, FleetConfig

WINDOW_MS: Final = 50
"""The fleet is asked for this much at a time: a call costs 1 ms, and nothing may leave before it is due."""


RATE: Final = click.option("--rate", type=float, help="Reports a second over all devices.  [default: 5 in 3 s each]")


def usual_rate(devices: int) -> float:
    """Reports a second, as many a device as where 3000 of them send the 5000 a second that are required."""
    return devices * 5_000 / 3_000


@dataclass(slots=True)
class SentReports:
    """What has been sent so far: good reports, and rejects they will give."""

    records: int = 0
    reports: int = 0
    rejected: int = 0
    behind_ms_max: int = 0
    device_ids: set[bytes] = field(default_factory=set)
    """Of good reports."""


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long devices report.")
@click.option("--devices", default=3_000, show_default=True, help="How many devices.")
@RATE
@click.option("--seed", default=1, show_default=True, help="Seed of the fleet.")
@click.option("--faults", default=2, show_default=True, help="Planted faults of each kind.")
@click.option("--bad", default=0, show_default=True, help="Planted bad records, rejected or odd.")
@click.option(
    "--registry",
    type=click.Path(path_type=Path),
    help="Write what is registered of this fleet to an .xlsx file or a folder of CSV files, and send nothing.",
)
def simulate(
    seconds: float, devices: int, rate: float | None, seed: int, faults: int, bad: int, registry: Path | None
) -> None:
    """Send the reports of a simulated fleet to Kafka, in real time.

    With --registry only write its units, devices and components, for `emberline registry import`; given the same
    devices, rate and seed the reports that are sent later are theirs. Some devices are left out on purpose.
    """
    settings = read_settings()
    rate = usual_rate(devices) if rate is None else rate
    try:
        config = FleetConfig(
            seed=seed,
            devices=devices,
            rate=rate,
            seconds=seconds,
            start_ts=now_ms() + 500,
            faults_per_kind=faults,
            bad_records=bad,
        )
        fleet = Fleet(config)
    except ValueError as error:
        raise OperatorError(str(error)) from error
    if registry is not None:
        for title, count in write_registry(fleet.registry, registry).items():
            say(f"{title}：{count}行")
        return
    sent = SentReports()

    async def send(settings: Settings) -> None:
        async with Sender(settings) as sender:
            with progress("sending", round(rate * seconds), lambda: sent.reports):
                await send_fleet(fleet, sender, sent)

    with_kafka(send, settings)
    say(f"sent {sent.reports} reports in {sent.records} records; {sent.rejected} to be rejected among them")


async def send_fleet(fleet: Fleet, sender: Sender, sent: SentReports) -> None:
    """Send the whole run, keeping count in `sent`. Returns when the broker has acknowledged all of it."""
    config = fleet.config
    for from_ts in range(config.start_ts, config.end_ts, WINDOW_MS):
        to_ts = min(from_ts + WINDOW_MS, config.end_ts)
        await _until(to_ts)
        due = fleet.due(from_ts, to_ts)
        await sender.send((send.key, send.value) for send in due)
        sent.records += len(due)
        sent.reports += sum(send.reports for send in due)
        sent.rejected += sum(send.rejected for send in due)
        sent.device_ids.update(send.key for send in due if send.key and send.reports)
        sent.behind_ms_max = max(sent.behind_ms_max, now_ms() - to_ts)
    await sender.flush()


async def _until(ts: int) -> None:
    wait_ms = ts - now_ms()
    if wait_ms > 0:
        await asyncio.sleep(wait_ms / 1000)
