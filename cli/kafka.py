"""`emberline kafka`."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from cli.brokers import BROKERS
from cli.command import read_settings
from embedded.processes import StartFailedError, running_kafka
from streams.errors import OperatorError
from streams.settings import host_port


@click.group()
def kafka() -> None:
    """Apache Kafka on this machine, for development and tests."""


@kafka.command()
@BROKERS
def up(brokers: str) -> None:
    """Run Apache Kafka until Ctrl-C, at EMBERLINE_KAFKA and the ports after it; data are kept in EMBERLINE_DATA_DIR."""
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
