"""Late values: those that were measured before values of their component that are known already (补报).

Late values are judged by themselves. Two of them over a limit, with none under it between them by event time, are an
alarm; a single one is, where the limit needs no confirming. That alarm has the true times of what happened. A late
value never recovers or ages what live values have told of. It opens and escalates alarms, shows that an open alarm
began earlier (`amended`), and ends alarms of which only late values have told.

The last `POINTS` late values of each component are kept, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from detectors.latch import EVENTS, Elements, Finding, Watched
from detectors.table import Pool, Table
from schemas.events import Severity

POINTS: Final = 8
"""Late values of a component among which neighbours in time are looked for: what is drained in order needs two, what a
gateway has mixed up a few more [ours]."""

LATE: Final = np.dtype([("ts", "i8", (POINTS,)), ("value", "f8", (POINTS,)), ("next", "u1")])
"""The last late values of a component, a ring; a `ts` of 0 is an empty one."""

_OPENED, _ESCALATED, _RECOVERED, _REACTIVATED, _AMENDED = range(len(EVENTS))


class LateRun(NamedTuple):
    """`size` late values over a level with none under between them. `first` and `last` are their times, `end` that of
    the first one after them, which is `normal`, and `before` that of the one before them; 0 where none is known."""

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


def level(state: Watched, elements: Elements) -> None:
    """The baseline of late values that are compared with a level by themselves: none."""


def run_of(points: Sequence[tuple[int, float]], ts: int, value: float, level: float, recovery: float) -> LateRun:
    """The run at or above `level` in which the value of `ts` lies, which is one of the points and reaches it."""
    ordered = sorted(points)
    first = last = ordered.index((ts, value))
    while first > 0 and ordered[first - 1][1] >= level:
        first -= 1
    while last + 1 < len(ordered) and ordered[last + 1][1] >= level:
        last += 1
    after = ordered[last + 1] if last + 1 < len(ordered) else (0, np.inf)
    return LateRun(
        size=last - first + 1,
        first=ordered[first][0],
        last=ordered[last][0],
        end=after[0] if after[1] < recovery else 0,
        normal=after[1],
        before=ordered[first - 1][0] if first > 0 else 0,
        peak=max(one for _, one in ordered[first : last + 1]),
    )


def judge(
    state: Watched, elements: Elements, baseline: np.ndarray | None, points: Pool, channels: Table
) -> Iterator[Finding]:
    """What late values of different components say, in the order of the elements.

    With a `baseline`, float64[m], it is compared what they lie over it; where that is NaN they are not judged.
    """
    over = np.zeros(len(elements.slots)) if baseline is None else baseline
    rise = elements.values - over
    reaches = rise >= elements.limits["lowest"]
    engaged = state["latch"][elements.slots] != 0
    for number in (reaches | (engaged & ~np.isnan(over))).nonzero()[0].tolist():
        latch = _LateLatch(state, elements, number, float(rise[number]))
        found = latch.under()
        if reaches[number]:
            entry = int(channels["late"][elements.slots[number]])
            kept = zip(points["ts"][entry].tolist(), points["value"][entry].tolist(), strict=True)
            found = latch.over([(ts, value - float(over[number])) for ts, value in kept if ts])
        for event, level, ts, value in found:
            yield latch.told(event, level, ts, value, np.nan if baseline is None else float(baseline[number]))
        latch.put()


Said = tuple[int, Severity, int, float]
"""What happened, the level it was compared with, when it happened, and the value that tells."""


class _LateLatch:
    """The latch of one component while a late value of it is judged."""

    def __init__(self, state: Watched, elements: Elements, number: int, value: float) -> None:
        self._state, self._elements, self._number = state, elements, number
        self._slot = int(elements.slots[number])
        self.ts, self.value = int(elements.ts[number]), value
        self.ingest_ts = int(elements.ingest_ts[number])
        names = ("warning", "alarm", "recovery", "confirm_warning_ms", "confirm_alarm_ms")
        self.limits = {name: elements.limits[name][number].item() for name in names}
        self.held = state.latch_of(self._slot)

    def put(self) -> None:
        """Let the state have it, if it holds anything."""
        held = self.held
        if held["severity"] or held["warning_since"] or held["alarm_since"]:
            self._state.put_latch(self._slot, held)

    def told(self, event: int, level: Severity, ts: int, value: float, baseline: float) -> Finding:
        """A finding."""
        limit = self.limits["alarm" if level is Severity.ALARM else "warning"]
        return Finding(
            self._number, event, self.held["severity"], level, value, limit, self.held["onset_ts"],
            self.held["episode"], self.held["peak"], baseline, ts, True,
        )  # fmt: skip

    def under(self) -> Iterator[Said]:
        """A late value under the limits."""
        held = self.held
        if held["severity"] and self.ts < held["onset_ts"]:
            held["normal_ts"] = max(held["normal_ts"], self.ts)
        if held["active"] and 0 < held["late_until_ts"] < self.ts and self.value < self.limits["recovery"]:
            yield self._recover(self.ts, self.value, self._lowest())

    def over(self, points: Sequence[tuple[int, float]]) -> Iterator[Said]:
        """A late value at or over a limit."""
        held = self.held
        level, run = self._reached(points)
        if level is not None and not held["severity"]:
            yield from self._open(level, run)
        elif level is not None and level > held["severity"]:
            held["severity"], held["peak"] = int(level), max(held["peak"], run.peak)
            held["onset_ts"] = min(held["onset_ts"], run.first) if run.first > held["normal_ts"] else held["onset_ts"]
            yield _ESCALATED, level, self.ts, self.value
        elif held["severity"] and held["normal_ts"] < self.ts < held["onset_ts"]:
            held["onset_ts"], held["peak"] = self.ts, max(held["peak"], self.value)
            reached = Severity.ALARM if self.value >= self.limits["alarm"] else Severity.WARNING
            yield _AMENDED, reached, self.ts, self.value
        elif held["severity"] and held["active"]:
            if held["late_until_ts"]:
                held["late_until_ts"], held["late_heard_ts"] = max(held["late_until_ts"], self.ts), self.ingest_ts
                held["peak"] = max(held["peak"], self.value)
        elif level is not None and run.first > held["recovered_ts"]:
            held["active"], held["peak"] = 1, max(held["peak"], run.peak)
            yield _REACTIVATED, level, run.first, self.value
            yield from self._last(level, run)

    def _reached(self, points: Sequence[tuple[int, float]]) -> tuple[Severity | None, LateRun]:
        """The highest level that late values confirm, and their run."""
        run = LateRun(0, 0, 0, 0, 0.0, 0, 0.0)
        for level, name in ((Severity.ALARM, "alarm"), (Severity.WARNING, "warning")):
            if self.value >= self.limits[name]:
                run = run_of(points, self.ts, self.value, self.limits[name], self.limits["recovery"])
                if run.size >= 2 or self.limits[f"confirm_{name}_ms"] == 0:
                    return level, run
        return None, run

    def _open(self, level: Severity, run: LateRun) -> Iterator[Said]:
        held = self.held
        live = held["warning_since"] or held["alarm_since"]
        held["severity"], held["active"], held["episode"] = int(level), 1, self.ingest_ts
        held["onset_ts"], held["normal_ts"] = run.first, run.before
        held["peak"] = max(run.peak, held["peak"]) if live else run.peak
        yield _OPENED, level, run.first, self.value
        if not live:
            yield from self._last(level, run)

    def _last(self, level: Severity, run: LateRun) -> Iterator[Said]:
        """How long it lasts, which late values alone tell."""
        self.held["late_until_ts"], self.held["late_heard_ts"] = run.last, self.ingest_ts
        if run.end:
            yield self._recover(run.end, run.normal, level)

    def _recover(self, ts: int, value: float, level: Severity) -> Said:
        held = self.held
        held["active"], held["recovered_ts"], held["late_until_ts"] = 0, ts, 0
        return _RECOVERED, level, ts, value

    def _lowest(self) -> Severity:
        return Severity.WARNING if np.isfinite(self.limits["warning"]) else Severity.ALARM
