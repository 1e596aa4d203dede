"""What the rules judge, read from ClickHouse: the hours of some devices, what is registered of them, and what people
have ordered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from cli.hourly.slices import RegisteredPlace
from early_warning.advance import CURRENT, HourlyValues, RelearnOrder, hour_values
from early_warning.calendar import HOUR_MS
from early_warning.state import ComponentKey, LearnedState
from early_warning.table import LEAKAGE, TEMPERATURE
from schemas.commands import Command, CommandKind
from schemas.events import Outcome
from schemas.registry import DeviceEntry
from sinks.clickhouse.service import Service

HOURS_AT_ONCE: Final = 6
"""Of a slice, so that what is read at once stays below 100 MB [ours]."""
JUDGED: Final = (LEAKAGE, TEMPERATURE, CURRENT)
LONG: Final = {"max_query_size": 4 * 1_048_576}
"""For statements that name the devices of a slice."""
_HOURS: Final = """
    SELECT toUInt32(intDiv(toUnixTimestamp(hour_ts), 3600)) AS hour, device_id, quantity, component,
        count, min, mean, max
    FROM aggregates_1h FINAL
    WHERE hour_ts >= toDateTime(%(first)s, 'UTC') AND hour_ts < toDateTime(%(until)s, 'UTC')
        AND device_id IN %(devices)s AND quantity IN %(quantities)s AND NOT test AND made > %(made)s
    ORDER BY hour, device_id, quantity, component
"""
_SPAN: Final = """
    SELECT toUInt32(min(intDiv(toUnixTimestamp(hour_ts), 3600))), toUInt32(max(intDiv(toUnixTimestamp(hour_ts), 3600)))
    FROM aggregates_1h
    WHERE hour_ts >= toDateTime(%(first)s, 'UTC') AND device_id IN %(devices)s AND quantity IN %(quantities)s
        AND NOT test AND made > %(made)s
    HAVING count() > 0
"""
_DEVICES: Final = """
    SELECT DISTINCT device_id FROM aggregates_1h
    WHERE hour_ts >= toDateTime(%(first)s, 'UTC') AND made > %(made)s AND NOT test
"""
_ENTRIES: Final = """
    SELECT device_id, argMax(h.body, (h.epoch, h.number)), argMax(h.removed, (h.epoch, h.number))
    FROM registry_history AS h WHERE device_id IN %(devices)s GROUP BY device_id
"""
_ORDERS: Final = """
    SELECT intDiv(toUnixTimestamp64Milli(ingest_ts), %(hour_ms)s), kind, device_id, body FROM control_records
    WHERE kind IN %(kinds)s AND outcome = %(outcome)s AND NOT test
