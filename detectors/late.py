"""Late values: those that were measured before values of their component that are known already (补报).

Late values are judged by themselves. Two of them over a limit, with none under it between them by event time, are an
alarm; a single one is, where the limit needs no confirming, else it is provisional. That alarm has the true times of
what happened. A late value never recovers or ages what live values have told of. It opens, escalates and worsens
alarms, shows that an open alarm began earlier (`amended`), and recovers alarms of which only late values have told: by
two normal ones or more.

The last `POINTS` late values of each component are kept, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import numpy as np

from detectors.confirming import SELDOM_MS
from detectors.detector import Detector
from detectors.latch import (
    AMENDED,
    BY_NEXT_LATE,
    CONFIRMED,
    EPISODE_OVER_MS,
    ESCALATED,
    OPENED,
    PROVISIONAL,
    REACTIVATED,
    RECOVERED,
    SUPERSEDED,
    WITHDRAWN,
    WORSENED,
    Elements,
    Finding,
    Watched,
    has_room,
    with_repeat,
    worse_than,
)
from detectors.table import Pool, Table
from schemas.events import Severity

POINTS: Final = 8
"""Late values of a component among which neighbours in time are looked for: what is drained in order needs two, what a
gateway has mixed up a few more [ours]."""

LATE: Final = np.dtype([("ts", "i8", (POINTS,)), ("value", "f8", (POINTS,)), ("next", "u1")])
"""The last late values of a component, a ring; a `ts` of 0 is an empty one."""


class LateRun(NamedTuple):
    """`size` late values over a level with none under between them. `first` and `last` are their times, and `before`
    that of the one before them, 0 where none is known. `end` is that of the first one after them, which is `normal`;
    0 where the ones after them do not confirm that it is."""

    size: int
    first: int
    last: int
    end: int
    normal: float
    before: int
    peak: float


def note(points: Pool, channels: Table, slots: np.ndarray, ts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Keep a late value of each of the distinct `slots`. Which of them are new, bool[m]: others were kept before."""
    lacking = channels["late"][slots] == 0
    if lacking.any():
        entries = points.allot(np.ones(np.count_nonzero(lacking), np.int64))
        points.clear(entries)
        channels["late"][slots[lacking]] = entries
    entries = channels["late"][slots]
    new: np.ndarray = ~((points["ts"][entries] == ts[:, None]) & (points["value"][entries] == values[:, None])).any(
        axis=1
    )
    at, turn = entries[new], points["next"][entries[new]]
    points["ts"][at, turn], points["value"][at, turn] = ts[new], values[new]
    points["next"][at] = (turn + 1) % POINTS
    return new


def run_of(
    points: Sequence[tuple[int, float]], ts: int, value: float, level: float, recovery: float, confirm_ms: int
) -> LateRun:
    """The run at or above `level` in which the value of `ts` lies, which is one of the points and reaches it.

    Its end is confirmed by values below `recovery` that lie `confirm_ms` apart."""
    ordered = sorted(points)
    first = last = ordered.index((ts, value))
    while first > 0 and ordered[first - 1][1] >= level:
        first -= 1
    while last + 1 < len(ordered) and ordered[last + 1][1] >= level:
        last += 1
    end, normal = normal_from(ordered[last + 1 :], recovery, confirm_ms)
    return LateRun(
        size=last - first + 1,
        first=ordered[first][0],
        last=ordered[last][0],
        end=end,
        normal=normal,
        before=ordered[first - 1][0] if first > 0 else 0,
        peak=max(one for _, one in ordered[first : last + 1]),
    )


def normal_from(after: Sequence[tuple[int, float]], recovery: float, confirm_ms: int) -> tuple[int, float]:
    """The first of the points, its time and value, if these are confirmed to be normal; else 0 and infinity."""
    normal = list(takewhile(lambda one: one[1] < recovery, after))
    if normal and normal[-1][0] - normal[0][0] >= confirm_ms:
        return normal[0]
    return 0, np.inf


def judge(detector: Detector, state: Watched, elements: Elements, points: Pool, channels: Table) -> Iterator[Finding]:
    """What late values of different components say, in the order of the elements."""
    elements = elements._replace(values=_measured(detector, elements.values))
    reaches = elements.values >= elements.limits["lowest"]
    engaged = (state["latch"][elements.slots] != 0) & ~np.isnan(elements.values)
    for number in (reaches | engaged).nonzero()[0].tolist():
        entry, latch = int(channels["late"][elements.slots[number]]), _LateLatch(state, elements, number)
        values = _measured(detector, points["value"][entry])
        kept = zip(points["ts"][entry].tolist(), values.tolist(), strict=True)
        shown = [(ts, value) for ts, value in kept if ts and value == value]
        for said in latch.over(shown) if reaches[number] else latch.under(shown):
            yield latch.told(said)
        latch.put()


