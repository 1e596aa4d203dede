"""What every command does: read the settings, run a coroutine, turn what goes wrong into the operator's sentence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from streams.errors import OperatorError
from streams.kafka.errors import why
from streams.log import set_up_logging
from streams.settings import Settings, SettingsError

T = TypeVar("T")


def read_settings(libraries: int = logging.CRITICAL) -> Settings:
    """The settings, and logging by them; `libraries` is the level from which libraries are heard."""
    try:
        found = Settings.from_environment()
    except SettingsError as error:
        raise OperatorError(str(error)) from error
    set_up_logging(found.log_level, libraries)
    return found


def run_to_end(work: Coroutine[Any, Any, T], settings: Settings | None = None) -> T:
    """Run a coroutine to its end; what Kafka refuses, and that it is away, becomes the operator's sentence."""
    try:
        return asyncio.run(work)
    except KafkaError as error:
        sentence = f"Kafka: {error}" if settings is None else asyncio.run(why(error, settings))
        raise OperatorError(sentence) from error
