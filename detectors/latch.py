"""The alarm latch that all detectors share: two levels, and the life of an alarm.

A latch belongs to one component and one kind of alarm. It opens when a value at or above a level is confirmed
(`detectors.confirming`). Where a component speaks seldom, its first value over a level is provisional: it is told, and
the next value confirms or withdraws it, one after a gap as a warning at most. A provisional is no episode and not
latched.

From then on the latch is in an episode. It escalates once from warning to alarm. It worsens each time a value holds
that is `WORSE` times the worst it was told with. It recovers when values have been normal for a confirm time of their
own, which needs two at least, and reactivates when one reaches a level once more. An electrical-fire alarm stays until
a person resets it (domain.md, rule 1), so an episode never ends by itself. But where a level is reached again after
`EPISODE_OVER_MS` of normal values, that is another episode, and the one before is superseded.

Recoveries and reactivations are told `REPEATS_MOST` times a day at most. A recovery is told only if there is room to
tell of a reactivation as well, so nobody is left to believe that what burns is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from detectors.confirming import SELDOM_MS, begin_anew, confirms, is_fast, is_seldom, lasts, stretch_fields
from detectors.findings import NOTHING, Elements, Findings
from detectors.limit_rows import LimitRows
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
        *stretch_fields("warning"),
        *stretch_fields("alarm"),
        *stretch_fields("worse"),
        *stretch_fields("normal"),
        ("clock_ms", "i8"),
        ("provisional_ts", "i8"),
        ("provisional_episode", "i8"),
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
        ("provisional_value", "f8"),
        ("repeats_untold", "i4"),
        ("provisional", "i1"),
        ("severity", "i1"),
        ("active", "i1"),
        ("told_active", "i1"),
        ("told_lower", "i1"),
    ]
)
"""A latch. Of each stretch there are the fields of `confirming.stretch_fields`: of values at or above a level, of
`worse` ones, at `WORSE` times `told_value`, which is the highest value that an event told, and of `normal` ones while
the alarm is active. `clock_ms` is the component's time since the latch was engaged. `stretch_peak` is the worst since a
stretch began, `peak` the worst of the episode. `provisional` is 1 while the next value is to confirm one, 2 while the
next late one is, else 0; `provisional_ts`, `_episode` and `_value` are its moment, arrival and value.

