"""The hours of a trial, and what early warning has to say of them: from the minutes that detection makes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from common.times import local
from early_warning.advance import CURRENT, HourlyValues, RelearnOrder, advance, hour_values
from early_warning.calendar import HOUR_MS
from early_warning.parameters import load_parameters
from early_warning.state import ComponentKey, empty_states
from early_warning.table import LEAKAGE, TEMPERATURE
from schemas.commands import Command, CommandKind
from schemas.events import Aggregate, ControlOutcome, Outcome
from schemas.notices import Notice
from schemas.registry import DeviceEntry, LimitsEntry

MOST_HOURS: Final = 3 * 366 * 24
"""Hours that are looked at, the newest: three years, so that a clock that is years off takes no more room [ours]."""
_QUANTITIES: Final = (LEAKAGE, TEMPERATURE, CURRENT)
_COUNT, _LEAST, _SUM, _MOST = range(4)

Hour = list[float]
"""Count, least, sum and greatest of the values of an hour."""


class HoursOnTrial:
    """Hours by component, from minutes as they close; and the orders and entries that early warning goes by."""

    def __init__(self, parameters: Path | None = None) -> None:
        """`parameters` is a file of those that differ. Raises ParametersError."""
        self._parameters = load_parameters(parameters)
        self._held: dict[str, dict[ComponentKey, dict[int, Hour]]] = {name: defaultdict(dict) for name in _QUANTITIES}
        self._registered: dict[str, DeviceEntry] = {}
        self._orders: list[RelearnOrder] = []

    def register(self, entry: DeviceEntry | LimitsEntry) -> None:
        """Know what is registered of a device."""
        if isinstance(entry, DeviceEntry):
            self._registered[entry.device_id] = entry

    def add(self, minutes: Iterable[Aggregate]) -> None:
        """Add minutes to their hours; those of tests teach nothing."""
        for minute in minutes:
            for quantity in minute.quantities.keys() & set(_QUANTITIES):
                if not minute.test:
                    self._add(minute, quantity)

    def _add(self, minute: Aggregate, quantity: str) -> None:
        held, of = self._held[quantity], minute.quantities[quantity]
        hour = minute.minute_ts // HOUR_MS
        for component, (count, least, mean, most) in enumerate(
            zip(of["count"], of["min"], of["mean"], of["max"], strict=True)
        ):
            if count and least is not None and mean is not None and most is not None:
                hours = held[ComponentKey(minute.device_id, component)]
                before = hours.get(hour, [0.0, np.inf, 0.0, -np.inf])
                hours[hour] = [
                    before[_COUNT] + count,
                    min(before[_LEAST], least),
                    before[_SUM] + mean * count,
                    max(before[_MOST], most),
                ]

    def note(self, event: object) -> None:
        """Note an order that lets a component learn anew."""
        relearns = (CommandKind.ACCEPT_RISE, CommandKind.REPLACE)
        if isinstance(event, ControlOutcome) and event.kind in relearns and event.outcome == Outcome.APPLIED:
            with suppress(ValueError):
                component = Command.from_json(event.body.encode()).component
                self._orders.append(RelearnOrder(event.ingest_ts // HOUR_MS, event.kind, event.device_id, component))

    def notices(self) -> list[Notice]:
        """What the rules say of all hours, oldest first."""
        seen = [hour for of in self._held.values() for hours in of.values() for hour in hours]
        if not seen:
            return []
        first = max(min(seen), max(seen) - MOST_HOURS)
        hours = {name: _values(of, first, max(seen) - first + 1) for name, of in self._held.items() if of}
        return advance(empty_states(), first, hours, self._registered, self._orders, self._parameters)


def _values(of: Mapping[ComponentKey, Mapping[int, Hour]], first: int, count: int) -> HourlyValues:
    keys = sorted(of)
    columns = np.full((len(keys), count, 4), np.nan)
    columns[:, :, _COUNT] = 0
    for row, key in enumerate(keys):
        for hour, values in of[key].items():
            if hour >= first:
                columns[row, hour - first] = values
    counts = columns[:, :, _COUNT]
    mean = columns[:, :, _SUM] / np.maximum(counts, 1)
    return HourlyValues(keys, hour_values(counts, columns[:, :, _LEAST], mean, columns[:, :, _MOST]), counts)


def notice_told(notice: Notice) -> str:
    """One line for a person: when the hour closed, in Shanghai, what, and what to do."""
    return f"{local(notice.hour_ts + HOUR_MS)}  {notice.message}。{notice.advice}"
