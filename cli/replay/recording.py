"""A CSV file of one device's readings, as reports."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from common.errors import OperatorError
from common.times import local as local_time
from common.times import moment, now_ms
from schemas.quantities import BY_NAME, KIND_CODES, MAX_COMPONENTS
from schemas.report_rules import AHEAD_MS, BEHIND_MS, VERSION
from schemas.topics import DAY_MS

CONVERSIONS: Final[dict[str, Callable[[float], float]]] = {
    "fahrenheit": lambda value: (value - 32) / 1.8,
    "tenth": lambda value: value / 10,
    "hundredth": lambda value: value / 100,
    "milli": lambda value: value * 1_000,
    "kilo": lambda value: value / 1_000,
}
"""Vendors' units into ours (domain.md, rule 9)."""
_MAPPING: Final = re.compile(r"(?P<column>.+)=(?P<quantity>[a-z_]+)(\[(?P<component>\d+)\])?(:(?P<conversion>\w+))?")


class ColumnMapping(NamedTuple):
    """Which column is which component of which quantity."""

    column: str
    quantity: str
    component: int
    convert: Callable[[float], float]

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `COLUMN=QUANTITY[COMPONENT]:CONVERSION`. Raises OperatorError."""
        match = _MAPPING.fullmatch(text)
        if match is None:
            raise OperatorError(f"--map {text!r} is not COLUMN=QUANTITY[COMPONENT]:CONVERSION")
        quantity, conversion = match["quantity"], match["conversion"]
        if quantity not in BY_NAME:
            raise OperatorError(f"--map {text!r}: {quantity} is no quantity; known are {', '.join(BY_NAME)}")
        if conversion is not None and conversion not in CONVERSIONS:
            raise OperatorError(f"--map {text!r}: {conversion} is no conversion; known are {', '.join(CONVERSIONS)}")
        component = int(match["component"] or 0)
        if component >= MAX_COMPONENTS:
            raise OperatorError(f"--map {text!r}: component numbers end at {MAX_COMPONENTS - 1}")
        return cls(match["column"], quantity, component, CONVERSIONS[conversion] if conversion else lambda value: value)


@dataclass(frozen=True, slots=True)
class Recording:
    """The checked readings of one device, in order of time, and how fast they go."""

    device_id: str
    device_kind: str
    readings: Sequence[tuple[int, dict[str, list[float]]]]
    speed: float

    @classmethod
    def of(
        cls,
        file: Path,
        device: str,
        time_column: str,
        mappings: Sequence[str],
        kind: str,
        zone: str,
        speed: float,
        ending: str | None,
    ) -> Self:
        """Read the file. Raises OperatorError for what does not fit."""
        if kind not in KIND_CODES:
            raise OperatorError(f"--kind {kind} is not known; known are {', '.join(KIND_CODES)}")
        if speed < 0:
            raise OperatorError("--speed is times real time; 0 is as fast as it goes")
        try:
            local = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise OperatorError(f"--zone {zone} is no time zone; Asia/Shanghai and UTC are") from None
        readings = sorted(
            _read(file, time_column, [ColumnMapping.of(text) for text in mappings], local), key=lambda one: one[0]
        )
        if not readings:
            raise OperatorError(f"{file} holds no readings")
        shift = 0
        if ending is not None:
            end = moment(ending, "--ending", local)
            shift = end - readings[-1][0]
        _check_times(file, readings[0][0] + shift, readings[-1][0] + shift)
        return cls(device, kind, [(ts + shift, values) for ts, values in readings], speed)

    def reports(self) -> Iterator[tuple[int, bytes]]:
        """Event time and JSON of each report."""
        for seq, (ts, quantities) in enumerate(self.readings):
            fields = {
                "v": VERSION,
                "device_id": self.device_id,
                "device_kind": self.device_kind,
                "event_ts": ts,
                "seq": seq,
            }
            yield ts, orjson.dumps(fields | quantities)


def _check_times(file: Path, first_ts: int, last_ts: int) -> None:
    """Raises OperatorError where readings are of a time that would be taken for that of a wrong clock."""
    now = now_ms()
    if first_ts < now - BEHIND_MS or last_ts > now + AHEAD_MS:
        days = BEHIND_MS // DAY_MS
        raise OperatorError(
            f"{file} holds readings from {local_time(first_ts)} to {local_time(last_ts)}; what is over {days} days old "
            "or in the future is taken for that of a wrong clock and judged by its arrival. --ending now moves all so "
            f"that the last is now; a file of over {days} days must be cut"
        )


def _read(
    file: Path, time_column: str, mappings: Sequence[ColumnMapping], zone: ZoneInfo
) -> Iterator[tuple[int, dict[str, list[float]]]]:
    unread = _unread(mappings)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            columns = set(rows.fieldnames or ())
            if missing := {time_column, *(one.column for one in mappings)} - columns:
                raise OperatorError(
                    f"{file} has no column {min(missing)}; it has {', '.join(sorted(columns)) or 'none'}"
                )
            for row in rows:
                where = f"{file} line {rows.line_num}"
                quantities = {quantity: list(values) for quantity, values in unread.items()}
                for one in mappings:
                    quantities[one.quantity][one.component] = one.convert(_number(row[one.column], where))
                yield moment(row[time_column] or "", where, zone), quantities
    except (UnicodeDecodeError, csv.Error) as error:
        raise OperatorError(f"{file} is no CSV file in UTF-8: {error}") from error


def _unread(mappings: Sequence[ColumnMapping]) -> dict[str, list[float]]:
    """Every mapped quantity before its columns are read: a component that no column gives stays at the sentinel."""
    unread: dict[str, list[float]] = {}
    for name in {one.quantity: None for one in mappings}:
        given = {one.component for one in mappings if one.quantity == name}
        absent, width = BY_NAME[name].absent, max(given) + 1
        if absent is None and len(given) < width:
            missing = min(set(range(width)) - given)
            raise OperatorError(f"--map gives {name}[{width - 1}] but not {name}[{missing}], which cannot be left out")
        unread[name] = [0.0 if absent is None else absent] * width
    return unread


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OperatorError(f"{where}: {text!r} is no number")
    return number
