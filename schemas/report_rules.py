"""What a good report is, version 1, one report at a time.

A record's value is one report, a JSON object, or a JSON array of reports of devices of that partition:

    {"v": 1, "device_id": "LY-000123", "device_kind": "electrical_monitor", "event_ts": 1790000000000,
     "seq": 42, "components": 12, "faults": [], "test": false,
     "residual_current_ma": [61.5], "temperature_c": [31.0, 30.5, 32.1, -200.0],
     "current_a": [12.1, 11.8, 12.4], "voltage_v": [229.1, 230.4, 228.8], "arc_half_cycles": [0]}

`v`, `device_id`, `device_kind` and `event_ts` are required. Every quantity of `schemas.quantities` is an array with one
value a component. `components`, where given, is the number of values in all arrays together, by which a truncated array
is told from a smaller device. Unknown fields are ignored.

`fault_of` is the definition. `schemas.reports` decodes whole chunks and agrees with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from schemas.quantities import BY_NAME, DEVICE_KINDS, KIND_CODES, MAX_COMPONENTS, QUANTITIES, Quantity

VERSION: Final = 1
MAX_RECORD_BYTES: Final = 1_048_576
"""A record of 1000 reports of 64 components is under 1 MiB; anything larger is a broken gateway [ours]."""
MAX_REPORTS_PER_RECORD: Final = 1_000
"""NB-IoT devices hand in up to 600 cached reports at once (domain.md, rule 6); rounded up [ours]."""
MAX_DEVICE_ID_LENGTH: Final = 64
MAX_FAULTS: Final = 16
MAX_FAULT_LENGTH: Final = 64
MAX_SEQ: Final = 2**31 - 1
EARLIEST_EVENT_TS: Final = 1_577_836_800_000
"""2020-01-01 UTC: older than every device of this kind, so a clock that was never set [ours]."""
MAX_AHEAD_MS: Final = 86_400_000
"""A report dated over a day after its arrival is impossible; up to that its clock is merely wrong [ours]."""

_REQUIRED: Final = ("v", "device_id", "device_kind", "event_ts")


class Fault(NamedTuple):
    """Why a report is rejected: a stable `reason` to count by, and a `detail` that a person can act on."""

    reason: str
    detail: str


def fault_of(report: Any, ingest_ts: int) -> Fault | None:
    """Say what is wrong with one parsed report that arrived at `ingest_ts`, or None if nothing is.

    This is the definition of a good report. The order of the checks decides which reason is given.
    """
    if type(report) is not dict:
        return Fault("not_a_report", f"expected an object, got {type(report).__name__}")
    for check in (_fault_of_envelope, _fault_of_optional, _fault_of_quantities, _fault_of_shape):
        if fault := check(report):
            return fault
    event_ts = report["event_ts"]
    if not EARLIEST_EVENT_TS <= event_ts <= ingest_ts + MAX_AHEAD_MS:
        return Fault(
            "impossible_time", f"event_ts {event_ts} lies before 2020 or over a day after arrival at {ingest_ts}"
        )
    return None


def _fault_of_envelope(report: dict[str, Any]) -> Fault | None:
    for name in _REQUIRED:
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
    if type(report["device_kind"]) is not str:
        return _wrong_type("device_kind", "a string", report["device_kind"])
    if report["device_kind"] not in KIND_CODES:
        return Fault("unknown_device_kind", f"{report['device_kind'][:64]!r}; known kinds: {', '.join(KIND_CODES)}")
    if type(report["event_ts"]) is not int:
        return _wrong_type("event_ts", "an integer of epoch milliseconds", report["event_ts"])
    return None


def is_device_id(text: str) -> bool:
    """Whether a text can name a device."""
    return 0 < len(text) <= MAX_DEVICE_ID_LENGTH and text.isprintable() and " " not in text


def _fault_of_optional(report: dict[str, Any]) -> Fault | None:
    seq = report.get("seq")
    if seq is not None and (type(seq) is not int or not 0 <= seq <= MAX_SEQ):
        return _wrong_type("seq", f"an integer from 0 to {MAX_SEQ}", seq)
    test = report.get("test")
    if test is not None and type(test) is not bool:
        return _wrong_type("test", "true or false", test)
    faults = report.get("faults")
    if faults is None:
        return None
    if type(faults) is not list or not all(type(fault) is str for fault in faults):
        return _wrong_type("faults", "an array of strings", faults)
    if len(faults) > MAX_FAULTS or any(len(fault) > MAX_FAULT_LENGTH for fault in faults):
        return Fault("array_too_long", f"faults: at most {MAX_FAULTS} of at most {MAX_FAULT_LENGTH} characters")
    return None


def _fault_of_quantities(report: dict[str, Any]) -> Fault | None:
    for quantity in QUANTITIES:
        values = report.get(quantity.name)
        if values is not None and (fault := fault_of_values(quantity, values)):
            return fault
    return None


def fault_of_values(quantity: Quantity, values: Any) -> Fault | None:
    """What is wrong with the array of one quantity."""
    if type(values) is not list:
        return _wrong_type(quantity.name, "an array of numbers", values)
    if len(values) > MAX_COMPONENTS:
        return Fault(
            "array_too_long", f"{quantity.name} has {len(values)} components; at most {MAX_COMPONENTS} are taken"
        )
    low, high, absent = quantity.low, quantity.high, quantity.absent
    for component, value in enumerate(values):
        if type(value) in (int, float) and (low <= value <= high or value == absent):
            continue
        where = f"{quantity.name}[{component}]"
        if type(value) is not int and type(value) is not float:
            return _wrong_type(where, "a number", value)
        if not math.isfinite(value):
            return Fault("not_finite", f"{where} is {value}")
        return Fault("impossible_value", f"{where} is {value}; possible is {low:g} to {high:g}")
    return None


def _fault_of_shape(report: dict[str, Any]) -> Fault | None:
    lengths = {name: len(report[name]) for name in BY_NAME if report.get(name) is not None}
    axis = DEVICE_KINDS[KIND_CODES[report["device_kind"]]].axis
    along = {name: lengths[name] for name in axis if lengths.get(name)}
    if len(set(along.values())) > 1:
        return Fault("components_differ", "arrays of the same parts differ in length: " + _listed(along))
    stated = report.get("components")
    if stated is None:
        return None
    if type(stated) is not int:
        return _wrong_type("components", "an integer", stated)
    if stated != sum(lengths.values()):
        return Fault("components_differ", f"{stated} components are stated, the arrays hold " + _listed(lengths))
    return None


def _listed(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {length}" for name, length in lengths.items()) or "none"


def _wrong_type(field: str, expected: str, value: Any) -> Fault:
    # A container is named, not shown: it may be a megabyte, or nested too deeply for Python to write.
    shown = "" if isinstance(value, list | dict) else f" {str(value)[:64]!r}"
    return Fault("wrong_type", f"{field} must be {expected}, got {type(value).__name__}{shown}")
