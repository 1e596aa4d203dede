"""The risk index after a run: of the components of a slice and of their units, in the end of areas; and what of it is
stored.

A component is rated by its highest hour of the last day against its limit, by what early warning says of it, by open
alarms that nobody has judged, by hours without a value within 30 days, and by its device's age. Whether rectification
is overdue has no source yet: nothing is known of it, which counts as well (`early_warning.risk`).

Stored is what differs by a point or in its colour from what was stored that day, and the first of each day. So a city's
half million components are half a million rows a day, and not an hour.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import orjson

from cli.hourly.reading import asked
from cli.hourly.storage import insert
from early_warning.calendar import DAY_HOURS, SHANGHAI_HOURS, day_of
from early_warning.facts import warning_levels
from early_warning.normal import OVER
from early_warning.risk import PARTS, RiskFacts, blended, colour_of, index_of, parts_of
from early_warning.state import NEVER, ComponentKey, LearnedState
from schemas.registry import DeviceEntry
from sinks.clickhouse.service import Service

GAP_DAYS: Final = 30
AREA_DIGITS: Final = (6, 9, 12)
"""County, street, community (GB/T 2260 and the statistical codes below it)."""
CHANGED: Final = 1.0
"""Points by which a rating differs before it is stored again on the same day [ours]."""
_YEAR_DAYS: Final = 365.25
_HIGHEST: Final = """
    SELECT device_id, component, max(if(h.count >= 3, (h.mean * h.count - h.min - h.max) / (h.count - 2), h.mean))
    FROM aggregates_1h AS h FINAL
    WHERE hour_ts >= toDateTime(%(first)s, 'UTC') AND hour_ts < toDateTime(%(until)s, 'UTC')
        AND device_id IN %(devices)s AND quantity = %(quantity)s AND NOT test
    GROUP BY device_id, component
"""
"""By what `early_warning.advance.hour_values` judges an hour."""
_HEARD: Final = """
    SELECT device_id, component, sum(d.hours), toUInt32(min(d.day)) FROM aggregates_1d AS d FINAL
    WHERE day >= toDate(%(first)s) AND day < toDate(%(until)s)
        AND device_id IN %(devices)s AND quantity = %(quantity)s AND NOT test
    GROUP BY device_id, component
"""
_UNJUDGED: Final = """
    SELECT device_id, quantity, component, count() FROM open_alarms WHERE verdict = '' AND NOT test
    GROUP BY device_id, quantity, component
"""
_STORED_COMPONENTS: Final = """
    SELECT device_id, quantity, component, argMax(r.`index`, r.rated_ts), argMax(r.colour, r.rated_ts)
    FROM risk_component_ratings AS r
    WHERE rated_ts >= toDateTime(%(first)s, 'UTC') AND rated_ts <= toDateTime(%(until)s, 'UTC')
        AND device_id IN %(devices)s AND parameters = %(parameters)s
    GROUP BY device_id, quantity, component
"""
_STORED_GROUPS: Final = """
    SELECT id, argMax(r.`index`, r.rated_ts), argMax(r.colour, r.rated_ts) FROM risk_group_ratings AS r
    WHERE level = %(level)s AND rated_ts >= toDateTime(%(first)s, 'UTC') AND rated_ts <= toDateTime(%(until)s, 'UTC')
        AND parameters = %(parameters)s
    GROUP BY id