`severity` is the highest of the open alarm, 0 when none is open; `active` is 1 while its condition holds, and
`told_active` what the last event said of that; `told_lower` is 1 where it told of a warning, though the highest is an
alarm. `repeats_ts` are the arrivals at which a recovery or reactivation was last told, the oldest first, and
`repeats_untold` counts those that were not. `normal_ts` is when it last was below its limits before the onset, as far
as is known, `recovered_ts` when it was normal again; 0 for unknown. Of an active alarm that only late values have told
of, `late_until_ts` is the time of the last of them and `late_heard_ts` when that arrived; else both are 0
(`detectors.late`)."""

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
    AlarmEvent.PROVISIONAL,
    AlarmEvent.CONFIRMED,
    AlarmEvent.WITHDRAWN,
)
(
    OPENED,
    ESCALATED,
    RECOVERED,
    REACTIVATED,
    AMENDED,
    WORSENED,
    SUPERSEDED,
    RESET,
    CLOSED,
    PROVISIONAL,
    CONFIRMED,
    WITHDRAWN,
) = range(len(EVENTS))
BY_NEXT, BY_NEXT_LATE = 1, 2
"""What confirms or withdraws a provisional (`LATCH`)."""
LATE_DRAINED_MS: Final = 600_000
"""So long after the last late value over a limit a live one that is normal ends what only late ones have told of: until
then the true end may still come in [ours]."""
# Python 3.11 finds a member of an enumeration by a function of its own, which is slow for every round.
_WARNING: Final = int(Severity.WARNING)
_ALARM: Final = int(Severity.ALARM)


class Watched(Table):
    """The state of one detector: the fields of its `STATE` for each component, and the latches that are not at rest."""

    def __init__(self, state: np.dtype, size: int = 0) -> None:
        super().__init__(state, size)
        self.latches = Pool(LATCH)

    def entries(self, slots: np.ndarray) -> np.ndarray:
        """Where in `latches` those of `slots` are, 0 for one at rest."""
        entries: np.ndarray = np.abs(self["latch"][slots])
        return entries

    def waits(self, slots: np.ndarray) -> np.ndarray:
        """Which components have values over a limit that are no alarm yet, bool[m]."""
        found: np.ndarray = self["latch"][slots] > 0
        if np.count_nonzero(found):
            found = found & (self.latches["severity"][self.entries(slots)] == 0)
        return found

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
        if not (held["severity"] or held["warning_since"] or held["alarm_since"] or held["provisional"]):
            return
        self.engage(slots, np.array([tuple(held[name] for name in LATCH.names or ())], LATCH))


def to_be_told(state: Watched, slots: np.ndarray, values: np.ndarray, limits: LimitRows) -> np.ndarray:
    """Which of m values a latch is told of: those that reach a level, or meet one that is not at rest, bool[m]."""
    told: np.ndarray = (values >= limits["lowest"]) | (state["latch"][slots] > 0)
    return told


def step(state: Watched, elements: Elements, baseline: np.ndarray | None = None) -> Findings:
    """Move the latches of `elements.slots` on by one value each, in place, and say what happened.

    `baseline`, float64[m], is only passed through to the findings.
    """
    # Nearly all values are normal and meet a latch at rest, or a quiet one; they change nothing.
    which = to_be_told(state, elements.slots, elements.values, elements.limits).nonzero()[0]
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
    first = _first(held, elements)
    reached, is_worse, is_normal = _last_all(held, elements, was_at_rest)
    reached = np.where(first.confirms, first.level, reached)

    before, was_active, told_active = held["severity"].copy(), held["active"] == 1, held["told_active"] == 1
    is_open = before > 0
    onset = np.where(reached == _ALARM, held["alarm_since"], held["warning_since"])
    onset = np.where(first.confirms, held["provisional_ts"], onset)
    # What is open may be told once more by a first value: that is no other alarm. Alone it counts for no more than a
    # warning, and so does one that confirms another though a gap lies between them (domain.md, Confirming).
    first_again = first.tells & is_open & ~was_active & (reached == 0) & ~first.is_another
    reached = np.where(first_again, _WARNING, reached)
    onset = np.where(first_again, elements.ts, onset)
    crosses = is_open & ~was_active & (reached > 0)
    superseded = crosses & (held["recovered_ts"] > 0) & (onset - held["recovered_ts"] >= EPISODE_OVER_MS)
    over = _superseded(held, superseded, elements, baseline) if superseded.any() else NOTHING
    begins = (~is_open & (reached > 0)) | superseded
    provisional = first.tells & (reached == 0) & (~is_open | (~was_active & first.is_another)) & ~first.waited
    withdrawn = first.withdraws
    escalated = is_open & ~superseded & ((reached > before) | (told_active & (reached > before - held["told_lower"])))
    worsened = is_open & ~superseded & ~escalated & is_worse & (reached > 0)
    recovers = was_active & is_normal
    comes_back = crosses & ~superseded & ~escalated & ~worsened
    active = (was_active & ~recovers) | begins | crosses | escalated | worsened
    # A recovery for which there was no room is told once there is.
    room = has_room(held["repeats_ts"].T, elements.ingest_ts)
    recovered = is_open & told_active & ~active & (values < limits["recovery"]) & room & ~withdrawn
    reactivated = comes_back & ~told_active

    held["recovered_ts"] = np.where(recovers, held["normal_since"], held["recovered_ts"])
    held["late_until_ts"] = np.where(recovers, 0, held["late_until_ts"])
    _begin(held, begins, superseded, onset, first.waited, elements)
    held["severity"] = np.where(begins, reached, np.maximum(before, reached))
    held["active"] = active
    held["repeats_untold"] += recovers.astype(np.int32) - recovered + (comes_back & told_active)
    repeats = recovered | reactivated
    held["repeats_ts"][repeats] = with_repeat(held["repeats_ts"][repeats].T, elements.ingest_ts[repeats]).T
    tells = begins | escalated | worsened | reactivated
    held["told_active"] = (told_active & ~recovered) | tells
    held["told_value"] = np.where(tells, np.maximum(held["told_value"], values), held["told_value"])
    held["told_lower"] = np.where(tells, held["severity"] > reached, held["told_lower"])
    begin_anew(held, "worse", tells)
    begin_anew(held, "normal", ~active)
    # A reactivation may be at warning level while the alarm keeps the severity it once reached.
    compared = np.where(reached > 0, reached, _WARNING)
    happened = {OPENED: begins & ~first.waited, CONFIRMED: begins & first.waited, ESCALATED: escalated}
    happened |= {RECOVERED: recovered, REACTIVATED: reactivated, WORSENED: worsened}
    waits = _told_first(held, {PROVISIONAL: provisional, WITHDRAWN: withdrawn}, elements, baseline)
    _note_first(held, provisional, begins | withdrawn, elements)
    found = _findings(happened, held, compared, elements, baseline)
    alone = first_again | (first.confirms & elements.gap)
    if alone.any() and len(found.element):
        # Where there is no warning level, a first value is one all the same.
        most = np.where(alone[found.element], _WARNING, _ALARM)
        found = found._replace(severity=np.minimum(found.severity, most))
    state.latches.unpack(entries, held)
    state["latch"][slots] = np.where(_is_quiet(held), -entries, entries)
    state.let_rest(slots[_holds_nothing(held)])
    return _in_turn(over, found, waits)


class FirstValues(NamedTuple):
    """What first values of components that speak seldom come to, bool[m] each but `level`: whether one waits for what
    comes now, and what comes confirms or withdraws it, the `level` that is confirmed; whether what comes is told as a
    first value itself; and whether an alarm that is open was normal for so long that this is of another."""

    waited: np.ndarray
    confirms: np.ndarray
    withdraws: np.ndarray
    level: np.ndarray
    tells: np.ndarray
    is_another: np.ndarray


def _first(held: np.ndarray, elements: Elements) -> FirstValues:
    values, limits = elements.values, elements.limits
    is_over, waited = values >= limits["lowest"], held["provisional"] > 0
    by_next = held["provisional"] == BY_NEXT
    drained = elements.ingest_ts - held["late_heard_ts"] > LATE_DRAINED_MS
    both = np.minimum(values, held["provisional_value"]) >= limits["alarm"]
    level = np.where(both & ~elements.gap, _ALARM, _WARNING)
    is_short = ((values >= limits["warning"]) & (limits["confirm_warning_ms"] <= SELDOM_MS)) | (
        (values >= limits["alarm"]) & (limits["confirm_alarm_ms"] <= SELDOM_MS)
    )
    recovered_ts = held["recovered_ts"]
    return FirstValues(
        waited=waited,
        confirms=by_next & is_over,
        withdraws=waited & ~is_over & (by_next | drained),
        level=level,
        tells=is_over & is_short & is_seldom(elements.interval_ms, elements.gap),
        is_another=(recovered_ts > 0) & (elements.ts - recovered_ts >= EPISODE_OVER_MS),
    )


def _note_first(held: np.ndarray, provisional: np.ndarray, over: np.ndarray, elements: Elements) -> None:
    """Note first values that are told, and that others are `over`, in place."""
    held["provisional"] = np.where(provisional, BY_NEXT, np.where(over, 0, held["provisional"]))
    held["provisional_ts"] = np.where(provisional, elements.ts, held["provisional_ts"])
    held["provisional_episode"] = np.where(provisional, elements.ingest_ts, held["provisional_episode"])
    held["provisional_value"] = np.where(provisional, elements.values, held["provisional_value"])


def _holds_nothing(held: np.ndarray) -> np.ndarray:
    """Which latches, LATCH[m], are at rest."""
    nothing: np.ndarray = (held["severity"] == 0) & (held["provisional"] == 0) & ~_has_stretch(held)
    return nothing


def _has_stretch(held: np.ndarray) -> np.ndarray:
    found: np.ndarray = (held["warning_since"] != 0) | (held["alarm_since"] != 0)
    return found


def _is_quiet(held: np.ndarray) -> np.ndarray:
    """Which latches, LATCH[m], hold nothing to which a normal value means anything."""
    quiet: np.ndarray = (
        (held["active"] == 0) & (held["told_active"] == 0) & (held["provisional"] == 0) & ~_has_stretch(held)
    )
    return quiet


def _last_all(
    held: np.ndarray, elements: Elements, was_at_rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Note how long the values have been over or under what matters, in place.

    The severity that is confirmed, int64[m], 0 for none; whether it is confirmed that it is worse than was told, and
    that it is normal again, bool[m] each."""
    values, limits = elements.values, elements.limits
    reaches, has_stretch, is_open = values >= limits["lowest"], _has_stretch(held), held["severity"] > 0
    begins = reaches & (~has_stretch | elements.gap)
    held["stretch_peak"] = np.where(begins, values, np.maximum(held["stretch_peak"], values))
    held["normal_ts"] = np.where(reaches & ~has_stretch & ~is_open, elements.before_ts, held["normal_ts"])
    held["peak"] = np.where(is_open, np.maximum(held["peak"], values), held["peak"])
    elapsed_ms = np.where(was_at_rest, 0, elements.elapsed_ms)
    held["clock_ms"] += elapsed_ms
    times = {"ts": elements.ts, "step_ms": elements.step_ms, "gap": elements.gap}
    times |= {"elapsed_ms": elapsed_ms, "clock_ms": held["clock_ms"]}
    fast = is_fast(elements.interval_ms, elements.gap)
    warning_ms, alarm_ms = limits["confirm_warning_ms"], limits["confirm_alarm_ms"]
    is_warning = confirms(held, "warning", values >= limits["warning"], warning_ms, times, fast)
    is_alarm = confirms(held, "alarm", values >= limits["alarm"], alarm_ms, times, fast)
    is_over = is_open & (values >= worse_than(held["told_value"]))
    worse_ms = np.where(np.isfinite(limits["alarm"]), alarm_ms, warning_ms)
    is_worse = confirms(held, "worse", is_over, worse_ms, times, fast)
    # All is well once it has been so without a break: a single 0 is no recovery.
    is_under = (held["active"] == 1) & (values < limits["recovery"])
    is_normal = lasts(held, "normal", is_under, limits["confirm_recovery_ms"], times)
    # What reaches a level is live, whoever told of it before.
    held["late_until_ts"] = np.where(reaches, 0, held["late_until_ts"])
    drained = (held["late_until_ts"] == 0) | (elements.ingest_ts - held["late_heard_ts"] > LATE_DRAINED_MS)
    return np.where(is_alarm, _ALARM, np.where(is_warning, _WARNING, 0)), is_worse, is_normal & drained


