"""`emberline kafka`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cli.brokers import BROKERS, KAFKA, kafka_brokers
from cli.command import read_settings
from cli.output import say
from cli.stack import cluster_server, refused
from common.settings import host_port
from embedded.processes import StartFailedError, running_kafka


@click.group()
def kafka() -> None:
    """Apache Kafka on this machine, for development and tests."""


@kafka.command()
@BROKERS
def up(brokers: str | None) -> None:
    """Run Apache Kafka until Ctrl-C, at EMBERLINE_KAFKA and the ports after it; data are kept in EMBERLINE_DATA_DIR."""
    settings = read_settings()
    folder, logs = Path(settings.data_dir) / "kafka", Path(settings.data_dir) / "logs"
    _, port = host_port(settings.kafka.split(",")[0])
    count = kafka_brokers(KAFKA, brokers, folder, say)
    say(f"starting {count} of Apache Kafka's brokers, data in {folder}")
    try:
        with running_kafka(folder, logs, brokers=count, port=port) as cluster:
            say(f"running; Ctrl-C stops. export EMBERLINE_KAFKA={cluster.bootstrap}")
            server = cluster_server(cluster, logs)
            while True:
                server.check()
                time.sleep(1)
    except StartFailedError as error:
        raise refused(error) from error
