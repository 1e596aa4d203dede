"""The alarm latch that all detectors share: confirm times, two levels, recovery with hysteresis, and what happened.

A latch belongs to one component and one kind of alarm. It opens when a value has stayed at or above a level for the
level's confirm time. Where the component reports more seldom than that, it opens at once: the device has confirmed by
itself, and to wait for its next report would miss the time in which an alarm is due. `detectors.channels` says how long
a value has lasted; over a gap it has not lasted. A latch goes from warning to alarm once. It notes when the value is
normal again, and when it exceeds a level once more. It never closes by itself: an electrical-fire alarm stays until a
person resets it (domain.md, rule 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from detectors.limits import LimitRows
from detectors.table import Pool, Table
from schemas.events import AlarmEvent, Severity

AT_REST: Final = ("latch", "i4")
"""The field by which a detector's `STATE` says where in `Watched.latches` a component has its latch; 0 while at rest:
no alarm open, no stretch at a level. Nearly all are at rest, and then take no more than this. Below 0 it says where a
quiet one is: its alarm is open, but was normal last. Until a person resets them there are more and more of these."""

LATCH: Final = np.dtype(
    [
        ("warning_since", "i8"),
        ("alarm_since", "i8"),
        ("warning_ms", "i8"),
        ("alarm_ms", "i8"),
        ("onset_ts", "i8"),
        ("episode", "i8"),
        ("normal_ts", "i8"),
        ("recovered_ts", "i8"),
        ("late_until_ts", "i8"),
        ("late_heard_ts", "i8"),
        ("peak", "f8"),
        ("severity", "i1"),
        ("active", "i1"),
    ]
)
"""A latch. The `since` are epoch ms of the first value of an unbroken stretch at or above the level, else 0, and the
`ms` how long that has lasted.

