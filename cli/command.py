"""What every command does: read the settings, reach Kafka, turn what goes wrong into the operator's sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import click
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
)

from common.errors import OperatorError
from common.kafka import clients
from common.kafka.errors import no_kafka, why
from common.log import set_up_logging
from common.settings import Settings, SettingsError
from embedded.broker import CLUSTER_ID_PREFIX
from streams.storage import COMMAND_DEADLINE_S

T = TypeVar("T")
WITH_PARENT = click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input does.")
"""Of what `run` and `demo` start."""


def read_settings() -> Settings:
    """The settings, and logging by them."""
    try:
        found = Settings.from_environment()
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    set_up_logging(found.log_level)
    return found


def run_to_end(work: Coroutine[Any, Any, T], settings: Settings | None = None) -> T:
    """Run a coroutine to its end; what Kafka refuses, and that it is away, becomes the operator's sentence."""
    try:
        return asyncio.run(work)
    except KafkaError as error:
        sentence = f"Kafka: {error}" if settings is None else asyncio.run(why(error, settings))
        raise OperatorError(sentence) from error


def with_kafka(work: Callable[[Settings], Coroutine[Any, Any, T]], settings: Settings) -> T:
    """Run work to its end with the settings as they suit the broker.

    That none answers is told within `COMMAND_DEADLINE_S`.
    """

    async def run() -> T:
        return await work(await suited(settings))

    return run_to_end(run(), settings)


async def suited(settings: Settings) -> Settings:
    """The settings as they suit the broker that answers: the embedded one has neither idempotence nor transactions.

    Raises OperatorError where none answers within `COMMAND_DEADLINE_S`.
    """
    try:
        async with asyncio.timeout(COMMAND_DEADLINE_S):
            cluster_id = await _cluster_id(settings)
    except KafkaError as error:
        raise OperatorError(await why(error, settings)) from error
    except TimeoutError as error:
        raise OperatorError(no_kafka(settings)) from error
    return replace(settings, fencing=False) if cluster_id.startswith(CLUSTER_ID_PREFIX) else settings


async def _cluster_id(settings: Settings) -> str:
    # One broker that hangs leaves time to ask another.
    each_ms = round(900 * COMMAND_DEADLINE_S / len(settings.kafka.split(",")))
    while True:
        admin = clients.admin(settings, request_timeout_ms=each_ms)
        try:
            await admin.start()
            return str((await admin.describe_cluster())["cluster_id"])
        except (KafkaTimeoutError, NodeNotReadyError, RequestTimedOutError):
            continue
        finally:
            await admin.close()
