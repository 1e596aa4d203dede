"""Pieces of several partitions are processed together.

A call of a detector costs as much for one report as for a hundred, and a worker of many partitions has small pieces. So
a piece waits until no other partition has one to add, which is a few turns of the event loop. While partitions catch up
each turn decodes what one of them has, so there it waits longer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from common.times import now_ms
from detectors.limits import LimitTable
from detectors.rounds import Result
from detectors.state import PartitionState
from streams.pieces import REPORTS_ENOUGH, Piece, Processing, advance

TURNS: Final = 25
"""Turns of the event loop without another piece, after which none is waited for: what a fetch brings of one partition
takes some twenty until it is a piece."""
WAIT_S: Final = 0.03
"""No piece waits longer for others, however slow the turns: of the tenth of a second that an alarm may take [ours]."""
WAIT_BEHIND_S: Final = 0.25
"""Nor than this while all that wait are `BEHIND_MS` late: then throughput is worth more than a moment [ours]."""
BEHIND_MS: Final = 2_000


class Together:
    """See the module. The states lie among the same `Devices`; each has one piece at a time."""

    def __init__(self, limits: LimitTable) -> None:
        self._limits = limits
        self._waiting: dict[asyncio.Future[Result], Processing] = {}
        self._running: asyncio.Task[None] | None = None

    async def process(self, piece: Piece, state: PartitionState) -> Result:
        """What a piece means, in place. Raises what a detector raises on any piece that is processed with it; then the
        states of all of them are half changed."""
        result = asyncio.Future[Result]()
        self._waiting[result] = Processing(piece, state)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        while self._waiting:
            await self._until_nobody_joins()
            self._advance()

    async def _until_nobody_joins(self) -> None:
        turns, before, began, wait_s = 0, 0, time.perf_counter(), WAIT_S
        while turns < TURNS and time.perf_counter() < began + wait_s:
            await asyncio.sleep(0)
            turns += 1
            if len(self._waiting) != before:
                turns, before, wait_s = 0, len(self._waiting), self._wait_s()

    def _wait_s(self) -> float:
        """How long what waits may wait."""
        late_ts = now_ms() - BEHIND_MS
        return WAIT_BEHIND_S if all(one.piece.log_ts < late_ts for one in self._waiting.values()) else WAIT_S

    def _advance(self) -> None:
        """Some 40 ms at most, as long as one piece takes by itself: others have their turn between."""
        try:
            advance(list(self._waiting.values()), self._limits, REPORTS_ENOUGH)
        except Exception as error:
            for result in self._waiting:
                _end(result, error)
            self._waiting.clear()
            return
        for result, one in [*self._waiting.items()]:
            if one.is_done:
                del self._waiting[result]
                _end(result, one.result)


def _end(result: asyncio.Future[Result], found: Result | Exception) -> None:
    """Tell who waits, unless it was told to wait no more."""
    if result.done():
        return
    if isinstance(found, Exception):
        result.set_exception(found)
    else:
        result.set_result(found)