def _begin(
    held: np.ndarray,
    begins: np.ndarray,
    superseded: np.ndarray,
    onset: np.ndarray,
    waited: np.ndarray,
    elements: Elements,
) -> None:
    """Let an episode begin where it `begins`, in place; its values are those of the stretch that opened it, and of the
    first value that `waited`."""
    held["normal_ts"] = np.where(superseded, held["recovered_ts"], held["normal_ts"])
    held["onset_ts"] = np.where(begins, onset, held["onset_ts"])
    episode = np.where(waited, held["provisional_episode"], elements.ingest_ts)
    peak = np.maximum(held["stretch_peak"], np.where(waited, held["provisional_value"], -np.inf))
    held["episode"] = np.where(begins, episode, held["episode"])
    held["peak"] = np.where(begins, peak, held["peak"])
    held["told_value"][begins] = -np.inf
    for name in ("recovered_ts", "repeats_untold", "repeats_ts"):
        held[name][begins] = 0


def worse_than(told_value: Any) -> Any:
    """From where on a value is worse than was told, float64[m] or a number; values are negative where less is worse. A
    phase without any voltage is told as -0.0: nothing is worse."""
    told = np.asarray(told_value)
    return np.where(told == 0, np.nextafter(0.0, 1.0), told * np.where(told > 0, WORSE, 1 / WORSE))


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


