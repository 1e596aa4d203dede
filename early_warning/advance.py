"""The hours of all components, one after the other: what is told of them, and what they teach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from early_warning.facts import NONE, Facts, facts_of
from early_warning.judged import Judged
from early_warning.normal import OVER, UNDER, HourInput, HourView, learn, note, view
from early_warning.state import ComponentKey, LearnedRows, LearnedState
from early_warning.table import LEAKAGE, RULES, TEMPERATURE, Rule
from early_warning.telling import due, let_go, notices
from schemas.commands import CommandKind
from schemas.notices import Notice
from schemas.registry import DeviceEntry

_TRIMMED: Final = 3
CURRENT: Final = "current_a"


class HourlyValues(NamedTuple):
    """Hours of n components of one quantity: `value`, float[n, h] (`hour_values`), NaN where an hour has none, and
    `counts`, int[n, h], of how many values."""

    keys: Sequence[ComponentKey]
    value: np.ndarray
    counts: np.ndarray


def hour_values(count: np.ndarray, least: np.ndarray, mean: np.ndarray, most: np.ndarray) -> np.ndarray:
    """What an hour is judged by, of hourly aggregates of any one shape: the mean without the least and the greatest
    value, so that no single wild sample moves it; the mean where there are fewer than three."""
    whole = np.asarray(mean, np.float64)
    trimmed = (whole * count - least - most) / np.maximum(count - 2, 1)
    return np.where(count >= _TRIMMED, trimmed, np.where(count > 0, whole, np.nan))


class RelearnOrder(NamedTuple):
    """`accept_rise` or `replace` of a device, or of one component, in an hour: what was learned before counts no
    more."""

    hour: int
    kind: str
    device_id: str
    component: int | None = None


def advance(
    states: Mapping[str, LearnedState],
    first_hour: int,
    hours: Mapping[str, HourlyValues],
    registered: Mapping[str, DeviceEntry],
    orders: Iterable[RelearnOrder],
    parameters: Mapping[str, Any],
) -> list[Notice]:
    """Take hours from `first_hour` on, oldest first, and change the states in place; what is there to tell.

    `hours` are by quantity, all of the same length; a quantity that is not there has no values. Hours of a component up
    to the last that was taken are skipped.
    """
    currents = hours.get(CURRENT, HourlyValues([], np.empty((0, 0)), np.empty((0, 0))))
    found: list[Notice] = []
    told_of = list(orders)
    for quantity in (LEAKAGE, TEMPERATURE):
        if quantity in hours:
            found += _quantity(states[quantity], first_hour, hours[quantity], currents, registered, told_of, parameters)
    return sorted(found, key=lambda one: (one.hour_ts, one.device_id, one.quantity, one.component, one.rule))


def _quantity(
    state: LearnedState,
    first_hour: int,
    values: HourlyValues,
    currents: HourlyValues,
    registered: Mapping[str, DeviceEntry],
    orders: Sequence[RelearnOrder],
    parameters: Mapping[str, Any],
) -> Iterator[Notice]:
    rows = state.rows_of(values.keys)
    facts = facts_of(state.quantity, values.keys, currents.keys, registered)
    for at in range(values.value.shape[1]):
        hour = first_hour + at
        _obey(state, rows, values.keys, orders, hour)
        value = np.asarray(values.value[:, at], np.float64)
        which = np.flatnonzero(np.isfinite(value) & (state.fields["taken"][rows] < hour))
        if len(which):
            load = _load(facts, currents, at, len(value), squared=state.quantity == TEMPERATURE)
            held = state.take(rows[which])
            now = view(_input(state.quantity, hour, parameters, held, facts, which, value, values.counts[:, at], load))
            yield from _judge(now, facts, which, parameters)
            learn(now)
            state.put(rows[which], held)


def _input(
    quantity: str,
    hour: int,
    parameters: Mapping[str, Any],
    held: LearnedRows,
    facts: Facts,
    which: np.ndarray,
    value: np.ndarray,
    count: np.ndarray,
    load: np.ndarray,
) -> HourInput:
    has_ambient = facts.ambient != NONE
    return HourInput(
        quantity=quantity,
        hour=hour,
        parameters=parameters[quantity],
        held=held,
        value=value[which],
        count=count[which],
        load=load[which],
        ambient=np.where(has_ambient, value[facts.ambient], np.nan)[which],
        has_ambient=has_ambient[which],
        neighbours=facts.neighbours[which],
        siblings=facts.siblings[which],
        limit=facts.limit[which],
        alarm=facts.alarm[which],
    )


def _judge(now: HourView, facts: Facts, which: np.ndarray, parameters: Mapping[str, Any]) -> Iterator[Notice]:
    note(now)
    is_there = {side: np.zeros(len(which), bool) for side in (OVER, UNDER)}
    for rule in RULES:
        if rule.quantity != now.quantity:
            continue
        own = _own(rule, parameters)
        if rule.observe:
            rule.observe(now, own)
        found: Judged = rule.judge(now, own)
        is_there[rule.side] |= found.which
        yield from notices(rule, now, found, due(now, found, rule.side, parameters["telling"]), which, facts)
    for side, there in is_there.items():
        let_go(now, side, there, parameters["telling"])


def _own(rule: Rule, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """A rule's parameters; where it judges several quantities, those for this one."""
    held: Mapping[str, Any] = parameters[rule.name]
    own: Mapping[str, Any] = held.get(rule.quantity, held)
    return own


def _load(facts: Facts, currents: HourlyValues, at: int, rows: int, squared: bool) -> np.ndarray:
    """What each component carries, the mean of its currents or of their squares, float64[rows]; NaN for unknown."""
    if not facts.loads.size:
        return np.full(rows, np.nan)
    row, carried = facts.loads
    amperes = np.abs(np.asarray(currents.value[:, at], np.float64))[carried]
    known = np.isfinite(amperes)
    amperes = np.where(known, amperes**2 if squared else amperes, 0.0)
    counts = np.bincount(row, known, rows)
    return np.where(counts > 0, np.bincount(row, amperes, rows) / np.maximum(counts, 1), np.nan)


def _obey(
    state: LearnedState, rows: np.ndarray, keys: Sequence[ComponentKey], orders: Sequence[RelearnOrder], hour: int
) -> None:
    """Let components learn anew by orders up to this hour, each order once."""
    due_now = [one for one in orders if one.hour <= hour and _is_for(one, state.quantity)]
    if not due_now:
        return
    newest: dict[tuple[str, int | None], int] = defaultdict(int)
    for one in due_now:
        about = (one.device_id, one.component)
        newest[about] = max(newest[about], one.hour)
    for row, key in zip(rows.tolist(), keys, strict=True):
        ordered = max(newest.get((key.device_id, None), 0), newest.get((key.device_id, key.component), 0))
        if ordered > state.fields["anew_hour"][row]:
            state.learn_anew(np.array([row]))
            state.fields["anew_hour"][row] = ordered


def _is_for(order: RelearnOrder, quantity: str) -> bool:
    """A rise is accepted of leakage only; with another device everything is another's."""
    return order.kind == CommandKind.REPLACE or (order.kind == CommandKind.ACCEPT_RISE and quantity == LEAKAGE)
