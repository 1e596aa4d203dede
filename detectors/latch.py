"""The alarm latch that all detectors share: confirm times, two levels, and the life of an alarm.

A latch belongs to one component and one kind of alarm. It opens when a value has stayed at or above a level for the
level's confirm time. Where the component reports more seldom than that, it opens at once: the device has confirmed by
itself, and to wait for its next report would miss the time in which an alarm is due. `detectors.channels` says how long
a value has lasted; over a gap it has not lasted.

From then on the latch is in an episode. It escalates once from warning to alarm. It worsens each time a value holds
that is `WORSE` times the worst it was told with. It recovers when values have been normal for a confirm time of their
own, which needs two at least, and reactivates when one reaches a level once more. An electrical-fire alarm stays until
a person resets it (domain.md, rule 1), so an episode never ends by itself. But where a level is reached again after
`EPISODE_OVER_MS` of normal values, that is another episode, and the one before is superseded.

Recoveries and reactivations are told `REPEATS_MOST` times a day at most. A recovery is told only if there is room to
tell of a reactivation as well, so nobody is left to believe that what burns is over.
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

REPEATS_MOST: Final = 6
DAY_MS: Final = 86_400_000
"""Recoveries and reactivations of an alarm that are told in any 24 h (domain.md, Life of an alarm)."""
EPISODE_OVER_MS: Final = DAY_MS
"""What comes after values were normal for so long is another episode (domain.md, Life of an alarm)."""
WORSE: Final = 1.5
"""An alarm that has so many times the value it was told with is told again (domain.md, Life of an alarm)."""

LATCH: Final = np.dtype(
    [
        ("warning_since", "i8"),
        ("alarm_since", "i8"),
        ("worse_since", "i8"),
        ("normal_since", "i8"),
        ("warning_ms", "i8"),
        ("alarm_ms", "i8"),
        ("worse_ms", "i8"),
        ("normal_ms", "i8"),
        ("onset_ts", "i8"),
        ("episode", "i8"),
        ("normal_ts", "i8"),
        ("recovered_ts", "i8"),
        ("late_until_ts", "i8"),
        ("late_heard_ts", "i8"),
        ("repeats_ts", "i8", (REPEATS_MOST - 1,)),
        ("stretch_peak", "f8"),
        ("peak", "f8"),
        ("told_value", "f8"),
        ("repeats_untold", "i4"),
        ("severity", "i1"),
        ("active", "i1"),
        ("told_active", "i1"),
    ]
)
"""A latch. The `since` are epoch ms of the first value of an unbroken stretch at or above the level, else 0, and the
`ms` how long that has lasted: `worse` is a stretch at `WORSE` times `told_value`, which is the highest value that an
event told, and `normal` one of normal values while the alarm is active. `stretch_peak` is the worst since a stretch
began, `peak` the worst of the episode.

