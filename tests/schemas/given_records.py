"""Records to decode: by hand, and drawn at random so that the odd things happen often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from hypothesis import strategies as st

from schemas.quantities import BY_NAME
from schemas.records import Headers, Records
from schemas.report_json import device_of, fault_of_record, loads, not_json, not_reports
from schemas.report_rules import MAX_REPORTS_PER_RECORD, Fault, Reading, is_device_id, read
from schemas.reports import Reports

T0 = 1_790_000_000_000
"""When all of these records arrive."""
MONITOR: dict[str, Any] = {
    "v": 1,
    "device_id": "LY-000123",
    "device_kind": "electrical_monitor",
    "event_ts": T0 - 500,
    "seq": 42,
    "components": 12,
    "faults": ["sensor_open"],
    "test": False,
    "residual_current_ma": [61.5],
    "temperature_c": [31.0, 30.5, 32.1, -200.0],
    "current_a": [12.1, 11, 12.4],
    "voltage_v": [229.1, 230.4, 228.8],
    "arc_half_cycles": [0],
}
PILE: dict[str, Any] = {
    "v": 1,
    "device_id": "CP-000007",
    "device_kind": "charging_pile",
    "event_ts": T0 - 300,
    "power_w": [0, 1, 350.5],
    "current_a": [0.0, 1.0, 1.6],
    "temperature_c": [-200],
}
SMOKE: dict[str, Any] = {"device_id": "烟-1", "event_ts": T0, "device_kind": "smoke_detector", "v": 1, "smoke": [1]}
FIELDS = [*MONITOR, "smoke", "unbalance_pct", "power_w", "unknown", "tempp_c", "zz_mohm", "x y_ma"]
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 1.0, 0.5, -0.0, 1e300, 2**31, 2**53 + 1, 2**62, 2**63, 2**64 - 1, -(2**63)),
    *("", " ", "1", "a b", "smoke_detector", "charging_pile", "x" * 64, "x" * 65, "电", "\u3000", "\x00", "NaN"),
    *([], {}, [[]], [None], [True], ["x"], ["x" * 65], [""] * 17, [0] * 64, [0] * 65, [0] * 300, [1, "1"], [2**64 - 1]),
    *([-200.0], [-200], [200], [200.0], [-200.1], [1e300], [120], [5] * 3, {"a": [1]}, [{}], [-0.0], ["NaN", 5]),
    *([-127], [85.0], [85, 85], [6551.5], [3276.7], [65535], [-0.5], [-0.51], [-0.1, 61.5], [-3.48], [101], [100]),
    *([1, None, 3276.7], [None] * 3, ["Infinity", "-Infinity", "inf"]),
    *(
        T0,
        float(T0),
        T0 + 300_000,
        T0 + 300_001,
        T0 - 180 * 86_400_000,
        T0 - 180 * 86_400_000 - 1,
        740,
        946_684_800_000,
    ),
    *(T0 // 1000, T0 * 1000, T0 * 1_000_000, T0 // 1000 + 400, 1e18, -5, -1e300),
]
garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """A good report with some fields dropped or made odd; now and then no report at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(garbage)
    found = dict(MONITOR)
    if draw(st.booleans()):
        del found["components"]
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        match draw(st.integers(0, 3)):
            case 0:
                found.pop(field, None)
            case 1:
                found[field] = draw(garbage)
            case _:
                found[field] = draw(st.sampled_from(ODD))
    return found


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """A report of any shape: any kind, order of fields, fields left out, null, empty or unknown."""
    found = dict(draw(st.sampled_from([MONITOR, PILE, SMOKE])))
    optional = sorted((set(FIELDS) | {"static_v"}) - {"v", "device_id"})
    empty: list[Any] = [None, []]
    for field in draw(st.lists(st.sampled_from(optional), max_size=4)):
        found.pop("components", None)
        found[field] = draw(st.sampled_from(empty if field in {"faults", *BY_NAME} else [None]))
    for number in range(draw(st.sampled_from([0, 0, 1, 3, 80]))):
        found[f"vendor_{number}"] = draw(st.sampled_from([None, 1, "x", [True], [1]]))
    kept = [field for field in found if found[field] is not None or draw(st.booleans())]
    return {field: found[field] for field in (draw(st.permutations(kept)) if draw(st.booleans()) else kept)}