`severity` is that of the open alarm, 0 when none is open; `active` is 1 while its condition holds. `normal_ts` is when
it last was below its limits before the onset, as far as is known, `recovered_ts` when it was normal again; 0 for
unknown. Of an active alarm that only late values have told of, `late_until_ts` is the time of the last of them and
`late_heard_ts` when that arrived; else both are 0 (`detectors.late`)."""

EVENTS: Final = (
    AlarmEvent.OPENED,
    AlarmEvent.ESCALATED,
    AlarmEvent.RECOVERED,
    AlarmEvent.REACTIVATED,
    AlarmEvent.AMENDED,
)
LATE_DRAINED_MS: Final = 600_000
"""So long after the last late value over a limit a live one that is normal ends what only late ones have told of: until
then the true end may still come in [ours]."""
# Python 3.11 finds a member of an enumeration by a function of its own, which is slow for every round.
_WARNING: Final = int(Severity.WARNING)
_ALARM: Final = int(Severity.ALARM)


class Elements(NamedTuple):
    """m measured values, of m different components, as arrays of length m.

    `slots` index the detector's state, `limits` are the components' own, `ts` epoch ms, `values` finite float64,
    `ingest_ts` their arrival, `before_ts` the moment of the value before, 0 for a first one. The other times are those
    of `detectors.channels.Passed`."""

    slots: np.ndarray
    values: np.ndarray
    ts: np.ndarray
    ingest_ts: np.ndarray
    before_ts: np.ndarray
    elapsed_ms: np.ndarray
    step_ms: np.ndarray
    credit_ms: np.ndarray
    gap: np.ndarray
    limits: LimitRows

    def take(self, which: np.ndarray) -> Elements:
        """The elements `which` (a mask or indices) selects."""
        *columns, limits = self
        return Elements._make([*(column[which] for column in columns), limits.take(which)])


class Finding(NamedTuple):
    """One thing that happened to an element. The fields are those of `Findings`."""

    element: int
    event: int
    severity: int
    level: int
    value: float
    limit: float
    onset_ts: int
    episode: int
    peak: float
    baseline: float
    ts: int
    late: bool


class Findings(NamedTuple):
    """k things that happened, as arrays of length k. `element` says which of the elements; `event` indexes `EVENTS`.

    `severity` is the alarm's, the highest it has reached; `level` the one whose `limit` the `value` was compared with;
    `ts` when it happened, and `late` whether a late value tells of it. `baseline` is NaN where none is compared."""

    element: np.ndarray
    event: np.ndarray
    severity: np.ndarray
    level: np.ndarray
    value: np.ndarray
    limit: np.ndarray
    onset_ts: np.ndarray
    episode: np.ndarray
    peak: np.ndarray
    baseline: np.ndarray
    ts: np.ndarray
    late: np.ndarray

    def each(self) -> Iterator[Finding]:
        """One by one."""
        return map(Finding._make, zip(*(column.tolist() for column in self), strict=True))


NOTHING: Final = Findings(*(np.empty(0, np.int64) for _ in Findings._fields))
"""Nothing happened."""


class Watched(Table):
    """The state of one detector: the fields of its `STATE` for each component, and the latches that are not at rest."""

    def __init__(self, state: np.dtype, size: int = 0) -> None:
        super().__init__(state, size)
        self.latches = Pool(LATCH)

    def entries(self, slots: np.ndarray) -> np.ndarray:
        """Where in `latches` those of `slots` are, 0 for one at rest."""
        entries: np.ndarray = np.abs(self["latch"][slots])
        return entries

    def engage(self, slots: np.ndarray, latches: np.ndarray) -> None:
        """Let the components of `slots`, whose latches are at rest, have these, LATCH[m]."""
        entries = self.latches.allot(np.ones(len(slots), np.int64))
        self.latches.unpack(entries, latches)
        quiet = (latches["active"] == 0) & (latches["warning_since"] == 0) & (latches["alarm_since"] == 0)
        self["latch"][slots] = np.where(quiet, -entries, entries)

    def let_rest(self, slots: np.ndarray) -> None:
        """Put the latches of `slots`, which are engaged, at rest."""
        self.latches.room.release(self.entries(slots), np.ones(len(slots), np.int64))
        self["latch"][slots] = 0

    def latch_of(self, slot: int) -> dict[str, Any]:
        """The latch of one component, all 0 at rest."""
        entry = abs(int(self["latch"][slot]))
        held = self.latches.packed(np.array([entry])) if entry else np.zeros(1, LATCH)
        return dict(zip(LATCH.names or (), held[0].item(), strict=True))

    def put_latch(self, slot: int, held: Mapping[str, Any]) -> None:
        """Let one component have this latch, which is not at rest."""
        slots = np.array([slot])
        if self["latch"][slot]:
            self.let_rest(slots)
        self.engage(slots, np.array([tuple(held[name] for name in LATCH.names or ())], LATCH))


def step(state: Watched, elements: Elements, baseline: np.ndarray | None = None) -> Findings:
    """Move the latches of `elements.slots` on by one value each, in place, and say what happened.

    `baseline`, float64[m], is only passed through to the findings.
    """
    # Nearly all values are normal and meet a latch at rest, or a quiet one; they change nothing.
    told = (elements.values >= elements.limits["lowest"]) | (state["latch"][elements.slots] > 0)
    which = told.nonzero()[0]
    if not len(which):
        return NOTHING
    findings = _move(state, elements.take(which), None if baseline is None else baseline[which])
    return findings._replace(element=which[findings.element])


def _move(state: Watched, elements: Elements, baseline: np.ndarray | None) -> Findings:
    slots, values, ts, limits = elements.slots, elements.values, elements.ts, elements.limits
    was_at_rest = state["latch"][slots] == 0
    if was_at_rest.any():
        state.engage(slots[was_at_rest], np.zeros(np.count_nonzero(was_at_rest), LATCH))
    entries = state.entries(slots)
    held = state.latches.packed(entries)
    # The peak is the worst since the onset, so it counts from the stretch that is yet to be confirmed.
    held["peak"] = np.where(was_at_rest, values, np.maximum(held["peak"], values))
    held["normal_ts"] = np.where(was_at_rest, elements.before_ts, held["normal_ts"])
    confirmed_warning = _last(held, "warning", elements)
    confirmed_alarm = _last(held, "alarm", elements)
    # What reaches a level is live, whoever told of it before.
    held["late_until_ts"] = np.where(values >= limits["lowest"], 0, held["late_until_ts"])

    before = held["severity"]
    reached = np.where(confirmed_alarm, _ALARM, np.where(confirmed_warning, _WARNING, 0))
    is_open, was_active = before > 0, held["active"] == 1
    opened = ~is_open & (reached > 0)
    escalated = is_open & (reached > before)
    drained = (held["late_until_ts"] == 0) | (elements.ingest_ts - held["late_heard_ts"] > LATE_DRAINED_MS)
    recovered = was_active & (values < limits["recovery"]) & drained
    reactivated = is_open & ~was_active & ~escalated & (reached > 0)

    onset = np.where(reached == _ALARM, held["alarm_since"], held["warning_since"])
    held["onset_ts"] = np.where(opened, onset, held["onset_ts"])
    held["episode"] = np.where(opened, elements.ingest_ts, held["episode"])
    held["recovered_ts"] = np.where(recovered, ts, held["recovered_ts"])
    held["late_until_ts"] = np.where(recovered, 0, held["late_until_ts"])
    held["severity"] = np.maximum(before, reached)
    held["active"] = (was_active & ~recovered) | opened | escalated | reactivated
    state.latches.unpack(entries, held)
    # A latch that no longer holds anything is one to which a normal value means nothing.
    normal = (held["warning_since"] == 0) & (held["alarm_since"] == 0)
    state["latch"][slots] = np.where(normal & (held["active"] == 0), -entries, entries)
    state.let_rest(slots[normal & (held["severity"] == 0)])
    # A reactivation may be at warning level while the alarm keeps the severity it once reached.
    compared = np.where(reached > 0, reached, _WARNING)
    return _findings((opened, escalated, recovered, reactivated), held, compared, elements, baseline)


def _last(held: np.ndarray, level: str, elements: Elements) -> np.ndarray:
    """Note how long each value has been at or above a level, in place, and say where that is confirmed, bool[m]."""
    above = elements.values >= elements.limits[level]
    since, lasted = held[f"{level}_since"], held[f"{level}_ms"]
    begins = above & ((since == 0) | elements.gap)
    held[f"{level}_since"] = np.where(begins, elements.ts, np.where(above, since, 0))
    held[f"{level}_ms"] = lasted = np.where(above & ~begins, lasted + elements.step_ms, 0)
    confirmed: np.ndarray = above & (np.maximum(lasted, elements.credit_ms) >= elements.limits[f"confirm_{level}_ms"])
    return confirmed


def _findings(
    happened: tuple[np.ndarray, ...],
    held: np.ndarray,
    compared: np.ndarray,
    elements: Elements,
    baseline: np.ndarray | None,
) -> Findings:
    element = np.logical_or.reduce(happened).nonzero()[0]
    if not len(element):
        return NOTHING
    held, limits = held[element], elements.limits.take(element)
    # A component's events exclude each other, so the one that happened is the sum of its codes.
    event = sum(code * mask[element] for code, mask in enumerate(happened))
    at_alarm = (compared[element] == _ALARM) | ~np.isfinite(limits["warning"])
    return Findings(
        element=element,
        event=np.asarray(event),
        severity=held["severity"].astype(np.int64),
        level=np.where(at_alarm, _ALARM, _WARNING),
        value=elements.values[element],
        limit=np.where(at_alarm, limits["alarm"], limits["warning"]),
        onset_ts=held["onset_ts"],
        episode=held["episode"],
        peak=held["peak"],
        baseline=np.full(len(element), np.nan) if baseline is None else baseline[element],
        ts=elements.ts[element],
        late=np.zeros(len(element), np.bool_),
    )
