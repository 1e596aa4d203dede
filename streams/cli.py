"""The command line. Each command is thin: it reads settings, calls the part that does the work, and says how it went.

Exit status: 0 done, 1 something only the operator can mend (one sentence on standard error), 2 wrong usage, 3 the demo
ran but its account does not balance, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from streams.backfill.commands import backfill
from streams.command import read_settings, run_to_end
from streams.errors import OperatorError
from streams.rejects.commands import rejects
from streams.settings import Settings, described

if TYPE_CHECKING:
    from detectors.limits import LimitTable

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="emberline")
def cli() -> None:
    """Electrical-fire early warning: telemetry on Kafka in, alarms within a second out, everything in ClickHouse.

    Settings are environment variables; `emberline settings` lists them. Start with `emberline demo`.
    """


cli.add_command(rejects)
cli.add_command(backfill)

BROKER = click.option(
    "--broker",
    type=click.Choice(["embedded", "kafka"]),
    default="embedded",
    show_default=True,
    help="The embedded broker, or Apache Kafka (wants Java 17 and Maven; fetched once).",
)
BROKERS = click.option(
    "--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Brokers of Apache Kafka."
)


@cli.command()
@BROKER
@BROKERS
@click.option("--seconds", default=60.0, show_default=True, help="How long devices report.")
@click.option("--devices", default=3_000, show_default=True, help="How many devices.")
@click.option("--rate", default=5_000.0, show_default=True, help="Reports a second over all devices.")
@click.option("--seed", default=1, show_default=True, help="Seed of the fleet: the same seed plants the same faults.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as one JSON object and nothing else.")
def demo(broker: str, brokers: str, seconds: float, devices: int, rate: float, seed: int, as_json: bool) -> None:
    """Run everything here, under a simulated fleet with planted faults, and account for all of it."""
    from streams.demo import demo_config, run_demo
    from streams.show import DemoView, demo_table

    settings = read_settings()
    config = demo_config(seconds, devices, rate, seed)
    with DemoView(config, quiet=as_json) as view:
        account = run_to_end(run_demo(settings, config, view.say, view.show, _kafka(broker, brokers)))
    if as_json:
        click.echo(orjson.dumps(account.as_json()).decode())
    else:
        demo_table(account)
    sys.exit(0 if account.ok else 3)


def _kafka(broker: str, brokers: str) -> int:
    """How many brokers of Apache Kafka; 0 for the embedded one."""
    return int(brokers) if broker == "kafka" else 0


@cli.command()
@BROKER
@BROKERS
def run(broker: str, brokers: str) -> None:
    """Run the same stack as `demo`, without a fleet, until Ctrl-C. Send it reports, or `emberline simulate`."""
    from streams.stack import running_stack

    settings = read_settings()

    async def stay() -> None:
        async with running_stack(settings, click.echo, kafka=_kafka(broker, brokers)) as stack:
            click.echo("running; Ctrl-C stops. Try `emberline simulate` and `emberline alarms` in other terminals.")
            while True:
                stack.check()
                await asyncio.sleep(1)

    run_to_end(stay())


@cli.group()
def kafka() -> None:
    """Apache Kafka on this machine, for development and tests."""


@kafka.command()
@BROKERS
def up(brokers: str) -> None:
    """Run Apache Kafka until Ctrl-C, at EMBERLINE_KAFKA and the ports after it; data are kept in EMBERLINE_DATA_DIR."""
    from embedded.processes import StartFailedError, running_kafka
    from streams.settings import host_port

    settings = read_settings()
    folder = Path(settings.data_dir)
    _, port = host_port(settings.kafka.split(",")[0])
    click.echo(f"starting {brokers} of Apache Kafka's brokers, data in {folder / 'kafka'}")
    try:
        with running_kafka(folder / "kafka", folder / "logs", brokers=int(brokers), port=port) as cluster:
            click.echo(f"running; Ctrl-C stops. export EMBERLINE_KAFKA={cluster.bootstrap}")
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except StartFailedError as error:
        raise OperatorError(str(error)) from error


@cli.group()
def worker() -> None:
    """Run one worker process until SIGTERM or Ctrl-C."""


@worker.command()
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input does.")
def detect(with_parent: bool) -> None:
    """Telemetry in; alarms, aggregates, device status and rejects out."""
    from streams.detect import DetectJob

    settings = read_settings(logging.ERROR)
    _work(settings, "detect", DetectJob(settings, _limits(settings)), with_parent)


@worker.command()
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input does.")
def sink(with_parent: bool) -> None:
    """Every topic in; rows in ClickHouse out."""
    from streams.sink import SinkJob
    from streams.storage import make_sink

    settings = read_settings(logging.ERROR)
    job = SinkJob(settings, lambda: make_sink(settings), _limits(settings).absences)
    _work(settings, "sink", job, with_parent)


def _limits(settings: Settings) -> LimitTable:
    from detectors.limits import LimitsError, load_limits

    try:
        return load_limits(settings.limits_path)
    except LimitsError as error:
        raise OperatorError(str(error)) from error


@cli.command()
def migrate() -> None:
    """Make or update the tables in ClickHouse. Safe to run twice."""
    from streams.storage import run_migrations

    settings = read_settings()
    applied = run_migrations(settings)
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{settings.clickhouse_database} at {settings.clickhouse} is up to date")


@cli.command()
def topics() -> None:
    """Make the topics in Kafka that are not there yet."""
    from schemas.topics import TOPICS
    from streams.topics import make_topics

    settings = read_settings()
    made = run_to_end(make_topics(settings), settings)
    for topic in TOPICS:
        click.echo(f"{'made ' if topic.name in made else 'there'}  {topic.name:<26}{topic.what}")


@cli.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long devices report.")
@click.option("--devices", default=3_000, show_default=True, help="How many devices.")
@click.option("--rate", default=5_000.0, show_default=True, help="Reports a second over all devices.")
@click.option("--seed", default=1, show_default=True, help="Seed of the fleet.")
@click.option("--faults", default=2, show_default=True, help="Planted faults of each kind.")
@click.option("--bad", default=0, show_default=True, help="Planted bad records, rejected or odd.")
def simulate(seconds: float, devices: int, rate: float, seed: int, faults: int, bad: int) -> None:
    """Send the reports of a simulated fleet to Kafka, in real time."""
    from fleet import Fleet, FleetConfig
    from streams.progress import progress
    from streams.send import Sender
    from streams.simulate import Sent
    from streams.simulate import simulate as send_fleet
    from streams.times import now_ms

    settings = read_settings()
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
    sent = Sent()

    async def send() -> None:
        async with Sender(settings.kafka) as sender:
            with progress("sending", round(rate * seconds), lambda: sent.reports):
                await send_fleet(fleet, sender, sent)

    run_to_end(send(), settings)
    click.echo(f"sent {sent.reports} reports in {sent.records} records; {sent.rejected} to be rejected among them")


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--device", required=True, help="Device id that the readings are sent as.")
@click.option("--time", "time_column", required=True, help="Column that holds the time (ISO 8601, or epoch s or ms).")
@click.option(
    "--map",
    "mappings",
    multiple=True,
    required=True,
    help="COLUMN=QUANTITY[COMPONENT], or COLUMN=QUANTITY[COMPONENT]:CONVERSION; may be repeated.",
)
@click.option("--kind", default="electrical_monitor", show_default=True, help="Kind of the device.")
@click.option("--zone", default="Asia/Shanghai", show_default=True, help="Time zone of times without one.")
@click.option("--speed", default=0.0, show_default=True, help="Times real time; 0 for as fast as it goes.")
@click.option("--ending", help="Shift all times so that the last reading is at this time, or `now`.")
@click.option("--json", "as_json", is_flag=True, help="Print what came out as one JSON object.")
def replay(file: Path, as_json: bool, **options: Any) -> None:
    """Send the readings of a CSV file as a device's reports, and say what came out of them."""
    from streams.replay import Replay, replay_file

    settings = read_settings()
    plan = Replay.of(file, **options)
    outcome = run_to_end(replay_file(settings, plan, quiet=as_json), settings)
    click.echo(orjson.dumps(outcome.as_json()).decode() if as_json else outcome.told())


