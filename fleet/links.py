"""What NB-IoT links do to reports: which leave at once, which late, swapped with their neighbour, or again.

All delays are fixed or given by the device, so what leaves in a window is found by looking at the windows that lie that
much earlier; nothing is queued. Devices with planted curves are never late nor swapped, only repeated, which changes
nothing for a reader that ignores what it has seen: so the truth stays unambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from fleet.config import FleetConfig, Timeline
from fleet.noise import CHUNK, REPEAT, SWAP, Noise

REPEAT_AFTER_MS: Final = 2_000
"""A gateway without an acknowledgement sends again after this long, once or twice [ours]."""
_CYCLE_MS: Final = 60_000
_CHUNKS: Final = (50, 1, 10)
"""Cached reports in one record: all at once as a rule, one by one, or a few."""
FLUSHED, FRESH, SWAPPED, REPEATED, BAD = range(5)
"""In this order records leave that are due in the same millisecond: a device's cache before its next report."""


class Singles(NamedTuple):
    """Records of one report each: when, of which class, which report. int64[m] each."""

    scheduled_ts: np.ndarray
    rank: np.ndarray
    n: np.ndarray


class CachedReports(NamedTuple):
    """One record of cached reports."""

    scheduled_ts: int
    rank: int
    n: np.ndarray


class Links:
    """The way of every report to the broker."""

    def __init__(self, config: FleetConfig, timeline: Timeline, noise: Noise, planted: np.ndarray) -> None:
        self._timeline = timeline
        self._noise = noise
        self._share_repeated = config.share_repeated
        self._share_swapped = config.share_swapped
        run_ms = config.end_ts - config.start_ts
        # An outage is 5 to 15 s in a minute, longer where devices report seldom, shorter in very short runs.
        self._cycle_ms = min(max(_CYCLE_MS, int(8 * config.period_ms)), run_ms)
        rng = np.random.default_rng((config.seed, 1))
        late = (rng.random(config.devices) < config.share_late) & ~planted
        self._late = np.flatnonzero(late)
        self._steady = ~late & ~planted
        self._length_ms = np.zeros(config.devices, dtype=np.int64)
        shortest_ms = min(max(5_000, int(2 * config.period_ms)), self._cycle_ms // 4)
        self._length_ms[late] = rng.integers(shortest_ms, 3 * shortest_ms + 1, len(self._late))
        latest_ms = self._cycle_ms - self._length_ms
        self._offset_ms = (rng.random(config.devices) * latest_ms).astype(np.int64)

    @property
    def late(self) -> np.ndarray:
        """The devices that lose their link now and then."""
        return self._late

    def singles(self, from_ts: int, to_ts: int) -> Singles:
        """What leaves in the window as a record of its own, repeats included, but for cached reports."""
        timeline = self._timeline
        n = timeline.between(from_ts, to_ts)
        n = n[~self._withheld(n) & ~self._is_swapped(n)]
        parts = [(timeline.at(n), FRESH, n)]
        n = timeline.between(from_ts - 1, to_ts - 1) - timeline.devices
        n = n[self._is_swapped(n)]
        parts.append((timeline.at(n + timeline.devices) + 1, SWAPPED, n))
        for times in (1, 2):
            delay_ms = times * REPEAT_AFTER_MS
            n = timeline.between(from_ts - delay_ms, to_ts - delay_ms)
            n = n[self._repeats(n) >= times]
            if not len(n):
                continue
            n = n[~self._withheld(n) & ~self._is_swapped(n)]
            parts.append((timeline.at(n) + delay_ms, REPEATED, n))
        ranks = np.concatenate([np.full(len(n), rank) for _, rank, n in parts])
        return Singles(np.concatenate([ts for ts, _, _ in parts]), ranks, np.concatenate([n for _, _, n in parts]))

    def batches(self, from_ts: int, to_ts: int) -> list[CachedReports]:
        """The caches handed in within the window, oldest first, and their repeats."""
        found = [CachedReports(ts, FLUSHED, n) for ts, n in self._flushes(from_ts, to_ts)]
        for times in (1, 2):
            delay_ms = times * REPEAT_AFTER_MS
            for ts, n in self._flushes(from_ts - delay_ms, to_ts - delay_ms):
                if self._repeats(n[:1])[0] >= times:
                    found.append(CachedReports(ts + delay_ms, REPEATED, n))
        return found

    def _flushes(self, from_ts: int, to_ts: int) -> Iterator[tuple[int, np.ndarray]]:
        start_ts, end_ts = self._timeline.start_ts, self._timeline.end_ts
        offset_ms, length_ms = self._offset_ms[self._late], self._length_ms[self._late]
        first, last = (max(ts - start_ts, 0) // self._cycle_ms for ts in (from_ts - self._cycle_ms, to_ts))
        for cycle in range(first, last + 1):
            lost_ts = start_ts + cycle * self._cycle_ms + offset_ms
            back_ts = np.minimum(lost_ts + length_ms, end_ts - 1)  # what is cached at the end is still handed in
            due = np.flatnonzero((from_ts <= back_ts) & (back_ts < to_ts) & (lost_ts < end_ts))
            for index in due.tolist():
                device, begin_ts = int(self._late[index]), int(lost_ts[index])
                n = self._timeline.of_device(device, begin_ts, begin_ts + int(length_ms[index]))
                yield from ((int(back_ts[index]), chunk) for chunk in self._chunks(n))

    def _chunks(self, n: np.ndarray) -> list[np.ndarray]:
        if not len(n):
            return []
        size = _CHUNKS[int(self._noise.uniform(n[:1], CHUNK)[0] * len(_CHUNKS))]
        return [n[begin : begin + size] for begin in range(0, len(n), size)]

    def _withheld(self, n: np.ndarray) -> np.ndarray:
        device = n % self._timeline.devices
        phase = (self._timeline.at(n) - self._timeline.start_ts) % self._cycle_ms
        offset_ms = self._offset_ms[device]
        return np.asarray((offset_ms <= phase) & (phase < offset_ms + self._length_ms[device]))

    def _is_swapped(self, n: np.ndarray) -> np.ndarray:
        """Whether the report leaves after its device's next one. Only even ones do, so that pairs do not overlap."""
        device, number = n % self._timeline.devices, n // self._timeline.devices
        after = n + self._timeline.devices
        arrives = (after < self._timeline.total) & (self._timeline.at(after) + 1 < self._timeline.end_ts)
        chosen = self._noise.uniform(n, SWAP) < self._share_swapped
        return np.asarray(chosen & (n >= 0) & (number % 2 == 0) & arrives & self._steady[device])

    def _repeats(self, n: np.ndarray) -> np.ndarray:
        """How often the record that begins with each report is sent again: 0, 1 or, one time in three, 2."""
        chance = self._noise.uniform(n, REPEAT)
        return (chance < self._share_repeated).astype(np.int64) + (chance < self._share_repeated / 3)
