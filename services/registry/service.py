"""The publisher as a process: until it is told to leave, with its health and metrics over HTTP."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from sqlalchemy import Engine

from common.health import Condition, HttpServer
from common.metrics import Metrics
from common.settings import Settings
from services.registry.publishing import Publisher

BEAT_S: Final = 0.25
"""How old a readiness may be that is told over HTTP."""


async def serve(settings: Settings, engine: Engine) -> None:
    """Publish until cancelled. Raises OperatorError for what only the operator can mend."""
    metrics = Metrics()
    publisher = Publisher(settings, engine, lambda rows: metrics.set("emberline_outbox_rows", rows))
    http = HttpServer(settings.http, metrics.registry, Condition(time.monotonic(), publisher.why_not_ready))
    http.start()
    beating = asyncio.ensure_future(_beat(http, publisher))
    try:
        await publisher.run()
    finally:
        beating.cancel()
        http.stop()


async def _beat(http: HttpServer, publisher: Publisher) -> None:
    while True:
        http.condition = Condition(time.monotonic(), publisher.why_not_ready, publisher.remark)
        await asyncio.sleep(BEAT_S)
