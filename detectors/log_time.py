"""The time of a partition's log, by which silence is judged: the newest arrival of any record, and no clock of a
worker.

Silence is checked before a record that is the first to arrive in another `CHECK_MS`. So a replay of the same records
finds the same silence at the same offsets, whenever it runs. Where nothing is sent, the worker that holds the partition
appends records that only say that time has passed (`schemas.control`); as long as any worker does, no two records are
far apart. Where two are, Kafka or all workers were away, and silence counts anew from the later record on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

CHECK_MS: Final = 5_000
"""Devices are silent for minutes before they are offline; a check costs a tenth of a millisecond at 1000 devices."""
HOLE_MS: Final = 60_000
"""Three times the longest wait of a worker that holds the partition, `streams.detect.BEAT_S` (control.md, 7)."""


@dataclass(slots=True)
class LogTime:
    """How far a partition's log is, epoch ms. `ts` is the newest arrival, 0 before the first record; since `awake_ts`
    records have come without a hole. Before `due_ts` no device can be silent for long enough: it spares checks and
    changes nothing, so it is not kept over restarts."""

    ts: int = 0
    awake_ts: int = 0
    due_ts: int = 0

    def reach(self, ts: int) -> None:
        """Records up to `ts` have come without a hole; by some brokers one came before the last."""
        self.ts = max(self.ts, ts)

    def wake(self, ts: int) -> None:
        """The record that is next arrives at `ts`, perhaps after a hole."""
        if ts - self.ts > HOLE_MS:
            self.awake_ts = ts
        self.reach(ts)

    def checks(self, timestamps: np.ndarray) -> tuple[list[int], np.ndarray]:
        """The numbers of those of the next records, by their arrivals, int64[n], before which to check for silence; and
        the log's time at each of the records, int64[n]."""
        newest = np.maximum.accumulate(np.maximum(timestamps, self.ts))
        if (timestamps < newest).any():
            # Whoever is heard by such a record may be due sooner than anybody who is heard now.
            self.due_ts = 0
        before = np.concatenate([[self.ts], newest])[:-1]
        passed = newest // CHECK_MS > before // CHECK_MS
        matters = (newest >= self.due_ts) | (newest - before > HOLE_MS)
        return (passed & matters).nonzero()[0].tolist(), newest
