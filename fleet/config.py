"""What a fleet is asked to be, and its timeline: which device reports when.

Report number n of the run belongs to device n % devices and is that device's report n // devices. Reports are evenly
spaced, over the fleet as for each device, at a whole number of nanoseconds, so that all arithmetic on time is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NS_PER_MS = 1_000_000
_SHORTEST_PERIOD_MS = 10
"""No device of this field reports oftener than its arc detector's fastest burst; it also keeps event times distinct."""
_LONGEST_PERIOD_MS = 6 * 3_600_000
"""None reports more seldom (domain.md, What the field really sends)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """What to simulate. `start_ts` is epoch ms, UTC.

    `rate` is in reports a second over the whole fleet, without repeats and bad records. `rise_window_s` is the window
    within which a rise of residual current is judged: the truth depends on it. `share_late` and `share_unregistered`
    are of devices, `share_swapped` of adjacent pairs, `share_repeated` of records. `faults_per_kind` counts devices for
    each recipe of `fleet.recipes`. `bad_records` are taken in turn from `fleet.bad.CASES`: not all of them are
    rejected. `huge_record_bytes`, where not 0, adds one of that size.
    """

    seed: int = 1
    devices: int = 3_000
    rate: float = 5_000.0
    seconds: float = 60.0
    start_ts: int = 1_790_000_000_000
    share_piles: float = 0.15
    share_late: float = 0.02
    share_swapped: float = 0.01
    share_repeated: float = 0.01
    share_unregistered: float = 0.02
    faults_per_kind: int = 2
    bad_records: int = 0
    huge_record_bytes: int = 0
    rise_window_s: float = 1_800.0

    def __post_init__(self) -> None:
        if self.devices < 1 or self.rate <= 0 or self.seconds <= 0:
            raise ValueError("devices, rate and seconds must be above 0")
        if self.period_ms < _SHORTEST_PERIOD_MS:
            raise ValueError(f"{self.devices} devices at {self.rate:g}/s: a device may report every 10 ms at most")
        if self.period_ms > _LONGEST_PERIOD_MS:
            raise ValueError(f"{self.devices} devices at {self.rate:g}/s: a device must report every 6 h at least")
        shares = (
            self.share_piles,
            self.share_late,
            self.share_swapped,
            self.share_repeated,
            self.share_unregistered,
        )
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("a share lies between 0 and 1")
        if min(self.faults_per_kind, self.bad_records, self.huge_record_bytes) < 0:
            raise ValueError("faults_per_kind, bad_records and huge_record_bytes must not be negative")

    @property
    def period_ms(self) -> float:
        """Time between two reports of one device."""
        return self.devices / self.rate * 1_000

    @property
    def end_ts(self) -> int:
        """Nothing is sent at or after this time."""
        return self.start_ts + int(self.seconds * 1_000)


class Timeline:
    """Report numbers to event times and back."""

    def __init__(self, config: FleetConfig) -> None:
        self.start_ts = config.start_ts
        self.end_ts = config.end_ts
        self.devices = config.devices
        self._spacing_ns = round(1_000 * _NS_PER_MS / config.rate)
        self.total = self._first(config.end_ts)

    def at(self, n: np.ndarray) -> np.ndarray:
        """Event times of the reports `n`. int64[m] in and out."""
        return self.start_ts + n * self._spacing_ns // _NS_PER_MS

    def first(self, ts: int) -> int:
        """The first report of the run at or after `ts`; `total` if there is none."""
        return min(max(self._first(ts), 0), self.total)

    def between(self, from_ts: int, to_ts: int) -> np.ndarray:
        """All reports with from_ts <= event time < to_ts, int64[m]."""
        return np.arange(self.first(from_ts), self.first(to_ts), dtype=np.int64)

    def of_device(self, device: int, from_ts: int, to_ts: int) -> np.ndarray:
        """One device's reports with from_ts <= event time < to_ts, int64[m]."""
        first = self.first(from_ts)
        return np.arange(first + (device - first) % self.devices, self.first(to_ts), self.devices, dtype=np.int64)

    def _first(self, ts: int) -> int:
        return -(-(ts - self.start_ts) * _NS_PER_MS // self._spacing_ns)
