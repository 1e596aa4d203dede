"""A worker whose first checkpoint is held up through a rebalance, until the group has gone on without it.

python -m tests.faults.altered.held_up worker detect
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from faust.types import TP

from cli.main import main
from detectors.checkpoints.encode import is_row
from streams.checkpoints import CheckpointWriter
from streams.detect import DetectJob

HELD_S: Final = 14.0
"""Longer than a rebalance waits for a worker in the arena, and than its successor takes to claim the partition."""
_rebalancing = asyncio.Event()
_write, _release = CheckpointWriter.write, DetectJob.release


async def _written_late(self: CheckpointWriter, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
    if any(is_row(key) for key, _ in rows) and not _rebalancing.is_set():
        await _rebalancing.wait()
        await asyncio.sleep(HELD_S)
    await _write(self, rows)


async def _released(self: DetectJob, revoked: set[TP]) -> None:
    if self._partitions:
        _rebalancing.set()
    await _release(self, revoked)


if __name__ == "__main__":
    CheckpointWriter.write = _written_late  # type: ignore[method-assign]
    DetectJob.release = _released  # type: ignore[method-assign]
    main()
