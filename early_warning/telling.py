"""Which of what rules find is told: a condition that stands is told once, and again when it got worse or much later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from early_warning.calendar import DAY_HOURS, HOUR_MS
from early_warning.facts import Facts
from early_warning.judged import Judged
from early_warning.normal import HourView
from early_warning.parameters import RuleParameters
from early_warning.state import NEVER, ComponentKey
from early_warning.table import EXCESS_NAMES, Rule
from schemas.notices import NOTICE_VERSION, Notice, notice_id
from schemas.quantities import BY_NAME
from schemas.registry import DeviceEntry


def due(now: HourView, found: Judged, side: int, parameters: RuleParameters) -> np.ndarray:
    """Which components are told of, as indices; that they are is noted. Whatever rule told of a component and side
    before, it counts: one thing is not told in three ways."""
    hours, excesses = now.held["told_hour"][:, side], now.held["told_excess"][:, side]
    is_new = hours == NEVER
    is_worse = found.excess >= parameters["again_worse"] * excesses
    is_old = now.hour - hours >= parameters["again_days"] * DAY_HOURS
    told = np.flatnonzero(found.which & (is_new | is_worse | is_old))
    hours[told] = now.hour
    excesses[told] = np.maximum(excesses[told], found.excess[told])
    return told


def let_go(now: HourView, side: int, is_there: np.ndarray, parameters: RuleParameters) -> None:
    """Forget what was told where no rule finds anything any more for long enough: it is told anew when it comes
    back."""
    quiet = now.held["quiet"][:, side]
    quiet[:] = np.where(is_there, 0, np.minimum(quiet + 1, 2**30))
    over = quiet >= parameters["over_hours"]
    now.held["told_hour"][over, side] = NEVER
    now.held["told_excess"][over, side] = 0


def notices(
    rule: Rule, now: HourView, found: Judged, told: np.ndarray, rows: np.ndarray, facts: Facts
) -> Iterator[Notice]:
    """The notices of those that are told of, one a device: of its components the worst speaks for all. `rows` are the
    rows of `facts` that the hour is of."""
    of_device = defaultdict[str, list[int]](list)
    for at in told[np.argsort(-found.excess[told], kind="stable")].tolist():
        of_device[facts.keys[rows[at]].device_id].append(at)
    for worst, *others in of_device.values():
        row = int(rows[worst])
        yield _notice(rule, now, found, worst, facts.keys[row], facts.entries[row], len(others))


def _notice(
    rule: Rule, now: HourView, found: Judged, at: int, key: ComponentKey, entry: DeviceEntry | None, others: int
) -> Notice:
    evidence = {name: round(float(held[at]), 3) for name, held in found.evidence.items() if np.isfinite(held[at])}
    excess = evidence[EXCESS_NAMES[now.quantity]] = round(float(found.excess[at]), 3)
    named = " ".join([*filter(None, (entry.unit_name, entry.address) if entry else ()), key.device_id])
    said = f"第{key.component + 1}路{BY_NAME[now.quantity].label} {rule.sentence(_WholeEvidence(evidence))}"
    hour_ts = now.hour * HOUR_MS
    return Notice(
        v=NOTICE_VERSION,
        notice_id=notice_id(rule.name, key.device_id, now.quantity, key.component, hour_ts),
        rule=rule.name,
        rule_label=rule.label,
        device_id=key.device_id,
        quantity=now.quantity,
        component=key.component,
        hour_ts=hour_ts,
        excess=excess,
        evidence=evidence,
        message=f"【提示】{named} {said}" + (f"（同设备另有{others}路）" if others else ""),
        advice=rule.advice,
        device_kind=entry.kind if entry else "",
        unit_id=entry.unit_id if entry else "",
        unit_name=entry.unit_name if entry else "",
        place=entry.address if entry else "",
        area=entry.area if entry else "",
    )


class _WholeEvidence(dict[str, float]):
    """Evidence in which a number that is not known reads as nan, so that a sentence is always whole."""

    def __missing__(self, name: str) -> float:
        return float("nan")