"""


@dataclass(frozen=True, slots=True)
class RatedGroup:
    """A unit or an area: what its index is made of."""

    id: str
    area: str
    name: str
    index: float
    worst: float
    mean: float
    members: int


class Ratings:
    """The ratings of one run, as of the hour `closed`, counted from 1970: first slice by slice, then `finish`."""

    def __init__(self, service: Service, risk: Mapping[str, Any], closed: int) -> None:
        self._service, self._risk, self._closed = service, risk, closed
        self._hash = _note_parameters(service, risk, closed)
        self._alarms = Counter[tuple[str, str, int]]()
        for device, quantity, component, count in service.query(_UNJUDGED):
            self._alarms[device, quantity, component] += count
        self._units: list[RatedGroup] = []
        self._known_units = self._stored("unit")

    def rate(
        self, states: Mapping[str, LearnedState], own: Collection[str], registered: Mapping[str, DeviceEntry]
    ) -> None:
        """Rate the components of the devices of a slice, and their units."""
        keys, quantities, parts = [], [], []
        for quantity, state in states.items():
            rows = [row for row, key in enumerate(state.keys) if key.device_id in own]
            if rows:
                facts = self._facts(state, rows, registered)
                keys += [state.keys[row] for row in rows]
                quantities += [quantity] * len(rows)
                parts.append(parts_of(facts, self._risk))
        if keys:
            whole = np.concatenate(parts)
            index = index_of(whole, self._risk)
            self._store_components(keys, quantities, whole, index, registered)
            self._rate_units(keys, index, registered)

    def finish(self) -> None:
        """Rate the areas of all units, and store what is new of both."""
        self._store_groups("unit", self._units, self._known_units)
        areas = [area for digits in AREA_DIGITS for area in self._areas(digits)]
        self._store_groups("area", areas, self._stored("area"))

    def _facts(self, state: LearnedState, rows: Sequence[int], registered: Mapping[str, DeviceEntry]) -> RiskFacts:
        keys = [state.keys[row] for row in rows]
        held = state.take(np.array(rows, np.int64))
        devices = tuple({key.device_id for key in keys})
        unknown = np.full(len(keys), np.nan)
        return RiskFacts(
            value=self._highest(state.quantity, keys, devices),
            limit=warning_levels(state.quantity, keys, registered),
            excess=np.where(held["told_hour"][:, OVER] > NEVER, held["told_excess"][:, OVER], 0.0),
            open_alarms=self._open_alarms(state.quantity, keys),
            overdue_days=unknown,
            gap_share=self._gaps(state.quantity, keys, devices, held["first"], registered),
            age_years=np.array([_age(registered.get(key.device_id), self._today) for key in keys], np.float64),
        )

    @property
    def _today(self) -> int:
        """The day in Shanghai, counted from 1970."""
        return day_of(self._closed)

    @property
    def _day_span(self) -> dict[str, int]:
        """The day so far, epoch s."""
        return {"first": (self._today * DAY_HOURS - SHANGHAI_HOURS) * 3_600, "until": self._closed * 3_600}

    def _highest(self, quantity: str, keys: Sequence[ComponentKey], devices: Sequence[str]) -> np.ndarray:
        span = {"first": (self._closed - DAY_HOURS) * 3_600, "until": self._closed * 3_600}
        found = asked(self._service, _HIGHEST, {"devices": devices, "quantity": quantity, **span})
        highest = {(device, component): value for device, component, value in found}
        return np.array([highest.get(key, np.nan) for key in keys], np.float64)

    def _open_alarms(self, quantity: str, keys: Sequence[ComponentKey]) -> np.ndarray:
        """Its own; and those of its device that are of nothing that is rated, as its own words are."""
        rated = {"residual_current_ma", "temperature_c"}
        whole = Counter[str]()
        for (device, of, _), count in self._alarms.items():
            if of not in rated:
                whole[device] += count
        return np.array(
            [self._alarms[key.device_id, quantity, key.component] + whole[key.device_id] for key in keys], float
        )

    def _gaps(
        self,
        quantity: str,
        keys: Sequence[ComponentKey],
        devices: Sequence[str],
        first: np.ndarray,
        registered: Mapping[str, DeviceEntry],
    ) -> np.ndarray:
        """The share of hours of whole days that have no value and should; NaN where there is no whole day yet."""
        begin = self._today - GAP_DAYS
        span = {"first": begin, "until": self._today}
        found = asked(self._service, _HEARD, {"devices": devices, "quantity": quantity, **span})
        heard = {(device, component): (hours, day) for device, component, hours, day in found}
        shares = []
        for key, learned_from in zip(keys, first.tolist(), strict=True):
            hours, since = heard.get(key, (0, max(begin, day_of(learned_from) + 1)))
            entry = registered.get(key.device_id)
            due = (self._today - since) * DAY_HOURS / max(1.0, (entry.interval_s if entry else 0) / 3_600)
            shares.append(max(0.0, 1.0 - hours / due) if due > 0 else np.nan)
        return np.array(shares, np.float64)

    def _store_components(
        self,
        keys: Sequence[ComponentKey],
        quantities: Sequence[str],
        parts: np.ndarray,
        index: np.ndarray,
        registered: Mapping[str, DeviceEntry],
    ) -> None:
        params = {"devices": tuple({key.device_id for key in keys}), "parameters": self._hash, **self._day_span}
        stored = {tuple(row[:3]): row[3:] for row in asked(self._service, _STORED_COMPONENTS, params)}
        colours = [colour_of(one, self._risk).value for one in index.tolist()]
        changed = [
            row
            for row, (key, quantity) in enumerate(zip(keys, quantities, strict=True))
            if _differs(stored.get((key.device_id, quantity, key.component)), index[row], colours[row])
        ]
        if not changed:
            return
        entries = [registered.get(keys[row].device_id) for row in changed]
        columns: dict[str, Any] = {
            "device_id": [keys[row].device_id for row in changed],
            "quantity": [quantities[row] for row in changed],
            "component": np.array([keys[row].component for row in changed]),
            "unit_id": [entry.unit_id if entry else "" for entry in entries],
            "area": [entry.area if entry else "" for entry in entries],
            "index": index[changed],
            "colour": [colours[row] for row in changed],
            **{name: parts[changed, at] for at, name in enumerate(PARTS)},
        }
        self._insert("risk_component_ratings", columns, len(changed))

    def _rate_units(
        self, keys: Sequence[ComponentKey], index: np.ndarray, registered: Mapping[str, DeviceEntry]
    ) -> None:
        members = defaultdict[str, list[int]](list)
        entries: dict[str, DeviceEntry] = {}
        for row, key in enumerate(keys):
            entry = registered.get(key.device_id)
            if entry and entry.unit_id:
                members[entry.unit_id].append(row)
                entries[entry.unit_id] = entry
        for unit, rows in members.items():
            self._units.append(self._group(unit, entries[unit].area, entries[unit].unit_name, index[rows]))

    def _areas(self, digits: int) -> list[RatedGroup]:
        members = defaultdict[str, list[float]](list)
        for unit in self._units:
            if len(unit.area) >= digits:
                members[unit.area[:digits]].append(unit.index)
        return [self._group(area, area, "", np.array(of)) for area, of in members.items()]

    def _group(self, name: str, area: str, label: str, index: np.ndarray) -> RatedGroup:
        (of_group,) = blended(index, np.zeros(len(index), np.int64), 1, self._risk).tolist()
        return RatedGroup(name, area, label, of_group, float(index.min()), float(index.mean()), len(index))

    def _stored(self, level: str) -> dict[str, tuple[float, str]]:
        params = {"level": level, "parameters": self._hash, **self._day_span}
        return {name: (index, colour) for name, index, colour in self._service.query(_STORED_GROUPS, params)}

    def _store_groups(self, level: str, rated: Sequence[RatedGroup], stored: Mapping[str, tuple[float, str]]) -> None:
        told = [(one, colour_of(one.index, self._risk).value) for one in rated]
        changed = [(one, colour) for one, colour in told if _differs(stored.get(one.id), one.index, colour)]
        if changed:
            columns: dict[str, Any] = {
                one.name: [getattr(group, one.name) for group, _ in changed] for one in fields(RatedGroup)
            }
            columns |= {"level": [level] * len(changed), "colour": [colour for _, colour in changed]}
            self._insert("risk_group_ratings", columns, len(changed))

    def _insert(self, table: str, columns: Mapping[str, Any], rows: int) -> None:
        same: dict[str, Any] = {"rated_ts": [self._closed * 3_600] * rows, "parameters": [self._hash] * rows}
        insert(self._service, table, {**columns, **same})


def _differs(stored: Sequence[Any] | None, index: float, colour: str) -> bool:
    return stored is None or colour != stored[1] or abs(index - stored[0]) >= CHANGED


def _age(entry: DeviceEntry | None, today: int) -> float:
    """Years since a device was installed; NaN where nobody knows."""
    try:
        installed = date.fromisoformat(entry.installed_on if entry else "")
    except ValueError:
        return float("nan")
    return (date(1970, 1, 1) + timedelta(days=today) - installed).days / _YEAR_DAYS


def _note_parameters(service: Service, risk: Mapping[str, Any], closed: int) -> str:
    """Store by which parameters risk is rated, once; their checksum."""
    body = orjson.dumps(risk, option=orjson.OPT_SORT_KEYS)
    name = blake2b(body, digest_size=8).hexdigest()
    if not service.query("SELECT 1 FROM risk_parameters WHERE parameters = %(name)s LIMIT 1", {"name": name}):
        weights = {part: float(risk["weights"][part]) for part in PARTS}
        row = {"parameters": name, "weights": weights, "body": body.decode(), "since_ts": closed * 3_600}
        insert(service, "risk_parameters", {column: [value] for column, value in row.items()})
    return name
