"""The HTTP side of a worker: `/metrics` for Prometheus, `/healthz` for "is it alive", `/readyz` for "does it work"."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from streams.errors import OperatorError
from streams.settings import host_port


async def serve_http(
    address: str, registry: CollectorRegistry, why_not_ready: Callable[[], str | None]
) -> web.AppRunner | None:
    """Serve at `address`, if there is one, in the worker's own loop: one that hangs does not answer `/healthz`."""
    if not address:
        return None
    host, port = host_port(address)

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        why = why_not_ready()
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
