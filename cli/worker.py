"""`emberline worker`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import Any

import click

from cli.command import WITH_PARENT, read_settings, run_to_end, suited
from common.errors import OperatorError
from common.log import set_up_logging
from common.settings import Settings
from detectors.limits import LimitTable, load_limits
from embedded.manners import when_stdin_closes
from schemas.limit_sections import LimitsError
from streams.detect import DetectJob
from streams.sink import SinkJob
from streams.storage import make_sink
from streams.worker import WorkerApp, run_worker


@click.group()
def worker() -> None:
    """Run one worker process until SIGTERM or Ctrl-C."""


@worker.command()
@WITH_PARENT
def detect(with_parent: bool) -> None:
    """Telemetry in; alarms, aggregates, device status and rejects out."""
    settings = _settings()
    _work(settings, "detect", DetectJob(settings, _limits(settings)), with_parent)


@worker.command()
@WITH_PARENT
def sink(with_parent: bool) -> None:
    """Every topic in; rows in ClickHouse out."""
    settings = _settings()
    job = SinkJob(settings, lambda: make_sink(settings), _limits(settings).absences)
    _work(settings, "sink", job, with_parent)


def _settings() -> Settings:
    """The settings as they suit the broker; where none answers, the worker itself says so, over HTTP too."""
    settings = read_settings()
    with suppress(OperatorError):
        settings = asyncio.run(suited(settings))
    set_up_logging(settings.log_level, logging.ERROR)
    return settings


def _limits(settings: Settings) -> LimitTable:
    try:
        return load_limits(settings.limits_path)
    except LimitsError as error:
        raise OperatorError(str(error)) from error


def _work(settings: Settings, role: str, job: Any, with_parent: bool) -> None:
    async def work() -> None:
        if with_parent:
            when_stdin_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
        os.nice(job.niceness)
        await run_worker(WorkerApp(settings, role, job))

    run_to_end(work(), settings)