def _told_first(
    held: np.ndarray, happened: Mapping[int, np.ndarray], elements: Elements, baseline: np.ndarray | None
) -> Findings:
    """What is told of first values: each is a warning, whatever it reaches, and has an episode of its own."""
    provisional = happened[PROVISIONAL]
    if not (provisional.any() or happened[WITHDRAWN].any()):
        return NOTHING
    one = held.copy()
    for name, of_first, of_now in (
        ("episode", "provisional_episode", elements.ingest_ts),
        ("onset_ts", "provisional_ts", elements.ts),
        ("peak", "provisional_value", elements.values),
    ):
        one[name] = np.where(provisional, of_now, held[of_first])
    one["severity"], one["told_active"], one["repeats_untold"] = _WARNING, provisional, 0
    reached = np.where(one["peak"] >= elements.limits["alarm"], _ALARM, _WARNING)
    found = _findings(happened, one, reached, elements, baseline)
    return found._replace(severity=np.where(found.event == PROVISIONAL, _WARNING, 0))


def _in_turn(*parts: Findings) -> Findings:
    """All findings, by element; of one element in the order of the parts."""
    some = [part for part in parts if len(part.element)]
    if len(some) < 2:
        return some[0] if some else NOTHING
    joined = [np.concatenate(columns) for columns in zip(*some, strict=True)]
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
