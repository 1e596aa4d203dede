"""Alarms that a device says itself (domain.md, "The device's own word"): they open at once, and are of the device as a
whole.

Such an alarm is active while the newest report has the word, and recovers once reports have been without it for
`RECOVERY_MS`. It is latched as any other; what was told of it and what was not follows the rules of `detectors.latch`.
Times are arrivals: a device that alarms has better things to do than to keep its clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from detectors.latch import EPISODE_OVER_MS, REPEATS_MOST
from schemas.alarm_kinds import AlarmKind
from schemas.events import AlarmEvent

RECOVERY_MS: Final = 30_000
"""As of what is measured (`limits.toml`) [ours]."""
_PREFIX: Final = "own:"


class OwnAlarm(NamedTuple):
    """An alarm that is open. `episode` and `onset_ts` are the arrival and moment of the report that opened it;
    `quiet_since` is the arrival of the first report without the word while it is active, `recovered_ts` that of the
    first one once it is not, 0 for none. `repeats` are the arrivals at which a recovery or reactivation was told."""

    episode: int
    onset_ts: int
    active: bool = True
    told_active: bool = True
    quiet_since: int = 0
    recovered_ts: int = 0
    untold: int = 0
    repeats: tuple[int, ...] = ()


class OwnSaid(NamedTuple):
    """What happened to the alarm of a kind, and the alarm as it is then, or was where it is over."""

    kind: AlarmKind
    event: AlarmEvent
    alarm: OwnAlarm


def take(
    held: Mapping[AlarmKind, OwnAlarm], kinds: Collection[AlarmKind], newest: bool, ts: int, ingest_ts: int
) -> tuple[dict[AlarmKind, OwnAlarm], list[OwnSaid]]:
    """The alarms of a device after a report of `ts` that says `kinds`, and what happened to them, in their order."""
    found, told = dict(held), list[OwnSaid]()
    for kind in AlarmKind:
        one = held.get(kind)
        if kind in kinds:
            for event, after in _says(one, newest, ts, ingest_ts):
                told += [OwnSaid(kind, event, after)] if event else []
                found[kind] = after
        elif one is not None and newest:
            found[kind], event = _is_quiet(one, ingest_ts)
            told += [OwnSaid(kind, event, found[kind])] if event else []
    return found, told


def _says(one: OwnAlarm | None, newest: bool, ts: int, ingest_ts: int) -> Iterator[tuple[AlarmEvent | None, OwnAlarm]]:
    """What the word comes to."""
    if one is None:
        yield AlarmEvent.OPENED, OwnAlarm(ingest_ts, ts)
    elif one.active:
        yield None, one._replace(quiet_since=0) if newest else one
    elif newest and ingest_ts - one.recovered_ts >= EPISODE_OVER_MS:
        yield AlarmEvent.SUPERSEDED, one._replace(told_active=False)
        yield AlarmEvent.OPENED, OwnAlarm(ingest_ts, ts)
    elif newest and one.told_active:
        yield None, one._replace(active=True, quiet_since=0, untold=one.untold + 1)
    elif newest:
        one = one._replace(active=True, told_active=True, quiet_since=0, repeats=_with_repeat(one, ingest_ts))
        yield AlarmEvent.REACTIVATED, one


def _is_quiet(one: OwnAlarm, ingest_ts: int) -> tuple[OwnAlarm, AlarmEvent | None]:
    """What a newest report without the word comes to."""
    if one.active:
        one = one._replace(quiet_since=one.quiet_since or ingest_ts)
        if ingest_ts - one.quiet_since < RECOVERY_MS:
            return one, None
        one = one._replace(active=False, recovered_ts=one.quiet_since, quiet_since=0, untold=one.untold + 1)
    room = len(one.repeats) < REPEATS_MOST - 1 or ingest_ts - one.repeats[0] >= EPISODE_OVER_MS
    if not one.told_active or not room:
        return one, None
    one = one._replace(told_active=False, untold=one.untold - 1, repeats=_with_repeat(one, ingest_ts))
    return one, AlarmEvent.RECOVERED


def _with_repeat(one: OwnAlarm, ingest_ts: int) -> tuple[int, ...]:
    return (*one.repeats, ingest_ts)[1 - REPEATS_MOST :]


def as_notes(held: Mapping[AlarmKind, OwnAlarm]) -> dict[str, int]:
    """Alarms as a checkpoint keeps them: among the notes, which the release before takes for notes."""
    found: dict[str, int] = {}
    for kind, one in held.items():
        numbers = {name: int(value) for name, value in one._asdict().items() if name != "repeats"}
        numbers |= {f"repeat_{number}": ts for number, ts in enumerate(one.repeats)}
        found |= {f"{_PREFIX}{kind}:{name}": value for name, value in numbers.items()}
    return found


def from_notes(notes: Mapping[str, int]) -> tuple[dict[str, int], dict[AlarmKind, OwnAlarm]]:
    """The notes of a checkpoint, and the alarms among them. Raises ValueError where they are none."""
    plain = {name: ts for name, ts in notes.items() if not name.startswith(_PREFIX)}
    numbers: dict[str, dict[str, int]] = {}
    for name in notes.keys() - plain.keys():
        kind, _, field = name.removeprefix(_PREFIX).partition(":")
        numbers.setdefault(kind, {})[field] = notes[name]
    known = (kind for kind in AlarmKind if kind in numbers)
    return plain, {kind: _own_alarm(numbers[kind]) for kind in known}


def _own_alarm(numbers: Mapping[str, int]) -> OwnAlarm:
    try:
        repeats = tuple(numbers[f"repeat_{one}"] for one in range(REPEATS_MOST - 1) if f"repeat_{one}" in numbers)
        names = [name for name in OwnAlarm._fields if name != "repeats"]
        made = OwnAlarm._make([*(numbers[name] for name in names), repeats])
    except KeyError as error:
        raise ValueError(f"an alarm by the device's own word lacks {error}") from error
    return made._replace(active=bool(made.active), told_active=bool(made.told_active))
