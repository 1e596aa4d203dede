"""The HTTP side of a worker: `/metrics` for Prometheus, `/healthz` for "is it alive", `/readyz` for "does it work"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.errors import OperatorError
from streams.settings import host_port

if TYPE_CHECKING:
    from streams.worker import WorkerApp


async def serve_http(app: WorkerApp) -> web.AppRunner | None:
    """Serve where the settings say, in the worker's own event loop: a loop that hangs does not answer `/healthz`."""
    if not app.emberline.http:
        return None
    host, port = host_port(app.emberline.http)

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(app.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        why = app.why_not_ready()
        return web.Response(text="ready\n") if why is None else web.Response(status=503, text=f"not ready: {why}\n")

    site = web.Application()
    site.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(site, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise OperatorError(f"cannot serve metrics on {host}:{port}: {error.strerror}; set EMBERLINE_HTTP") from error
    return runner
