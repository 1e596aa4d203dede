"""Letting go of a Kafka client that may wait for an answer which never comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

CLOSE_S: Final = 3.0
"""A client that is stopped waits for its fetch in flight: up to 40 s, if the broker has lost it."""


async def closed(stopping: Awaitable[object]) -> None:
    """Await a client's `stop()`, but not for long, and not its fetch's cancellation, which it lets out."""
    with suppress(TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(stopping, CLOSE_S)