`severity` is the highest of the open alarm, 0 when none is open; `active` is 1 while its condition holds, and
`told_active` what the last event said of that. `repeats_ts` are the arrivals at which a recovery or reactivation was
last told, the oldest first, and `repeats_untold` counts those that were not. `normal_ts` is when it last was below its
limits before the onset, as far as is known, `recovered_ts` when it was normal again; 0 for unknown. Of an active alarm
that only late values have told of, `late_until_ts` is the time of the last of them and `late_heard_ts` when that
arrived; else both are 0 (`detectors.late`)."""

EVENTS: Final = (
    AlarmEvent.OPENED,
    AlarmEvent.ESCALATED,
    AlarmEvent.RECOVERED,
    AlarmEvent.REACTIVATED,
    AlarmEvent.AMENDED,
    AlarmEvent.WORSENED,
    AlarmEvent.SUPERSEDED,
    AlarmEvent.RESET,
    AlarmEvent.CLOSED,
)
OPENED, ESCALATED, RECOVERED, REACTIVATED, AMENDED, WORSENED, SUPERSEDED, RESET, CLOSED = range(len(EVENTS))
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
    highest: int
    level: int
    value: float
    limit: float
    onset_ts: int
    episode: int
    peak: float
    baseline: float
    ts: int
    late: bool
    active: bool
    untold: int


class Findings(NamedTuple):
    """k things that happened, as arrays of length k. `element` says which of the elements; `event` indexes `EVENTS`.

    `severity` is how bad that is of which the event tells, 0 where an alarm is normal again or over, and `highest` the
    highest of the episode; `level` the one whose `limit` the `value` was compared with; `ts` when it happened, and
    `late` whether a late value tells of it. `active` is what the event tells of that, and `untold` how many recoveries
    and reactivations of the episode were not told. `baseline` is NaN where none is compared."""

    element: np.ndarray
    event: np.ndarray
    severity: np.ndarray
    highest: np.ndarray
    level: np.ndarray
    value: np.ndarray
    limit: np.ndarray
    onset_ts: np.ndarray
    episode: np.ndarray
    peak: np.ndarray
    baseline: np.ndarray
    ts: np.ndarray
    late: np.ndarray
    active: np.ndarray
    untold: np.ndarray

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
        self["latch"][slots] = np.where(_is_quiet(latches), -entries, entries)

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
        """Let one component have this latch; one that holds nothing is at rest."""
        slots = np.array([slot])
        if self["latch"][slot]:
            self.let_rest(slots)
        if not (held["severity"] or held["warning_since"] or held["alarm_since"]):
            return
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
    slots, values, limits = elements.slots, elements.values, elements.limits
    was_at_rest = state["latch"][slots] == 0
    if was_at_rest.any():
        state.engage(slots[was_at_rest], np.zeros(np.count_nonzero(was_at_rest), LATCH))
    entries = state.entries(slots)
    held = state.latches.packed(entries)
    reached, is_worse, is_normal = _last_all(held, elements, was_at_rest)

    before, was_active, told_active = held["severity"].copy(), held["active"] == 1, held["told_active"] == 1
    is_open, onset = before > 0, np.where(reached == _ALARM, held["alarm_since"], held["warning_since"])
    crosses = is_open & ~was_active & (reached > 0)
    superseded = crosses & (held["recovered_ts"] > 0) & (onset - held["recovered_ts"] >= EPISODE_OVER_MS)
    over = _superseded(held, superseded, elements, baseline) if superseded.any() else NOTHING
    opened = (~is_open & (reached > 0)) | superseded
    escalated = is_open & ~superseded & (reached > before)
    worsened = is_open & ~superseded & ~escalated & is_worse & (reached > 0)
    recovers = was_active & is_normal
    comes_back = crosses & ~superseded & ~escalated & ~worsened
    active = (was_active & ~recovers) | opened | crosses | escalated | worsened
    # A recovery for which there was no room is told once there is.
    room = has_room(held["repeats_ts"].T, elements.ingest_ts)
    recovered = is_open & told_active & ~active & (values < limits["recovery"]) & room
    reactivated = comes_back & ~told_active

    held["recovered_ts"] = np.where(recovers, held["normal_since"], held["recovered_ts"])
    held["late_until_ts"] = np.where(recovers, 0, held["late_until_ts"])
    _begin(held, opened, superseded, onset, elements)
    held["severity"] = np.where(opened, reached, np.maximum(before, reached))
    held["active"] = active
    held["repeats_untold"] += recovers.astype(np.int32) - recovered + (comes_back & told_active)
    repeats = recovered | reactivated
    held["repeats_ts"][repeats] = with_repeat(held["repeats_ts"][repeats].T, elements.ingest_ts[repeats]).T
    tells = opened | escalated | worsened | reactivated
    held["told_active"] = (told_active & ~recovered) | tells
    held["told_value"] = np.where(tells, np.maximum(held["told_value"], values), held["told_value"])
    held["worse_since"] = np.where(tells, 0, held["worse_since"])
    held["normal_since"] = np.where(active, held["normal_since"], 0)
    state.latches.unpack(entries, held)
    state["latch"][slots] = np.where(_is_quiet(held), -entries, entries)
    state.let_rest(slots[(held["severity"] == 0) & (held["warning_since"] == 0) & (held["alarm_since"] == 0)])
    # A reactivation may be at warning level while the alarm keeps the severity it once reached.
    compared = np.where(reached > 0, reached, _WARNING)
    happened = {OPENED: opened, ESCALATED: escalated, RECOVERED: recovered, REACTIVATED: reactivated}
    found = _findings(happened | {WORSENED: worsened}, held, compared, elements, baseline)
    return found if over is NOTHING else _in_turn(over, found)


def _is_quiet(held: np.ndarray) -> np.ndarray:
    """Which latches, LATCH[m], hold nothing to which a normal value means anything."""
    runs = (held["warning_since"] != 0) | (held["alarm_since"] != 0)
    quiet: np.ndarray = (held["active"] == 0) & (held["told_active"] == 0) & ~runs
    return quiet


def _last_all(
    held: np.ndarray, elements: Elements, was_at_rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Note how long the values have been over or under what matters, in place.

    The severity that is confirmed, int64[m], 0 for none; whether it is confirmed that it is worse than was told, and
    that it is normal again, bool[m] each."""
    values, limits = elements.values, elements.limits
    runs = (held["warning_since"] != 0) | (held["alarm_since"] != 0)
    begins = (values >= limits["lowest"]) & (~runs | elements.gap)
    held["stretch_peak"] = np.where(begins, values, np.maximum(held["stretch_peak"], values))
    held["normal_ts"] = np.where(was_at_rest, elements.before_ts, held["normal_ts"])
    is_open = held["severity"] > 0
    held["peak"] = np.where(is_open, np.maximum(held["peak"], values), held["peak"])
    warning_ms, alarm_ms = limits["confirm_warning_ms"], limits["confirm_alarm_ms"]
    is_warning = _last(held, "warning", values >= limits["warning"], warning_ms, elements, elements.credit_ms)
    is_alarm = _last(held, "alarm", values >= limits["alarm"], alarm_ms, elements, elements.credit_ms)
    is_over = is_open & (values >= WORSE * held["told_value"])
    worse_ms = np.where(np.isfinite(limits["alarm"]), alarm_ms, warning_ms)
    is_worse = _last(held, "worse", is_over, worse_ms, elements, elements.credit_ms)
    # No interval confirms that all is well: a single 0 of a device that reports seldom is no recovery.
    is_under = (held["active"] == 1) & (values < limits["recovery"])
    is_normal = _last(held, "normal", is_under, limits["confirm_recovery_ms"], elements, 0)
    # What reaches a level is live, whoever told of it before.
    held["late_until_ts"] = np.where(values >= limits["lowest"], 0, held["late_until_ts"])
    drained = (held["late_until_ts"] == 0) | (elements.ingest_ts - held["late_heard_ts"] > LATE_DRAINED_MS)
    return np.where(is_alarm, _ALARM, np.where(is_warning, _WARNING, 0)), is_worse, is_normal & drained


