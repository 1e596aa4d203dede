"""One run: make hours and days, take the new hours of each slice through the rules, tell what they say, keep what they
learned.

**Told first, then kept.** The state says what was told, so a run that dies after it has published and before it has
stored says the same again: the same hours, the same state before, the same ids. One that dies before it has published
loses nothing either. Each slice is told and kept by itself.

**Each hour of a device is taken once**, by its components' `taken`; hours that were made since the slice was stored are
looked at, late ones among them. So it makes no difference into which runs hours are cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cli.hourly.aggregates import Heard, first_since, make_aggregates
from cli.hourly.learned import KeptSlices, LearnedSlice
from cli.hourly.publishing import publish
from cli.hourly.ratings import Ratings
from cli.hourly.reading import KnownComponents, devices_since, entries, hours_of, orders, places
from cli.hourly.slices import sliced
from common.settings import Settings
from early_warning.advance import RelearnOrder, advance
from early_warning.calendar import DAY_HOURS, HOUR_MS
from early_warning.state import RING_DAYS
from schemas.notices import Notice
from schemas.registry import DeviceEntry
from sinks.clickhouse.service import Service

LEARNED_HOURS: Final = RING_DAYS * DAY_HOURS
"""From how far back a first run learns: older levels would have passed by now."""


@dataclass(frozen=True, slots=True)
class HourlyJob:
    """What a run is to do. `told` hears each notice, `tell` what is begun."""

    settings: Settings
    parameters: Mapping[str, Any]
    risk: Mapping[str, Any]
    settle_ms: int
    is_dry: bool = False
    tell: Heard = lambda what: None
    told: Callable[[Notice], object] = lambda notice: None


@dataclass(slots=True)
class RunSummary:
    """What a run came to: hours and days that it made, and how long that took; slices, devices and components that it
    looked at, and notices that it told."""

    hours: int = 0
    days: int = 0
    making_s: float = 0.0
    slices: int = 0
    devices: int = 0
    components: int = 0
    notices: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)


def run_once(service: Service, job: HourlyJob, now_ms: int) -> RunSummary:
    """One run, as of `now_ms`. Raises OperatorError and SinkError."""
    summary = RunSummary()
    closed = (now_ms - job.settle_ms) // HOUR_MS
    began = time.monotonic()
    made = make_aggregates(service, closed, now_ms, job.tell)
    summary.making_s = round(time.monotonic() - began, 2)
    if made is None:
        return summary
    summary.hours, summary.days = made.hours, made.days
    kept, ordered = KeptSlices(service), orders(service)
    registered = places(service)
    known = {*registered, *kept.devices}
    taken = kept.made_of(sliced(known, registered))
    devices = known.union(devices_since(service, _first(service, taken, closed), taken))
    ratings = None if job.is_dry else Ratings(service, job.risk, closed)
    for number, of in sliced(devices, registered).items():
        job.tell("slice")
        _take(service, job, _Slice(number, of, kept, ordered, made.made, closed, ratings), summary)
    if ratings:
        ratings.finish()
    return summary


@dataclass(frozen=True, slots=True)
class _Slice:
    """A slice of devices, and what a run knows for all of them."""

    number: int
    devices: Sequence[str]
    kept: KeptSlices
    orders: Sequence[RelearnOrder]
    made: int
    closed: int
    ratings: Ratings | None


def _take(service: Service, job: HourlyJob, one: _Slice, summary: RunSummary) -> None:
    """Take the new hours of a slice: judge, tell, keep, rate, in this order."""
    registered = entries(service, one.devices)
    learned = one.kept.load(one.number, one.devices)
    notices = _judged(service, job, one, learned, registered)
    if not job.is_dry:
        publish(job.settings, notices)
    for notice in notices:
        job.told(notice)
        summary.by_rule[notice.rule] = summary.by_rule.get(notice.rule, 0) + 1
    if learned.head.hours_made < one.made and not job.is_dry:
        one.kept.save(learned, set(one.devices), one.made, one.closed)
    if one.ratings:
        one.ratings.rate(learned.states, set(one.devices), registered)
    summary.slices += 1
    summary.devices += len(one.devices)
    summary.components += sum(len(state.keys) for state in learned.states.values())
    summary.notices += len(notices)


def _judged(
    service: Service,
    job: HourlyJob,
    one: _Slice,
    learned: LearnedSlice,
    registered: Mapping[str, DeviceEntry],
) -> list[Notice]:
    """Take the hours, which changes what is learned: what is there to tell."""
    known = KnownComponents(learned.states, registered)
    own = set(one.devices)
    ordered = [order for order in one.orders if order.device_id in own]
    first = _first(service, learned.head.hours_made, one.closed)
    notices = list[Notice]()
    for rows in hours_of(service, one.devices, first, learned.head.hours_made):
        notices += advance(learned.states, rows.hour, known.values(rows), registered, ordered, job.parameters)
    return notices


def _first(service: Service, made: int, closed: int) -> int:
    """The oldest hour that was made after a making, as far back as is learned from."""
    return max(first_since(service, made), closed - LEARNED_HOURS)
