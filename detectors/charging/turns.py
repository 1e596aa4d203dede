"""A charge begins, stops, is settled, ends.

A charge begins where a port says that it charges, or power flows and it says nothing; where the pile counts how long
it has lasted, it began that much earlier. It ends with its settlement. Where none comes, it ends once the port has
said for `WAITS_MS` that it does not charge; where its pile counts one that began after it was last seen, or counts
nothing and was silent for `GONE_MS`, it ended then. A settlement that comes after that amends what was told, and one
of no charge that is known is a charge by itself. Few reports change anything, so these are taken one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from detectors.charging.ports import off_as
from schemas.charging import FULL, FULL_STATE, NO_REASON

FLOWS_W: Final = 30.0
"""From so much power on a port charges: above every trickle and float, below every charger of a bicycle [ours]."""
WAITS_MS: Final = 60_000
"""So long after its end a charge waits for its settlement: an answer is due within 15 s, and a pile asks again
(AP3000) [ours]."""
GONE_MS: Final = 2 * 3_600_000
"""A port of which nothing was heard for so long has another charge since, where its pile does not count how long the
one has lasted that it has now [ours]."""
SETTLES_MS: Final = 10_000
"""What a port says within so long after a settlement may have been on its way before [ours]."""
UNKNOWN: Final = -1.0


class PortSaid(NamedTuple):
    """What one report says of a port: see `reported.Reported`."""

    ts: int
    state: float
    power: float
    reason: float
    charge_s: float
    charge_wh: float
    charges: bool
    stops: bool


class EndedCharge(NamedTuple):
    """A charge that is over: the code it stopped by, what it took, -1 where that is not known; whether a settlement
    says so, and whether it was told otherwise before."""

    began_ts: int
    ended_ts: int
    reason: int
    energy_wh: float
    greatest_w: float
    settled: bool
    amended: bool = False


class PortTurn:
    """One port while a report that may change something is taken. `held` are the fields of `PORT`, changed in place."""

    def __init__(self, held: dict[str, Any], said: PortSaid) -> None:
        self.held, self.said = held, said

    def take(self) -> Iterator[EndedCharge]:
        """Take the report. What is over by it."""
        held, said = self.held, self.said
        if held["began_ts"] and is_gone(held["seen_ts"], said.ts, said.charge_s, said.reason):
            yield self._end(held["seen_ts"], NO_REASON)
        if not math.isnan(said.reason) and said.ts not in held["settled_ts"]:
            held["settled_ts"] = [*held["settled_ts"][1:], said.ts]
            if not self._is_repeat():
                yield self._settle(int(said.reason))
        elif held["stopped_ts"] and said.ts - held["stopped_ts"] >= WAITS_MS:
            yield self._end(held["stopped_ts"], FULL if held["stopped_full"] else NO_REASON)
        elif held["began_ts"] and said.charges:
            held["stopped_ts"] = 0
        elif held["began_ts"] and said.stops and not held["stopped_ts"]:
            held["stopped_ts"], held["stopped_full"] = said.ts, int(said.state == FULL_STATE)
        begins = said.charges or (math.isnan(said.state) and said.power > FLOWS_W)
        if begins and not held["began_ts"] and said.ts - held["ended_ts"] > SETTLES_MS:
            self._begin()

    def _begin(self) -> None:
        held, said = self.held, self.said
        counted_ms = 0 if math.isnan(said.charge_s) else round(1_000 * said.charge_s)
        held["began_ts"] = max(said.ts - counted_ms, held["ended_ts"] + 1, 1)
        held["seen_ts"] = said.ts

    def _is_repeat(self) -> bool:
        """Whether a settlement is that of the charge before once more, dated anew: the middle of what it counts lies
        before the end of that, or it counts nothing and there was no charge since."""
        held, said = self.held, self.said
        if not held["settled"]:
            return False
        if math.isnan(said.charge_s):
            return not held["began_ts"] and said.ts > held["ended_ts"]
        return bool(said.ts - round(500 * said.charge_s) < held["ended_ts"] <= said.ts)

    def _settle(self, reason: int) -> EndedCharge:
        held, said = self.held, self.said
        began_ts = 0 if math.isnan(said.charge_s) else said.ts - round(1_000 * said.charge_s)
        if held["began_ts"] and said.ts >= held["began_ts"]:
            return self._end(said.ts, reason, settled=True)
        if held["ended_ts"] and not held["settled"] and held["before_ts"] <= said.ts and began_ts <= held["ended_ts"]:
            held["settled"], held["ended_as"] = 1, int(off_as(reason))
            return self._told(held["before_ts"], reason, held["before_wh"], held["before_w"], amended=True)
        alone = self._told(began_ts or said.ts, reason, UNKNOWN, UNKNOWN)
        if said.ts > held["ended_ts"]:
            self._put(alone)
        return alone

    def _told(
        self, began_ts: int, reason: int, energy_wh: float, greatest_w: float, amended: bool = False
    ) -> EndedCharge:
        """What a settlement tells of a charge."""
        energy_wh = energy_wh if math.isnan(self.said.charge_wh) else self.said.charge_wh
        return EndedCharge(max(began_ts, 1), self.said.ts, reason, energy_wh, greatest_w, settled=True, amended=amended)

    def _end(self, ended_ts: int, reason: int, settled: bool = False) -> EndedCharge:
        held = self.held
        measured = held["power_ts"] > 0
        energy_wh = held["energy_wh"] if measured or held["energy_wh"] > 0 else UNKNOWN
        greatest_w = held["greatest_w"] if measured else UNKNOWN
        if settled:
            ended = self._told(held["began_ts"], reason, energy_wh, greatest_w)
        else:
            ended = EndedCharge(held["began_ts"], ended_ts, reason, energy_wh, greatest_w, settled=False)
        for name in ("began_ts", "seen_ts", "stopped_ts", "power_ts", "stopped_full", "fell"):
            held[name] = 0
        for name in ("energy_wh", "greatest_w", "power_w", "smooth_w", "plateau_w", "low_w"):
            held[name] = 0.0
        self._put(ended)
        return ended

    def _put(self, ended: EndedCharge) -> None:
        """It is the charge before, from now on."""
        held = self.held
        held["before_ts"], held["ended_ts"] = ended.began_ts, ended.ended_ts
        held["before_wh"], held["before_w"] = ended.energy_wh, ended.greatest_w
        held["settled"], held["ended_as"] = int(ended.settled), int(off_as(ended.reason))


def is_gone(seen_ts: Any, ts: Any, charge_s: Any, reason: Any) -> Any:
    """Whether a charge that was last seen then is over and was not seen to end. Arrays or numbers; what is not said is
    NaN, and a settlement tells of the charge that was."""
    counted = charge_s == charge_s
    another = np.where(counted, ts - 1_000 * charge_s > seen_ts, ts - seen_ts > GONE_MS)
    return another & (reason != reason)
