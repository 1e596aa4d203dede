"""What a report says, version 1, one report at a time.

A record's value is one report, a JSON object, or a JSON array of reports of devices of that partition:

    {"v": 1, "device_id": "LY-000123", "device_kind": "electrical_monitor", "event_ts": 1790000000000,
     "seq": 42, "components": 12, "faults": [], "test": false,
     "residual_current_ma": [61.5], "temperature_c": [31.0, 30.5, 32.1, -200.0],
     "current_a": [12.1, 11.8, 12.4], "voltage_v": [229.1, 230.4, 228.8], "arc_half_cycles": [0]}

A report is rejected only if it cannot be told whose it is or how to read it: `v` or `device_id` is missing or wrong.
Whatever else is wrong with it harms only itself. A value that is none is absent and marked with its reason, a field
that cannot be used is left out and noted, and the rest of the report counts. So no fault in a report hides a fire.

`read` is the definition. `schemas.reports` decodes whole chunks and agrees with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

from schemas.absences import Absences, shipped
from schemas.quantities import BY_NAME, DEVICE_KINDS, KIND_CODES, MAX_COMPONENTS, QUANTITIES, UNKNOWN_KIND, Quantity

VERSION: Final = 1
MAX_RECORD_BYTES: Final = 1_048_576
"""A record of 1000 reports of 64 components is under 1 MiB; anything larger is a broken gateway [ours]."""
MAX_REPORTS_PER_RECORD: Final = 1_000
"""NB-IoT devices hand in up to 600 cached reports at once (domain.md, rule 6); rounded up [ours]."""
MAX_DEVICE_ID_LENGTH: Final = 64
MAX_FAULTS: Final = 16
MAX_FAULT_LENGTH: Final = 64
MAX_SEQ: Final = 2**64 - 1
MAX_UNKNOWN: Final = 4
"""Unknown quantities of a report that are named; a fifth one names nothing new [ours]."""
MAX_NAME_LENGTH: Final = 40
"""Characters by which an unknown quantity is named; the longest known name has 19 [ours]."""
MAX_DETAIL_BYTES: Final = 240
"""What a reject's detail may take of its record's allowance (`schemas.reports`) [ours]."""
AHEAD_MS: Final = 300_000
"""A clock more than 5 min ahead of arrival is wrong (domain.md, rule 8); NB-IoT time is good to seconds [ours]."""
BEHIND_MS: Final = 180 * 86_400_000
"""What is dated longer before its arrival is by a clock that is wrong: 600 cached reports, 6 h apart, are 150 days
[ours]. So neither 1970 nor 2000 nor a GPS week lost (1024 weeks back) is taken for history."""
EARLIEST_ARRIVAL_TS: Final = 1_577_836_800_000
"""2020-01-01 UTC: nothing arrived before there was emberline [ours]."""
_UNITS_MS: Final = {"seconds": (1_000, 1), "microseconds": (1, 1_000), "nanoseconds": (1, 1_000_000)}


class Fault(NamedTuple):
    """Why a report is rejected: a stable `reason` to count by, and a `detail` that a person can act on."""

    reason: str
    detail: str


class Reason(IntEnum):
    """Why a component has no value. NULL and NOT_FITTED are said by the device; the others are faults of its sensor,
    but POWER_ON: such a value counts where the component's one before was the same."""

    NOT_FITTED = 1
    SENTINEL = 2
    IMPOSSIBLE = 3
    NOT_A_NUMBER = 4
    NOT_FINITE = 5
    POWER_ON = 6

    @property
    def label(self) -> str:
        """The word in tables and statuses."""
        return self.name.lower()


class Mark(NamedTuple):
    """A component that has no value, or none yet, and what stands in its place, NaN where that is no number."""

    quantity: int
    component: int
    reason: Reason
    value: float


