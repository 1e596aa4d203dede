"""The options of commands that start a broker."""

from __future__ import annotations

import click

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


def kafka_brokers(broker: str, brokers: str) -> int:
    """How many brokers of Apache Kafka; 0 for the embedded one."""
    return int(brokers) if broker == "kafka" else 0
