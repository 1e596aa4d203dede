"""Pieces of several partitions are processed together.

A call of a detector costs as much for one report as for a hundred, and a worker of many partitions has small pieces. So
a piece waits until no other partition has one to add, which is a few turns of the event loop.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from detectors.limits import LimitTable
from detectors.rounds import Result
from detectors.state import PartitionState
from streams.pieces import REPORTS_ENOUGH, Piece, processed

TURNS: Final = 3
"""Turns of the event loop without another piece, after which none is waited for: a task that sends what it found and
decodes its next piece takes two [measured]."""


class _Waiting(NamedTuple):
    piece: Piece
    state: PartitionState
    result: asyncio.Future[Result]


class Together:
    """See the module. The states lie among the same `Devices`; each has one piece at a time."""

    def __init__(self, limits: LimitTable) -> None:
        self._limits = limits
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    async def process(self, piece: Piece, state: PartitionState) -> Result:
        """What a piece means, in place. Raises what a detector raises on any piece that is processed with it; then the
        states of all of them are half changed."""
        result = asyncio.Future[Result]()
        self._waiting.append(_Waiting(piece, state, result))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        while self._waiting:
            await self._until_nobody_joins()
            self._process(self._taken())

    async def _until_nobody_joins(self) -> None:
        turns, before = 0, 0
        while turns < TURNS and sum(len(one.piece.reports) for one in self._waiting) < REPORTS_ENOUGH:
            await asyncio.sleep(0)
            turns, before = (turns + 1 if len(self._waiting) == before else 0), len(self._waiting)

    def _taken(self) -> list[_Waiting]:
        """As many pieces as make enough reports, one at least."""
        count = reports = 0
        while count < len(self._waiting) and reports < REPORTS_ENOUGH:
            reports += len(self._waiting[count].piece.reports)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return [one for one in taken if not one.result.done()]

    def _process(self, taken: list[_Waiting]) -> None:
        try:
            results = processed([one.piece for one in taken], [one.state for one in taken], self._limits)
        except Exception as error:
            for one in taken:
                one.result.set_exception(error)
            return
        for one, result in zip(taken, results, strict=True):
            one.result.set_result(result)