class Reading(NamedTuple):
    """What one report says.

    `event_ts` is when it was measured by the device's own clock, `ts` the moment it is judged by: that, or its arrival
    where the clock is not credible (`by_arrival`). `seq` is None where there is none. Of `quantities` a component
    without a value is NaN. `notes` say what else is wrong, one word each, in their order.
    """

    device_id: str
    device_kind: int
    event_ts: int
    ts: int
    by_arrival: bool
    seq: int | None
    test: bool
    faults: tuple[str, ...]
    quantities: dict[str, list[float]]
    marks: tuple[Mark, ...]
    notes: tuple[str, ...]


def read(report: Any, ingest_ts: int, absences: Absences | None = None) -> Reading | Fault:
    """What a parsed report that arrived at `ingest_ts` says, or why it is rejected.

    This is the definition. The order of the checks decides which reason is given.
    """
    if fault := fault_of(report):
        return fault
    notes: list[str] = []
    kind = noted(notes, read_kind(report.get("device_kind")))
    event_ts, ts, by_arrival = read_times(report.get("event_ts"), ingest_ts, notes)
    seq = noted(notes, read_seq(report.get("seq")))
    test = noted(notes, read_flag(report.get("test")))
    faults = noted(notes, read_faults(report.get("faults")))
    quantities, marks = {}, []
    for quantity in QUANTITIES:
        values, odd = read_values(quantity, report.get(quantity.name), notes)
        if values:
            quantities[quantity.name] = values
            marks += odd
    notes += shape_notes(report.get("components"), kind, {name: len(held) for name, held in quantities.items()})
    marks += _judge(
        quantities, {(mark.quantity, mark.component) for mark in marks}, kind, report, absences or shipped()
    )
    notes += unknown_quantities(report)
    marks.sort()
    return Reading(
        report["device_id"],
        kind,
        event_ts,
        ts,
        by_arrival,
        seq,
        test,
        faults,
        quantities,
        tuple(marks),
        in_order(notes),
    )


def noted(notes: list[str], found: tuple[Any, str]) -> Any:
    """The value of a pair; its note, if there is one, goes to the others."""
    value, note = found
    if note:
        notes.append(note)
    return value


def in_order(notes: Iterable[str]) -> tuple[str, ...]:
    """Notes as they are kept: each once, sorted."""
    return tuple(sorted(set(notes)))


def fault_of(report: Any) -> Fault | None:
    """Why a report is rejected, or None: it cannot be told whose it is or how it is to be read."""
    if type(report) is not dict:
        return Fault("not_a_report", f"expected an object, got {type(report).__name__}")
    for name in ("v", "device_id"):
        if report.get(name) is None:
            return Fault("missing_field", f"{name} is required")
    if type(report["v"]) is not int:
        return _wrong_type("v", "an integer", report["v"])
    if report["v"] != VERSION:
        return Fault("unknown_version", f"version {report['v']}; this platform reads version {VERSION}")
    device_id = report["device_id"]
    if type(device_id) is not str:
        return _wrong_type("device_id", "a string", device_id)
    if not is_device_id(device_id):
        return Fault(
            "bad_device_id", f"device_id must be 1 to {MAX_DEVICE_ID_LENGTH} printable characters without spaces"
        )
    return None


def is_device_id(text: str) -> bool:
    """Whether a text can name a device."""
    return 0 < len(text) <= MAX_DEVICE_ID_LENGTH and text.isprintable() and " " not in text


def read_kind(value: Any) -> tuple[int, str]:
    """The code of a kind of device."""
    if type(value) is str and value in KIND_CODES:
        return KIND_CODES[value], ""
    return UNKNOWN_KIND, "unknown_device_kind"


