"""The HTTP side of a worker: `/metrics` for Prometheus, `/healthz` for "is it alive", `/readyz` for "does it work".

It runs in a thread and an event loop of its own. So it answers whatever the worker's loop does, and tells how long that
loop has not turned. It knows of the worker only what the worker's loop puts down here.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final, NamedTuple

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from common.errors import OperatorError
from common.settings import host_port

STILL_S: Final = 30.0
"""A loop that has not turned for so long is taken for dead: pieces of work take a tenth of a second [ours]."""
RENDERED_S: Final = 1.0
"""Metrics are written once in that time, however many ask [ours]."""
_CLOSE_S: Final = 0.5
"""Connections that are kept open do not keep a worker from leaving."""


class Condition(NamedTuple):
    """When the worker's loop last turned (monotonic), why it is not ready, and what is to be known though it is."""

    at: float
    why_not_ready: str | None
    remark: str | None = None


class HttpServer:
    """Answers at `address`, if there is one, from `start` to `stop`."""

    def __init__(self, address: str, registry: CollectorRegistry, condition: Condition) -> None:
        self.condition = condition
        self._address = address
        self._registry = registry
        self._rendered = b""
        self._rendered_at = -RENDERED_S
        self._serving = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer. Raises OperatorError where the address cannot be had."""
        if not self._address:
            return
        self._thread.start()
        self._serving.wait()
        if self._failure is not None:
            why = f"{self._failure.strerror}; set EMBERLINE_HTTP"
            raise OperatorError(f"cannot serve metrics on {self._address}: {why}") from self._failure

    def stop(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._serving.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        site = web.Application()
        site.add_routes([web.get(f"/{one.__name__[1:]}", one) for one in (self._metrics, self._healthz, self._readyz)])
        runner = web.AppRunner(site, access_log=None, shutdown_timeout=_CLOSE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, *host_port(self._address)).start()
            self._serving.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        if time.monotonic() - self._rendered_at >= RENDERED_S:
            self._rendered, self._rendered_at = generate_latest(self._registry), time.monotonic()
        return web.Response(body=self._rendered, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        if still := self._still():
            return web.Response(status=503, text=f"{still}; restart me\n")
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        why, remark = self._still() or self.condition.why_not_ready, self.condition.remark
        if why is not None:
            return web.Response(status=503, text=f"not ready: {why}\n")
        return web.Response(text="ready\n" if remark is None else f"ready; {remark}\n")

    def _still(self) -> str | None:
        """That the worker's loop stands still, if it does."""
        still_s = time.monotonic() - self.condition.at
        return f"the event loop has not turned for {still_s:.0f} s" if still_s > STILL_S else None