@cli.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--limits",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of limits that differ; EMBERLINE_LIMITS_FILE where it is not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as a JSON object on a line, then a summary.")
def try_(file: Path, limits: Path | None, as_json: bool) -> None:
    """Show what emberline makes of recorded reports, in their own time, without Kafka.

    FILE holds a JSON object a line: {"ingest_ts": epoch ms of arrival, "report": a report or an array of them}.
    """
    from streams.trying import try_file

    settings = read_settings()
    try_file(file, limits or settings.limits_path, as_json)


@cli.command()
@click.option("--from-beginning", is_flag=True, help="Show what the topic still holds, then go on.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a JSON object on a line.")
def alarms(from_beginning: bool, as_json: bool) -> None:
    """Follow the alarms as they are raised, until Ctrl-C."""
    from streams.follow import follow_alarms

    settings = read_settings()
    run_to_end(follow_alarms(settings, from_beginning, as_json), settings)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON object.")
def settings(as_json: bool) -> None:
    """List every setting, its default and what it means."""
    rows = described()
    if as_json:
        click.echo(orjson.dumps({name: {"default": default, "what": what} for name, default, what in rows}).decode())
        return
    for name, default, what in rows:
        click.echo(f"{name:<34}{default or '-':<18}{what}")


def _work(settings: Settings, role: str, job: Any, with_parent: bool) -> None:
    from embedded.manners import when_stdin_closes
    from streams.worker import WorkerApp, run_worker

    async def work() -> None:
        if with_parent:
            when_stdin_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
        os.nice(job.niceness)
        await run_worker(WorkerApp(settings, role, job))

    run_to_end(work(), settings)


def main() -> None:
    """Entry point: an operator's error is one sentence and status 1."""
    try:
        sys.exit(cli(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OperatorError as error:
        click.echo(f"emberline: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("emberline: stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
