"""What a simulated life is asked to be."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeConfig:
    """What to simulate. `start_ts` is epoch ms, UTC; device n reports each `intervals_s[n % len(intervals_s)]` s.

    `wild_share` is of values: one sample that has nothing to do with what was measured. `bad_clock_share` is of
    devices, `replaced_share` of devices a month; half of these go on under their id with a new sequence, half under a
    new id. `outages_a_month` is of each device, whose reports are kept meanwhile and handed in. `faults_per_kind`
    counts devices for each of `fleet.life.recipes`. The defaults are domain.md's; how often outages are is [ours].
    """

    seed: int = 1
    monitors: int = 800
    piles: int = 200
    start_ts: int = 1_790_006_400_000
    days: float = 30.0
    intervals_s: tuple[float, ...] = (60.0,)
    wild_share: float = 1e-5
    bad_clock_share: float = 0.02
    replaced_share: float = 0.01
    outages_a_month: float = 1.0
    faults_per_kind: int = 0

    def __post_init__(self) -> None:
        if self.monitors < 0 or self.piles < 0 or self.devices < 1 or self.days <= 0:
            raise ValueError("there must be a device at least, and days above 0")
        if not self.intervals_s or min(self.intervals_s) < 1 or max(self.intervals_s) > 21_600:
            raise ValueError("intervals_s must lie between 1 s and 6 h")
        if not all(0 <= share <= 1 for share in (self.wild_share, self.bad_clock_share, self.replaced_share)):
            raise ValueError("a share lies between 0 and 1")
        if self.outages_a_month < 0 or self.faults_per_kind < 0:
            raise ValueError("outages_a_month and faults_per_kind must not be negative")

    @property
    def devices(self) -> int:
        """Monitors and piles together; monitors come first."""
        return self.monitors + self.piles

    @property
    def end_ts(self) -> int:
        """No report is made at or after this time."""
        return self.start_ts + round(self.days * DAY_MS)