batches = mutants() | shapes() | st.lists(mutants() | shapes(), min_size=1, max_size=4)
chunks = st.lists(batches.map(orjson.dumps) | st.sampled_from([None, b"", b"{", b"[]", b"17"]), max_size=6)
"""The values of the records of a chunk."""


def records_of(
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None] | None = None,
    headers: Headers = (("gateway", b"G1"),),
    sent_bytes: Sequence[int] | None = None,
) -> Records:
    """Records with offsets from 10 on, of the device LY-1 unless `keys` say otherwise."""
    count = len(values)
    return Records(
        topic="emberline.telemetry",
        partition=7,
        offsets=np.arange(10, 10 + count),
        timestamps=np.full(count, T0),
        keys=keys or [b"LY-1"] * count,
        values=values,
        headers=[headers] * count,
        sent_bytes=None if sent_bytes is None else np.array(sent_bytes, np.int64),
    )


GivenRow = tuple[Any, ...]
GivenReject = tuple[int, int, Fault]


def said(records: Records) -> tuple[list[GivenRow], list[GivenReject]]:
    """The slow twin of `decode`: rows of reports, and what is rejected, report by report, each by offset and index."""
    rows: list[GivenRow] = []
    rejected: list[GivenReject] = []
    for offset, arrival, key, value in zip(
        records.offsets.tolist(), records.timestamps.tolist(), records.keys, records.values, strict=True
    ):
        reports, fault = _taken_apart(key, value)
        if fault is not None:
            rejected.append((offset, -1, fault))
            named = device_of(key)
            rows += [(offset, -1, named, "rejected")] if named else []
        for index, report in enumerate(reports):
            reading = read(report, arrival)
            if isinstance(reading, Reading):
                rows.append(row_of(offset, index, reading))
                continue
            rejected.append((offset, index, reading))
            named = report.get("device_id") if type(report) is dict else None
            if type(named) is str and is_device_id(named):
                rows.append((offset, index, named, "rejected"))
    return rows, rejected


def _taken_apart(key: bytes | None, value: bytes | None) -> tuple[list[Any], Fault | None]:
    if fault := fault_of_record(key, value):
        return [], fault
    assert value is not None
    try:
        held = loads(value)
    except orjson.JSONDecodeError as error:
        return [], not_json(value, error)
    if type(held) is dict:
        return [held], None
    if type(held) is list and 0 < len(held) <= MAX_REPORTS_PER_RECORD:
        return held, None
    return [], not_reports(held)


def row_of(offset: int, index: int, one: Reading) -> GivenRow:
    """What one report says, so that rows can be compared: None for NaN."""
    quantities = {name: list(map(_none_for_nan, values)) for name, values in one.quantities.items()}
    marks = [(*mark[:2], int(mark.reason), _none_for_nan(mark.value)) for mark in one.marks]
    clock = one.event_ts, one.ts, one.by_arrival
    return (
        *(offset, index, one.device_id, "read", one.device_kind, *clock, one.seq, one.test, one.faults),
        *(quantities, marks, one.notes),
    )


def rows_of(reports: Reports) -> list[GivenRow]:
    """Report by report what the columns hold, likewise."""
    marks: dict[int, list[GivenRow]] = {}
    for report, *mark, value in zip(*(column.tolist() for column in reports.marks), strict=True):
        marks.setdefault(report, []).append((*mark, _none_for_nan(value)))
    return [_row(reports, number, marks.get(number, [])) for number in range(len(reports))]


def _row(reports: Reports, number: int, marks: list[GivenRow]) -> GivenRow:
    source = int(reports.offset[number]), int(reports.index[number]), reports.device_id[number]
    if reports.rejected[number]:
        return (*source, "rejected")
    held = {name: ragged.between(number, number + 1).values.tolist() for name, ragged in reports.quantities.items()}
    return (
        *source,
        "read",
        int(reports.device_kind[number]),
        int(reports.event_ts[number]),
        int(reports.ts[number]),
        bool(reports.by_arrival[number]),
        int(reports.seq[number]) if reports.has_seq[number] else None,
        bool(reports.test[number]),
        reports.faults.get(number, ()),
        {name: list(map(_none_for_nan, values)) for name, values in held.items() if values},
        marks,
        reports.notes.get(number, ()),
    )


def _none_for_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