def read_times(value: Any, ingest_ts: int, notes: list[str]) -> tuple[int, int, bool]:
    """`event_ts`, `ts` and `by_arrival` of a report whose field `event_ts` holds `value`."""
    if type(value) is float and math.isfinite(value):
        value = int(value)
    if type(value) is not int:
        notes.append("no_clock")
        return ingest_ts, ingest_ts, True
    unit, event_ts = in_milliseconds(value, ingest_ts)
    if unit:
        notes.append(f"clock_in_{unit}")
    if event_ts > ingest_ts + AHEAD_MS:
        notes.append("clock_ahead")
    elif event_ts < ingest_ts - BEHIND_MS:
        notes.append("clock_behind")
    else:
        return event_ts, min(event_ts, ingest_ts), False
    return storable(event_ts), ingest_ts, True


def in_milliseconds(value: int, ingest_ts: int) -> tuple[str, int]:
    """A time of day as milliseconds, and the unit it was told in, empty for milliseconds.

    What is no credible time in milliseconds but is one in another unit was told in that.
    """
    if not credible(value, ingest_ts):
        for unit, (times, by) in _UNITS_MS.items():
            if credible(value * times // by, ingest_ts):
                return unit, value * times // by
    return "", value


def credible(event_ts: int, ingest_ts: int) -> bool:
    """Whether a report that arrives at `ingest_ts` may have been measured at `event_ts`."""
    return ingest_ts - BEHIND_MS <= event_ts <= ingest_ts + AHEAD_MS


EARLIEST_TS: Final = -2_208_988_800_000
LATEST_TS: Final = 9_223_372_036_854
"""1900 and 2262, all that columns of time hold."""


def storable(event_ts: int) -> int:
    """A time as near as a column of time can hold it."""
    return max(EARLIEST_TS, min(event_ts, LATEST_TS))


def read_seq(value: Any) -> tuple[int | None, str]:
    """A sequence number, any that is not negative and has 64 bits."""
    if value is None:
        return None, ""
    if type(value) is int and 0 <= value <= MAX_SEQ:
        return value, ""
    return None, "bad_seq"


def read_flag(value: Any) -> tuple[bool, str]:
    """Whether the report is a test. What is not said clearly is real: a fire is not taken for a test."""
    if value is None or type(value) is bool:
        return value is True, ""
    return False, "bad_test"


def read_faults(value: Any) -> tuple[tuple[str, ...], str]:
    """The device's own faults, cut to what is kept of them."""
    if value is None:
        return (), ""
    if type(value) is not list:
        return (), "bad_faults"
    texts = [one for one in value[:MAX_FAULTS] if type(one) is str]
    kept = tuple(one[:MAX_FAULT_LENGTH] for one in texts)
    if len(texts) < min(len(value), MAX_FAULTS):
        return kept, "bad_faults"
    return kept, "faults_cut" if len(value) > MAX_FAULTS or any(len(one) > MAX_FAULT_LENGTH for one in texts) else ""


def read_values(quantity: Quantity, value: Any, notes: list[str]) -> tuple[list[float], list[Mark]]:
    """The array of one quantity as floats, NaN where there is no number, and the marks of what is none.

    A number where an array is expected is taken for an array of one: it may be the fire.
    """
    if value is None:
        return [], []
    if type(value) is not list:
        notes.append(f"no_array:{quantity.name}")
        value = [value] if type(value) in (int, float) else []
    if len(value) > MAX_COMPONENTS:
        notes.append(f"too_many_components:{quantity.name}")
        value = value[:MAX_COMPONENTS]
    found, marks = [], []
    for component, one in enumerate(value):
        number, reason = read_number(one)
        found.append(number)
        if reason is not None:
            marks.append(Mark(quantity.code, component, reason, math.nan))
    return found, marks


NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
"""What JSON has no word for, though many encoders write it (see `schemas.report_json`)."""


def read_number(value: Any) -> tuple[float, Reason | None]:
    """A value as float, NaN where it is no number, and why not; null is plain absence."""
    if type(value) is float or type(value) is int:
        try:
            number = float(value)
        except OverflowError:
            return math.nan, Reason.NOT_FINITE
        return (number, None) if math.isfinite(number) else (math.nan, Reason.NOT_FINITE)
    if value is None:
        return math.nan, None
    is_name = type(value) is str and value in NOT_FINITE
    return math.nan, Reason.NOT_FINITE if is_name else Reason.NOT_A_NUMBER


def judge(quantity: Quantity, value: float, kind: int, device_id: str, absences: Absences) -> Reason | None:
    """Why a number is no value of this quantity of this device, or None."""
    if value == quantity.absent:
        return Reason.NOT_FITTED
    specials = absences.of(quantity.name, kind, device_id)
    if value in specials.sentinels:
        return Reason.SENTINEL
    if not min(quantity.low, quantity.zero_from) <= value <= quantity.high:
        return Reason.IMPOSSIBLE
    return Reason.POWER_ON if value in specials.power_on else None


def _judge(
    quantities: dict[str, list[float]], known: set[tuple[int, int]], kind: int, report: dict[str, Any], of: Absences
) -> Iterator[Mark]:
    for name, values in quantities.items():
        quantity = BY_NAME[name]
        for component, value in enumerate(values):
            if math.isnan(value) or (quantity.code, component) in known:
                continue
            reason = judge(quantity, value, kind, report["device_id"], of)
            if reason is not None:
                yield Mark(quantity.code, component, reason, value)
            if reason not in (None, Reason.POWER_ON):
                values[component] = math.nan
            elif quantity.zero_from:
                values[component] = max(value, 0.0)


def shape_notes(stated: Any, kind: int, lengths: dict[str, int]) -> list[str]:
    """Whether the arrays differ from what is stated of them, or from each other where they run over the same parts."""
    axis = DEVICE_KINDS[kind].axis if kind >= 0 else ()
    differ = len({lengths[name] for name in axis if lengths.get(name)}) > 1
    if stated is not None and (type(stated) is not int or stated != sum(lengths.values())):
        differ = True
    return ["components_differ"] if differ else []


_KNOWN: Final = frozenset(
    {"v", "device_id", "device_kind", "event_ts", "seq", "components", "faults", "test", *BY_NAME}
)
_SUFFIXES: Final = tuple(
    sorted({"_" + name.rpartition("_")[2] for name, of in BY_NAME.items() if "_" in name and of.unit not in ("", "s")})
)
"""Of a time in seconds nobody knows whether it is measured."""
_SHORTEST: Final = 6
"""Characters from which a name with a unit's ending is taken for a quantity: `fw_v` is none [ours]."""


def unknown_quantities(report: dict[str, Any]) -> list[str]:
    """Notes of the fields that nobody knows though they look measured: misspelt, or of another vendor."""
    names = sorted(name for name in report.keys() - _KNOWN if looks_measured(name, report[name]))
    return [f"unknown_quantity:{shown(name)}" for name in names[:MAX_UNKNOWN]]


def looks_measured(name: str, value: Any) -> bool:
    """Whether a field may be a quantity: an array with numbers, or a number under a name that ends with a unit."""
    if type(value) is list:
        return any(type(one) in (int, float) for one in value[:MAX_COMPONENTS])
    return type(value) in (int, float) and len(name) >= _SHORTEST and name.endswith(_SUFFIXES)


def may_measure(name: str, values: Iterable[Any]) -> bool:
    """Whether `looks_measured` may hold for any of the values of a field; quick, and never wrongly false."""
    return (len(name) >= _SHORTEST and name.endswith(_SUFFIXES)) or list in set(map(type, values))


def shown(name: str) -> str:
    """A sender's name as it may stand in a status: short, and nothing that is not printed."""
    return "".join(one if one.isprintable() and one != " " else "?" for one in name[:MAX_NAME_LENGTH])


def _wrong_type(field: str, expected: str, value: Any) -> Fault:
    # A container is named, not shown: it may be a megabyte, or nested too deeply for Python to write.
    told = "" if isinstance(value, list | dict) else f" {str(value)[:64]!r}"
    return Fault("wrong_type", f"{field} must be {expected}, got {type(value).__name__}{told}")