def _measured(detector: Detector, values: np.ndarray) -> np.ndarray:
    """What of values is compared with limits, NaN where nothing is."""
    return detector.sign * (values if detector.measure is None else detector.measure(values))


class _Said(NamedTuple):
    """What happened, the level it was compared with, when it happened, and the value that tells."""

    event: int
    level: Severity
    ts: int
    value: float


class _LateLatch:
    """The latch of one component while a late value of it is judged."""

    def __init__(self, state: Watched, elements: Elements, number: int) -> None:
        self._state, self._elements, self._number = state, elements, number
        self._slot = int(elements.slots[number])
        self.ts, self.value = int(elements.ts[number]), float(elements.values[number])
        self.ingest_ts = int(elements.ingest_ts[number])
        names = ("warning", "alarm", "recovery", "confirm_warning_ms", "confirm_alarm_ms", "confirm_recovery_ms")
        self.limits = {name: elements.limits[name][number].item() for name in names}
        self.held = state.latch_of(self._slot)

    def put(self) -> None:
        """Let the state have it, if it holds anything."""
        self._state.put_latch(self._slot, self.held)

    def told(self, said: _Said) -> Finding:
        """A finding."""
        held, (event, level, ts, value) = self.held, said
        limit = self.limits["alarm" if level is Severity.ALARM else "warning"]
        limit = limit if np.isfinite(limit) else 0.0
        if event in (PROVISIONAL, WITHDRAWN):
            waits = event == PROVISIONAL
            return Finding(
                self._number, event, int(Severity.WARNING) if waits else 0, int(Severity.WARNING), level, value, limit,
                held["provisional_ts"], held["provisional_episode"], held["provisional_value"], np.nan, ts, True,
                waits, 0,
            )  # fmt: skip
        severity = 0 if event in (RECOVERED, SUPERSEDED) else int(level)
        return Finding(
            self._number, event, severity, held["severity"], level, value, limit, held["onset_ts"], held["episode"],
            held["peak"], np.nan, ts, True, bool(held["told_active"]) and event != SUPERSEDED, held["repeats_untold"],
        )  # fmt: skip

    def under(self, points: Sequence[tuple[int, float]]) -> Iterator[_Said]:
        """A late value under the limits."""
        held, limits = self.held, self.limits
        if held["provisional"] == BY_NEXT_LATE:
            held["provisional"] = 0
            reached = held["provisional_value"] >= limits["alarm"]
            yield _Said(WITHDRAWN, Severity.ALARM if reached else Severity.WARNING, self.ts, self.value)
        if held["severity"] and self.ts < held["onset_ts"]:
            held["normal_ts"] = max(held["normal_ts"], self.ts)
        if held["active"] and 0 < held["late_until_ts"] < self.ts:
            after = sorted(one for one in points if one[0] > held["late_until_ts"])
            ts, value = normal_from(after, limits["recovery"], limits["confirm_recovery_ms"])
            if ts:
                yield from self._recover(ts, value, self._lowest())

    def over(self, points: Sequence[tuple[int, float]]) -> Iterator[_Said]:
        """A late value at or over a limit."""
        held = self.held
        level, run = self._reached(points)
        comes_back = bool(held["severity"]) and not held["active"] and run.first > held["recovered_ts"]
        if level is not None and comes_back and run.first - held["recovered_ts"] >= EPISODE_OVER_MS:
            yield _Said(SUPERSEDED, self._lowest(), self.ts, self.value)
            yield from self._open(level, run, normal_ts=held["recovered_ts"])
        elif not held["severity"] or (level is None and self._is_another()):
            yield from self._first(level, run)
        elif level is not None and level > held["severity"]:
            held["onset_ts"] = min(held["onset_ts"], run.first) if run.first > held["normal_ts"] else held["onset_ts"]
            held["severity"] = int(level)
            yield from self._tell(ESCALATED, level, run, comes_back)
        elif held["severity"] and held["normal_ts"] < self.ts < held["onset_ts"]:
            held["onset_ts"], held["peak"] = self.ts, max(held["peak"], self.value)
            reached = Severity.ALARM if self.value >= self.limits["alarm"] else Severity.WARNING
            yield _Said(AMENDED, reached, self.ts, self.value)
        elif level is not None and self._is_worse(points):
            yield from self._tell(WORSENED, level, run, comes_back)
        elif held["severity"] and held["active"]:
            if held["late_until_ts"]:
                held["late_until_ts"], held["late_heard_ts"] = max(held["late_until_ts"], self.ts), self.ingest_ts
                held["peak"] = max(held["peak"], self.value)
        elif level is not None and comes_back and held["told_active"]:
            held["active"], held["peak"] = 1, max(held["peak"], run.peak)
            held["repeats_untold"] += 1
            yield from self._last(level, run)
        elif level is not None and comes_back:
            held["repeats_ts"] = with_repeat(held["repeats_ts"], self.ingest_ts)
            yield from self._tell(REACTIVATED, level, run, comes_back)

    def _is_another(self) -> bool:
        """Whether the alarm that is open was normal again for so long that this is of another."""
        recovered_ts = self.held["recovered_ts"]
        return not self.held["active"] and 0 < recovered_ts <= self.ts - EPISODE_OVER_MS

    def _first(self, level: Severity | None, run: LateRun) -> Iterator[_Said]:
        """There was no alarm."""
        held, limits = self.held, self.limits
        reached = Severity.ALARM if self.value >= limits["alarm"] else Severity.WARNING
        is_short = any(
            self.value >= limits[name] and limits[f"confirm_{name}_ms"] <= SELDOM_MS for name in ("warning", "alarm")
        )
        if level is not None:
            yield from self._open(level, run)
        elif not held["provisional"] and is_short:
            held["provisional"], held["provisional_ts"] = BY_NEXT_LATE, self.ts
            held["provisional_episode"], held["provisional_value"] = self.ingest_ts, self.value
            held["late_heard_ts"] = self.ingest_ts
            yield _Said(PROVISIONAL, reached, self.ts, self.value)

    def _tell(self, event: int, level: Severity, run: LateRun, comes_back: bool) -> Iterator[_Said]:
        """Tell what an open alarm has come to; where it comes back, it is active for as long as late values tell."""
        held = self.held
        held["peak"], held["worse_since"] = max(held["peak"], run.peak), 0
        held["told_value"], held["told_lower"] = max(held["told_value"], self.value), int(held["severity"] > level)
        if comes_back:
            held["active"] = held["told_active"] = 1
        yield _Said(event, level, run.first if event == REACTIVATED else self.ts, self.value)
        if comes_back:
            yield from self._last(level, run)

    def _reached(self, points: Sequence[tuple[int, float]]) -> tuple[Severity | None, LateRun]:
        """The highest level that late values confirm, and their run."""
        run = LateRun(0, 0, 0, 0, 0.0, 0, 0.0)
        for level, name in ((Severity.ALARM, "alarm"), (Severity.WARNING, "warning")):
            if self.value >= self.limits[name]:
                run = self._run(points, self.limits[name])
                if run.size >= 2 or self.limits[f"confirm_{name}_ms"] == 0:
                    return level, run
        return None, run

    def _run(self, points: Sequence[tuple[int, float]], level: float) -> LateRun:
        recovery, confirm_ms = self.limits["recovery"], self.limits["confirm_recovery_ms"]
        return run_of(points, self.ts, self.value, level, recovery, confirm_ms)

    def _is_worse(self, points: Sequence[tuple[int, float]]) -> bool:
        """Whether late values confirm that it is worse than was told."""
        level = float(worse_than(self.held["told_value"]))
        if not self.held["severity"] or self.value < level:
            return False
        name = "alarm" if np.isfinite(self.limits["alarm"]) else "warning"
        return self._run(points, level).size >= 2 or self.limits[f"confirm_{name}_ms"] == 0

    def _open(self, level: Severity, run: LateRun, normal_ts: int = 0) -> Iterator[_Said]:
        held = self.held
        live = held["warning_since"] or held["alarm_since"]
        waited = held["provisional"] > 0
        held["severity"], held["active"], held["provisional"] = int(level), 1, 0
        held["episode"] = held["provisional_episode"] if waited else self.ingest_ts
        held["onset_ts"], held["normal_ts"], held["told_active"] = run.first, max(run.before, normal_ts), 1
        held["peak"] = max(run.peak, held["stretch_peak"]) if live else run.peak
        held["told_value"], held["worse_since"], held["recovered_ts"], held["repeats_untold"] = self.value, 0, 0, 0
        held["repeats_ts"] = np.zeros_like(held["repeats_ts"])
        held["told_lower"] = 0
        yield _Said(CONFIRMED if waited else OPENED, level, run.first, self.value)
        if not live:
            yield from self._last(level, run)

    def _last(self, level: Severity, run: LateRun) -> Iterator[_Said]:
        """How long it lasts, which late values alone tell."""
        self.held["late_until_ts"], self.held["late_heard_ts"] = run.last, self.ingest_ts
        if run.end:
            yield from self._recover(run.end, run.normal, level)

    def _recover(self, ts: int, value: float, level: Severity) -> Iterator[_Said]:
        held = self.held
        held["active"], held["recovered_ts"], held["late_until_ts"], held["normal_since"] = 0, ts, 0, 0
        if held["told_active"] and has_room(held["repeats_ts"], self.ingest_ts):
            held["repeats_ts"], held["told_active"] = with_repeat(held["repeats_ts"], self.ingest_ts), 0
            yield _Said(RECOVERED, level, ts, value)
        else:
            held["repeats_untold"] += 1

    def _lowest(self) -> Severity:
        return Severity.WARNING if np.isfinite(self.limits["warning"]) else Severity.ALARM
