"""Noise as a pure function of integers: splitmix64 of (seed, number, stream), the same in any batch and any order.

Only integer operations, one multiplication and one addition: unlike sin or exp, they do not depend on where in an array
a value lies (SIMD body or tail), which byte-equal repeats need.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_STREAMS: Final = 1 << 8
"""Streams of one number: 64 components fit, and decisions have their own (`REPEAT` and on)."""
REPEAT: Final = 128
SWAP: Final = 129
CHUNK: Final = 130
_KNOTS: Final = 1 << 26
"""Knots of one number: of a minute and longer until the year 2097."""
BUSY: Final = 192
"""First of the ports' streams."""


class Noise:
    """Reproducible noise of one seed."""

    def __init__(self, seed: int) -> None:
        self._salt = np.uint64(int(np.random.default_rng(seed).integers(2**63)))

    def uniform(self, number: np.ndarray, stream: np.ndarray | int) -> np.ndarray:
        """float64 in [0, 1), of the broadcast shape of `number` and `stream`."""
        mixed = number.astype(np.uint64) * np.uint64(_STREAMS) + np.asarray(stream, dtype=np.uint64)
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + self._salt
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        return np.asarray((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def smooth(self, number: np.ndarray, ts: np.ndarray, period_ms: int, stream: int) -> np.ndarray:
        """float64[m] in [-1, 1), of `number` at `ts`: straight lines between random values `period_ms` apart, so that
        what lies nearer together differs little. Each number has knots of its own."""
        shifted = ts + (self.uniform(number, stream) * period_ms).astype(np.int64)
        knot = shifted // period_ms
        key = number.astype(np.int64) * _KNOTS + knot
        before, after = self.uniform(key, stream), self.uniform(key + 1, stream)
        share = (shifted - knot * period_ms) / period_ms
        return np.asarray(2 * (before + (after - before) * share) - 1)

    def signed(self, number: np.ndarray, columns: int) -> np.ndarray:
        """float64[m, columns] in [-1, 1): one number a value of a report."""
        return self.uniform(number[:, None], np.arange(columns)[None, :]) * 2.0 - 1.0