"""


class HourOfDevices(NamedTuple):
    """The rows of one hour, counted from 1970: device, quantity and component of each, and `stats`, float64[4, n]: how
    many values, the least, the mean, the greatest."""

    hour: int
    devices: Sequence[str]
    quantities: Sequence[str]
    components: Sequence[int]
    stats: np.ndarray


def places(service: Service) -> dict[str, RegisteredPlace]:
    """Where each device is registered."""
    found = service.query("SELECT device_id, area, unit_id FROM devices")
    return {device: RegisteredPlace(area, unit) for device, area, unit in found}


def devices_since(service: Service, first: int, made: int) -> list[str]:
    """Devices of which an hour from `first` on was made after `made`."""
    return [device for (device,) in service.query(_DEVICES, {"first": first * 3_600, "made": made})]


def orders(service: Service) -> list[RelearnOrder]:
    """The orders that let components learn anew, those of tests aside."""
    kinds = (CommandKind.ACCEPT_RISE.value, CommandKind.REPLACE.value)
    params = {"hour_ms": HOUR_MS, "kinds": kinds, "outcome": Outcome.APPLIED.value}
    found = []
    for hour, kind, device, body in service.query(_ORDERS, params):
        with suppress(ValueError):
            found.append(RelearnOrder(hour, kind, device, Command.from_json(body.encode()).component))
    return found


def entries(service: Service, devices: Collection[str]) -> dict[str, DeviceEntry]:
    """What is registered of some devices; what this release cannot read is as if it were not there."""
    found = {}
    for device, body, removed in asked(service, _ENTRIES, {"devices": tuple(devices)}):
        if not removed:
            with suppress(ValueError):
                found[device] = DeviceEntry.from_json(body.encode())
    return found


def hours_of(service: Service, devices: Collection[str], first: int, made: int) -> Iterator[HourOfDevices]:
    """The hours from `first` on that were made after `made`, oldest first, of the quantities that are judged. An hour
    without a row is left out."""
    params = {"devices": tuple(devices), "quantities": JUDGED, "made": made, "first": first * 3_600}
    for begin, end in asked(service, _SPAN, params):
        for hour in range(begin, end + 1, HOURS_AT_ONCE):
            within = {"first": hour * 3_600, "until": min(hour + HOURS_AT_ONCE, end + 1) * 3_600}
            yield from _by_hour(asked(service, _HOURS, params | within, columnar=True))


def asked(service: Service, sql: str, params: Mapping[str, Any], columnar: bool = False) -> list[tuple[Any, ...]]:
    """The rows of a query that names the devices of a slice."""
    rows: list[tuple[Any, ...]] = service.call(
        lambda client: client.execute(sql, params, columnar=columnar, settings=LONG)
    )
    return rows


def _by_hour(columns: Sequence[Sequence[Any]]) -> Iterator[HourOfDevices]:
    if not columns:
        return
    hours, devices, quantities, components, *stats = columns
    numbers = np.array(stats, np.float64)
    hour = np.array(hours)
    edges = [0, *(np.flatnonzero(np.diff(hour)) + 1).tolist(), len(hour)]
    for begin, end in pairwise(edges):
        rows = slice(begin, end)
        yield HourOfDevices(int(hour[begin]), devices[rows], quantities[rows], components[rows], numbers[:, rows])


class KnownComponents:
    """The components of devices, by quantity: those that were learned of or are registered, and those that have had a
    value since. An hour is judged with all of its devices' components, whether each has a value in it or not; so what
    belongs together does not hang on who happened to report."""

    def __init__(self, states: Mapping[str, LearnedState], registered: Mapping[str, DeviceEntry]) -> None:
        self._held: dict[str, dict[str, dict[ComponentKey, None]]] = {name: defaultdict(dict) for name in JUDGED}
        for quantity, state in states.items():
            for key in state.keys:
                self._held[quantity][key.device_id][key] = None
        for device, entry in registered.items():
            for one in entry.components:
                if one.quantity == CURRENT:
                    self._held[CURRENT][device][ComponentKey(device, one.number)] = None

    def values(self, rows: HourOfDevices) -> dict[str, HourlyValues]:
        """An hour of some devices as the rules take it."""
        keys = [*map(ComponentKey, rows.devices, rows.components)]
        for quantity, key in zip(rows.quantities, keys, strict=True):
            self._held[quantity][key.device_id][key] = None
        present = dict.fromkeys(rows.devices)
        whole = {name: [key for device in present for key in sorted(held[device])] for name, held in self._held.items()}
        at = {name: {key: row for row, key in enumerate(of)} for name, of in whole.items()}
        value = {name: np.full((len(of), 1), np.nan) for name, of in whole.items()}
        counts = {name: np.zeros((len(of), 1), np.int64) for name, of in whole.items()}
        judged, count = hour_values(*rows.stats), rows.stats[0]
        for row, (quantity, key) in enumerate(zip(rows.quantities, keys, strict=True)):
            value[quantity][at[quantity][key]] = judged[row]
            counts[quantity][at[quantity][key]] = count[row]
        return {name: HourlyValues(whole[name], value[name], counts[name]) for name in JUDGED}
