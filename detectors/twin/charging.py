"""One port of a charging pile and its charges, as the slow twin knows them. See `detectors.twin`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.charging import PORT_STATES, STOP_REASONS, PortState

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
FLOWS_W: Final = 30.0


class TwinFacts(NamedTuple):
    """What detectors are shown of a port: `off` is 0 where power may flow, else 1 idle, 2 unplugged, 3 full, 4
    abnormal."""

    off: int
    off_ms: int
    charging_ms: int
    smooth_w: float
    plateau_w: float
    low_w: float
    fell: bool


class PortReport(NamedTuple):
    """What one report says of one port, None where nothing. State and power are those newer than all before."""

    ts: int
    state: float | None
    power: float | None
    reason: float | None
    charge_s: float | None
    charge_wh: float | None


class Over(NamedTuple):
    """A charge that is over."""

    began_ts: int
    ended_ts: int
    reason: int
    energy_wh: float | None
    greatest_w: float | None
    settled: bool
    amended: bool = False


@dataclass
class Charge:
    """A charge that lasts."""

    began_ts: int
    seen_ts: int
    stopped_ts: int | None = None
    stopped_full: bool = False
    energy_wh: float = 0.0
    powers: list[tuple[int, float]] = field(default_factory=list)
    """Of the newest power alone; `greatest_w` is of all."""
    greatest_w: float = 0.0
    smooth_w: float = 0.0
    plateau_w: float = 0.0
    low_w: float = 0.0
    fell: bool = False


@dataclass
class TwinPort:
    """A port."""

    state: float | None = None
    state_ts: int = 0
    off_ts: int | None = None
    charge: Charge | None = None
    before: Over | None = None
    ended_as: int = 1
    settled_ts: list[int] = field(default_factory=list)

    def take(self, said: PortReport) -> Iterator[Over]:
        """Take a report. The charges that are over by it."""
        charge, about = self.charge, _about(said.state)
        charges, stops = about is not None and about.charges, about is not None and not about.charges
        if charge is not None and _gone(charge, said):
            yield self._end(charge.seen_ts, 0, said, settled=False)
        charge = self.charge
        if said.reason is not None and said.ts not in self.settled_ts:
            self.settled_ts = [*self.settled_ts, said.ts][-4:]
            if not self._is_repeat(said):
                yield self._settle(int(said.reason), said)
        elif charge is not None and charge.stopped_ts is not None and said.ts - charge.stopped_ts >= MINUTE_MS:
            yield self._end(charge.stopped_ts, 1 if charge.stopped_full else 0, said, settled=False)
        elif charge is not None and charges:
            charge.stopped_ts = None
        elif charge is not None and stops and charge.stopped_ts is None:
            charge.stopped_ts, charge.stopped_full = said.ts, said.state == 3
        flows = said.state is None and said.power is not None and said.power > FLOWS_W
        ended_ts = self.before.ended_ts if self.before else 0
        if self.charge is None and (charges or flows) and said.ts - ended_ts > 10_000:
            counted_ms = round(1_000 * said.charge_s) if said.charge_s is not None else 0
            self.charge = Charge(max(said.ts - counted_ms, ended_ts + 1, 1), said.ts)
        self._note(said, about is not None and about.off)

    def back_to(self, ts: int) -> None:
        """The clock of its device was set back."""
        self.state_ts = min(self.state_ts, ts)
        self.off_ts = None if self.off_ts is None else min(self.off_ts, ts)
        if self.charge is not None:
            one = self.charge
            one.began_ts, one.seen_ts = min(one.began_ts, ts), min(one.seen_ts, ts)
            one.stopped_ts = None if one.stopped_ts is None else min(one.stopped_ts, ts)
            one.powers = [(min(power_ts, ts), power) for power_ts, power in one.powers]
            one.smooth_w = one.plateau_w = one.low_w = 0.0
            one.fell = False
        if self.before is not None:
            began_ts, ended_ts = min(self.before.began_ts, ts), min(self.before.ended_ts, ts)
            self.before = self.before._replace(began_ts=began_ts, ended_ts=ended_ts)

    def facts(self, ts: int) -> TwinFacts:
        """What is known of it at a moment."""
        is_off = self.off_ts is not None and abs(ts - self.state_ts) <= 10_000
        one = self.charge
        return TwinFacts(
            off=self.ended_as if is_off else 0,
            off_ms=ts - self.off_ts if is_off and self.off_ts is not None else 0,
            charging_ms=ts - one.began_ts if one else 0,
            smooth_w=one.smooth_w if one else 0.0,
            plateau_w=one.plateau_w if one else 0.0,
            low_w=one.low_w if one else 0.0,
            fell=one.fell if one else False,
        )

    def _is_repeat(self, said: PortReport) -> bool:
        """Whether a settlement tells once more of the charge before, which was settled, though it is dated anew."""
        if self.before is None or not self.before.settled:
            return False
        if said.charge_s is None:
            return self.charge is None and said.ts > self.before.ended_ts
        middle_ts = said.ts - round(500 * said.charge_s)
        return middle_ts < self.before.ended_ts <= said.ts

    def _settle(self, reason: int, said: PortReport) -> Over:
        counted_ms = None if said.charge_s is None else round(1_000 * said.charge_s)
        if self.charge is not None and said.ts >= self.charge.began_ts:
            return self._end(said.ts, reason, said, settled=True)
        before = self.before
        overlaps = before is not None and (counted_ms is None or said.ts - counted_ms <= before.ended_ts)
        if before is not None and not before.settled and before.began_ts <= said.ts and overlaps:
            self.before, self.ended_as = before._replace(settled=True), _as(reason)
            energy_wh = before.energy_wh if said.charge_wh is None else said.charge_wh
            return before._replace(ended_ts=said.ts, reason=reason, energy_wh=energy_wh, settled=True, amended=True)
        began_ts = max(said.ts if counted_ms is None else said.ts - counted_ms, 1)
        alone = Over(began_ts, said.ts, reason, said.charge_wh, None, settled=True)
        if before is None or said.ts > before.ended_ts:
            self.before, self.ended_as = alone, _as(reason)
        return alone

    def _end(self, ended_ts: int, reason: int, said: PortReport, settled: bool) -> Over:
        one, self.charge = self.charge, None
        assert one is not None  # noqa: S101
        measured = bool(one.powers)
        energy_wh = one.energy_wh if measured or one.energy_wh > 0 else None
        if settled and said.charge_wh is not None:
            energy_wh = said.charge_wh
        over = Over(one.began_ts, ended_ts, reason, energy_wh, one.greatest_w if measured else None, settled)
        self.before, self.ended_as = over, _as(reason)
        return over

    def _note(self, said: PortReport, is_off: bool) -> None:
        """What lasts goes on, and what is said of its state is kept."""
        one = self.charge
        if one is not None and (said.state is not None or said.power is not None):
            one.seen_ts = said.ts
            if said.charge_wh is not None:
                one.energy_wh = said.charge_wh
            elif said.power is not None and one.powers:
                then_ts, stood_w = one.powers[0]
                stood_ms = min(max(said.ts - then_ts, 0), 10 * MINUTE_MS)
                one.energy_wh += max(stood_w, 0.0) * stood_ms / 3_600_000.0
            if said.power is not None:
                state = self.state if said.state is None else said.state
                _note_shape(one, said.ts, said.power, floats=state == 5)
        if said.state is not None:
            self.state, self.state_ts = said.state, said.ts
            self.off_ts = (self.off_ts if self.off_ts is not None else said.ts) if is_off else None


def _about(state: float | None) -> PortState | None:
    return None if state is None or state != int(state) else PORT_STATES.get(int(state))


def _gone(one: Charge, said: PortReport) -> bool:
    """Whether a charge is over and was not seen to end."""
    if said.reason is not None:
        return False
    if said.charge_s is None:
        return said.ts - one.seen_ts > 2 * HOUR_MS
    return said.ts - 1_000 * said.charge_s > one.seen_ts


def _as(reason: int) -> int:
    """Why power must be off after a charge that stopped by a code."""
    if reason == 1:
        return 3
    if reason in (5, 13):
        return 2
    known = STOP_REASONS.get(reason)
    return 1 if reason == 0 or (known is not None and known.sort == "ordinary") else 4


def _note_shape(one: Charge, ts: int, power: float, floats: bool) -> None:
    flows = max(power, 0.0)
    if one.smooth_w > 0:
        elapsed = max(ts - one.powers[0][0], 0)
        most = 1.5 * max(one.smooth_w, one.plateau_w)
        one.smooth_w += (max(min(flows, most), one.smooth_w / 2) - one.smooth_w) * (
            elapsed / (10 * MINUTE_MS + elapsed)
        )
    else:
        one.smooth_w = flows
    if one.plateau_w == 0 and ts - one.began_ts >= 30 * MINUTE_MS and not floats:
        one.plateau_w = one.low_w = one.smooth_w
    else:
        one.low_w = min(one.low_w, one.smooth_w)
    if one.plateau_w > 0 and (floats or one.smooth_w < 0.25 * one.plateau_w):
        one.fell = True
    one.greatest_w = max(one.greatest_w, power)
    one.powers = [(ts, power)]