def _last(
    held: np.ndarray,
    stretch: str,
    holds: np.ndarray,
    confirm_ms: np.ndarray,
    elements: Elements,
    credit_ms: np.ndarray | int,
) -> np.ndarray:
    """Note for how long each value has been such as it `holds` of, bool[m], in place, and say where that is confirmed,
    bool[m]: by how long it has lasted, or by the interval that the component is given credit for."""
    since, lasted = held[f"{stretch}_since"], held[f"{stretch}_ms"]
    begins = holds & ((since == 0) | elements.gap)
    held[f"{stretch}_since"] = np.where(begins, elements.ts, np.where(holds, since, 0))
    held[f"{stretch}_ms"] = lasted = np.where(holds & ~begins, lasted + elements.step_ms, 0)
    confirmed: np.ndarray = holds & (np.maximum(lasted, credit_ms) >= confirm_ms)
    return confirmed


def _begin(held: np.ndarray, opened: np.ndarray, superseded: np.ndarray, onset: np.ndarray, elements: Elements) -> None:
    """Let an episode begin where one `opened`, in place; its values are those of the stretch that opened it."""
    held["normal_ts"] = np.where(superseded, held["recovered_ts"], held["normal_ts"])
    held["onset_ts"] = np.where(opened, onset, held["onset_ts"])
    held["episode"] = np.where(opened, elements.ingest_ts, held["episode"])
    held["peak"] = np.where(opened, held["stretch_peak"], held["peak"])
    for name in ("recovered_ts", "told_value", "repeats_untold", "repeats_ts"):
        held[name][opened] = 0


def has_room(repeats_ts: Any, ingest_ts: Any) -> Any:
    """Whether a recovery that arrives at `ingest_ts` may be told, and a reactivation after it. `repeats_ts` are the
    arrivals of what was told, the oldest first, bool[m] of int64[5, m] or of numbers."""
    return (repeats_ts[0] == 0) | (ingest_ts - repeats_ts[0] >= DAY_MS)


def with_repeat(repeats_ts: Any, ingest_ts: Any) -> np.ndarray:
    """The arrivals, with one more that is told, as above."""
    return np.array([*repeats_ts[1:], ingest_ts], np.int64)


def _superseded(held: np.ndarray, superseded: np.ndarray, elements: Elements, baseline: np.ndarray | None) -> Findings:
    """The end of episodes that a person never reset, as they were."""
    before = held.copy()
    before["told_active"] = 0
    return _findings({SUPERSEDED: superseded}, before, np.full(len(before), _WARNING), elements, baseline)


def _in_turn(first: Findings, second: Findings) -> Findings:
    """Both, by element; of one element what is `first` before what is `second`."""
    joined = [np.concatenate(both) for both in zip(first, second, strict=True)]
    turn = np.argsort(joined[0], kind="stable")
    return Findings._make(column[turn] for column in joined)


def _findings(
    happened: Mapping[int, np.ndarray],
    held: np.ndarray,
    compared: np.ndarray,
    elements: Elements,
    baseline: np.ndarray | None,
) -> Findings:
    element = np.logical_or.reduce([*happened.values()]).nonzero()[0]
    if not len(element):
        return NOTHING
    held, limits = held[element], elements.limits.take(element)
    # A component's events exclude each other, so the one that happened is the sum of its codes.
    event = np.asarray(sum(code * mask[element] for code, mask in happened.items()))
    is_over = (event == RECOVERED) | (event == SUPERSEDED)
    at_alarm = (compared[element] == _ALARM) | ~np.isfinite(limits["warning"])
    level = np.where(at_alarm, _ALARM, _WARNING)
    limit = np.where(at_alarm, limits["alarm"], limits["warning"])
    return Findings(
        element=element,
        event=event,
        severity=np.where(is_over, 0, level),
        highest=held["severity"].astype(np.int64),
        level=level,
        value=elements.values[element],
        # The level may have been switched off while the alarm was open, and JSON has no infinity.
        limit=np.where(np.isfinite(limit), limit, 0.0),
        onset_ts=held["onset_ts"],
        episode=held["episode"],
        peak=held["peak"],
        baseline=np.full(len(element), np.nan) if baseline is None else baseline[element],
        ts=np.where(event == RECOVERED, held["recovered_ts"], elements.ts[element]),
        late=np.zeros(len(element), np.bool_),
        active=held["told_active"] == 1,
        untold=held["repeats_untold"].astype(np.int64),
    )
