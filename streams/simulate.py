"""The fleet in real time: its reports leave when they are due, however long the broker takes (open loop)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from fleet import Fleet
from streams.send import Sender
from streams.times import now_ms

WINDOW_MS: Final = 50
"""The fleet is asked for this much at a time: a call costs 1 ms, and nothing may leave before it is due."""


@dataclass(slots=True)
class Sent:
    """What has been sent so far: good reports, and rejects they will give."""

    records: int = 0
    reports: int = 0
    rejected: int = 0
    behind_ms_max: int = 0


async def simulate(fleet: Fleet, sender: Sender, sent: Sent) -> None:
    """Send the whole run, keeping count in `sent`. Returns when the broker has acknowledged all of it."""
    config = fleet.config
    for from_ts in range(config.start_ts, config.end_ts, WINDOW_MS):
        to_ts = min(from_ts + WINDOW_MS, config.end_ts)
        await _until(to_ts)
        due = fleet.due(from_ts, to_ts)
        await sender.send((send.key, send.value) for send in due)
        sent.records += len(due)
        sent.reports += sum(send.reports for send in due)
        sent.rejected += sum(send.rejected for send in due)
        sent.behind_ms_max = max(sent.behind_ms_max, now_ms() - to_ts)
    await sender.flush()


async def _until(ts: int) -> None:
    wait_ms = ts - now_ms()
    if wait_ms > 0:
        await asyncio.sleep(wait_ms / 1000)
