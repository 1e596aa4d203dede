"""`decode` takes exactly what `fault_of` calls good, loses nothing, and never raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schemas.quantities import BY_NAME, KIND_CODES, MAX_COMPONENTS, QUANTITIES, Quantity
from schemas.report_fields import (
    device_ids,
    faults,
    flags,
    impossible,
    integers,
    kind_codes,
    refused,
    times,
    versions,
)
from schemas.report_rules import MAX_RECORD_BYTES, fault_of
from schemas.reports import Records, Reject, Reports, decode

INGEST_TS = 1_790_000_000_000
PROFILE = settings(
    max_examples=200, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
GOOD: dict[str, Any] = {
    "v": 1,
    "device_id": "LY-000123",
    "device_kind": "electrical_monitor",
    "event_ts": INGEST_TS - 500,
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
    "event_ts": INGEST_TS - 300,
    "power_w": [0, 1, 350.5],
    "current_a": [0.0, 1.0, 1.6],
    "temperature_c": [-200],
}
SMOKE: dict[str, Any] = {
    "device_id": "烟-1",
    "event_ts": INGEST_TS,
    "device_kind": "smoke_detector",
    "v": 1,
    "smoke": [1],
}
FIELDS = [*GOOD, "smoke", "unbalance_pct", "power_w", "unknown"]
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 1.0, 0.5, -0.0, 1e300, 2**31, 2**31 - 1, 2**53 + 1, 2**62, 2**63, 2**64 - 1),
    *("", " ", "1", "a b", "smoke_detector", "charging_pile", "x" * 64, "x" * 65, "电", "\u3000", "\x00"),
    *([], {}, [[]], [None], [True], ["x"], ["x" * 65], [""] * 17, [0] * 64, [0] * 65, [1.0, 2], [1, "1"], [2**64 - 1]),
    *([-200.0], [-200], [200], [200.0], [-200.1], [1e300], [120], [120.5], [5] * 3, [5] * 2, {"a": [1]}, [{}], [-0.0]),
    *(INGEST_TS, float(INGEST_TS), INGEST_TS + 86_400_000, INGEST_TS + 86_400_001),
    *(1_577_836_800_000, 1_577_836_799_999),
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
    found = dict(GOOD)
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
    """A good report of any shape: any kind, order of fields, fields left out, null, empty or unknown."""
    found = dict(draw(st.sampled_from([GOOD, PILE, SMOKE])))
    optional = sorted((set(FIELDS) | {"static_v"}) - {"v", "device_id", "device_kind", "event_ts"})
    empty: list[Any] = [None, []]
    for field in draw(st.lists(st.sampled_from(optional), max_size=4)):
        found.pop("components", None)
        found[field] = draw(st.sampled_from(empty if field in {"faults", *BY_NAME} else [None]))
    for number in range(draw(st.sampled_from([0, 0, 1, 3, 80]))):
        found[f"vendor_{number}"] = draw(st.sampled_from([None, 1, "x", [True]]))
    kept = [field for field in found if found[field] is not None or draw(st.booleans())]
    return {field: found[field] for field in (draw(st.permutations(kept)) if draw(st.booleans()) else kept)}


def records_of(values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None) -> Records:
    count = len(values)
    return Records(
        topic="emberline.telemetry",
        partition=7,
        offsets=np.arange(10, 10 + count),
        timestamps=np.full(count, INGEST_TS),
        keys=keys or [b"LY"] * count,
        values=values,
        headers=[[("gateway", b"G1")]] * count,
    )


def places(reports: Reports, rejects: Sequence[Reject]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    accepted = list(zip(reports.offset.tolist(), reports.index.tolist(), strict=True))
    return accepted, [(reject.offset, reject.index) for reject in rejects]


@PROFILE
@given(chunk=st.lists(st.lists(mutants(), min_size=1, max_size=3), max_size=4))
def test_decode_takes_exactly_what_fault_of_calls_good_and_loses_nothing(chunk: list[list[Any]]) -> None:
    reports, rejects = decode(records_of([orjson.dumps(batch) for batch in chunk]))
    told = {
        (10 + number, index): fault_of(orjson.loads(orjson.dumps(report)), INGEST_TS)
        for number, batch in enumerate(chunk)
        for index, report in enumerate(batch)
    }
    accepted, rejected = places(reports, rejects)
    assert accepted == [place for place, fault in told.items() if fault is None]
    assert rejected == [place for place, fault in told.items() if fault is not None]
    assert [reject.fault for reject in rejects] == [fault for fault in told.values() if fault is not None]


def rows_of(reports: Reports) -> list[tuple[Any, ...]]:
    """Report by report what the columns hold, NaN as None, so that rows can be compared."""

    def held(row: int) -> dict[str, list[float | None]]:
        of = {name: ragged.between(row, row + 1).values.tolist() for name, ragged in reports.quantities.items()}
        return {name: [None if np.isnan(value) else value for value in values] for name, values in of.items() if values}

    columns = [reports.offset, reports.index, reports.ingest_ts, reports.event_ts, reports.seq, reports.device_kind]
    numbers = zip(*(column.tolist() for column in [*columns, reports.test]), strict=True)
    return [
        (*row, device_id, reports.faults.get(number, ()), held(number))
        for number, (row, device_id) in enumerate(zip(numbers, reports.device_id, strict=True))
    ]


@PROFILE
@given(chunk=st.lists(st.lists(mutants(), min_size=1, max_size=3), max_size=6), part_bytes=st.integers(1, 1_500))
def test_a_chunk_decoded_in_parts_is_what_it_is_as_a_whole(chunk: list[list[Any]], part_bytes: int) -> None:
    records = records_of([*(orjson.dumps(batch) for batch in chunk), None, b"", b"{"])
    whole, rejects = decode(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("schemas.reports.PART_BYTES", part_bytes)
        parts, rejects_of_parts = decode(records)
    assert rows_of(parts) == rows_of(whole)
    assert list(parts.quantities) == list(whole.quantities)
    assert rejects_of_parts == rejects


def slowly(offset: int, index: int, report: dict[str, Any]) -> tuple[Any, ...]:
    """The twin: the row of one good report."""
    held = {}
    for name, quantity in BY_NAME.items():
        if report.get(name):
            held[name] = [None if value == quantity.absent else float(value) for value in report[name]]
    seq, kind = report.get("seq"), KIND_CODES[report["device_kind"]]
    numbers = (offset, index, INGEST_TS, report["event_ts"], -1 if seq is None else seq, kind)
    return (*numbers, report.get("test") is True, report["device_id"], tuple(report.get("faults") or ()), held)


@PROFILE
@given(chunk=st.lists(shapes() | st.lists(shapes() | mutants(), min_size=1, max_size=4) | mutants(), max_size=8))
def test_reports_of_any_shapes_in_one_chunk_come_through_as_the_slow_twin_reads_them(chunk: list[Any]) -> None:
    reports, _ = decode(records_of([orjson.dumps(held) for held in chunk]))
    wanted = [
        slowly(10 + number, index, report)
        for number, held in enumerate(chunk)
        for index, report in enumerate(held if isinstance(held, list) else [held])
        if fault_of(report, INGEST_TS) is None
    ]
    assert rows_of(reports) == wanted
    occur = {name for row in wanted for name in row[-1]}
    assert list(reports.quantities) == [name for name in BY_NAME if name in occur]


@PROFILE
@given(shape=shapes())
def test_every_shape_drawn_is_good(shape: dict[str, Any]) -> None:
    assert fault_of(shape, INGEST_TS) is None


@pytest.mark.parametrize("first", [{}, {"v": 1}, {"v": 1, "smoke": [1]}, dict.fromkeys(map(str, range(500)), 1), GOOD])
def test_whatever_the_first_report_holds_the_others_are_read_alike(first: dict[str, Any]) -> None:
    reports, _ = decode(records_of(list(map(orjson.dumps, [first, PILE, GOOD, SMOKE, GOOD, PILE]))))
    assert rows_of(reports)[-5:] == [
        slowly(11 + number, 0, report) for number, report in enumerate([PILE, GOOD, SMOKE, GOOD, PILE])
    ]


def test_as_many_fields_with_other_names_are_other_fields() -> None:
    renamed = {"smoke" if field == "arc_half_cycles" else field: value for field, value in GOOD.items()}
    reports, _ = decode(records_of([orjson.dumps(report) for report in (GOOD, renamed, GOOD)]))
    assert reports.quantities["smoke"].counts.tolist() == [0, 1, 0]
    assert reports.quantities["arc_half_cycles"].counts.tolist() == [1, 0, 1]


@pytest.mark.parametrize("reader", [versions, device_ids, kind_codes, times, integers, flags, faults])
def test_a_reader_refuses_among_others_what_it_refuses_alone(reader: Callable[[Sequence[Any]], Any]) -> None:
    alone = [row for row, value in enumerate(ODD) if reader([value]) is None]
    assert list(refused(ODD, reader)) == alone
    taken = [value for row, value in enumerate(ODD) if row not in alone]
    assert taken
    assert reader(taken) is not None


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.name)
def test_an_array_is_impossible_among_others_where_it_is_alone(quantity: Quantity) -> None:
    alone = [row for row, value in enumerate(ODD) if impossible(quantity, [value])]
    assert impossible(quantity, ODD) == alone
    assert impossible(quantity, [value for row, value in enumerate(ODD) if row not in alone]) == []


@PROFILE
@given(report=mutants())
def test_a_report_alone_is_judged_as_it_is_among_good_neighbours(report: Any) -> None:
    value, good = orjson.dumps([report]), orjson.dumps(GOOD)
    alone, _ = decode(records_of([value]))
    among, rejects = decode(records_of([good, value, good]))
    assert len(among) + len(rejects) == 3
    assert len(among) == 2 + len(alone)
    clean, _ = decode(records_of([good]))
    for place in (0, -1):
        assert among.device_id[place] == clean.device_id[0]
        assert among.faults[place % len(among)] == clean.faults[0]
        for name, held in clean.quantities.items():
            row, ragged = place % len(among), among.quantities[name]
            values = ragged.values[ragged.starts[row] : ragged.starts[row + 1]]
            np.testing.assert_array_equal(values, held.values)


@PROFILE
@given(report=mutants())
def test_what_is_accepted_comes_through_unchanged(report: Any) -> None:
    reports, _ = decode(records_of([orjson.dumps([report])]))
    if not len(reports):
        return
    assert reports.event_ts.tolist() == [report["event_ts"]]
    assert reports.seq.tolist() == [-1 if report.get("seq") is None else report["seq"]]
    assert reports.test.tolist() == [report.get("test") is True]
    assert reports.faults.get(0, ()) == tuple(report.get("faults") or ())
    for name, quantity in BY_NAME.items():
        held = reports.quantities[name].values.tolist() if name in reports.quantities else []
        wanted = [np.nan if value == quantity.absent else value for value in report.get(name) or ()]
        np.testing.assert_array_equal(held, wanted)


@PROFILE
@given(values=st.lists(st.none() | st.binary(max_size=20) | st.just(orjson.dumps(GOOD)), max_size=5))
def test_any_bytes_are_answered_and_none_raises(values: list[bytes | None]) -> None:
    reports, rejects = decode(records_of(values))
    accepted, rejected = places(reports, rejects)
    assert {offset for offset, _ in accepted + rejected} == set(range(10, 10 + len(values)))


@pytest.mark.parametrize("depth", [10, 200, 300, 900, 1_000, 1_020, 5_000])
@pytest.mark.parametrize("field", ["unknown", "seq", "faults", "temperature_c", "device_id"])
def test_deep_nesting_is_answered_and_does_not_raise(depth: int, field: str) -> None:
    nested = b"[" * depth + b"]" * depth
    text = orjson.dumps({**GOOD, "v": 2, field: "@"}).replace(b'"@"', nested)
    lone = orjson.dumps({**GOOD, field: "@"}).replace(b'"@"', nested)
    for value in (text, lone, b"[" + text + b"]", nested):
        reports, rejects = decode(records_of([value]))
        assert len(reports) + len(rejects) == 1
        assert all(reject.value for reject in rejects)


def changed(**fields: Any) -> bytes:
    return orjson.dumps({**GOOD, "components": None, **fields})


REASONS: list[tuple[str, bytes | None]] = [
    ("empty_record", None),
    ("empty_record", b""),
    ("empty_record", b"[]"),
    ("record_too_large", b" " * (MAX_RECORD_BYTES + 1)),
    ("not_json", b"{"),
    ("not_json", b"\xff\xfe"),
    ("not_finite", orjson.dumps(GOOD).replace(b"61.5", b"NaN")),
    ("not_finite", orjson.dumps(GOOD).replace(b"61.5", b"-Infinity")),
    ("not_a_report", b"17"),
    ("not_a_report", b"[17]"),
    ("too_many_reports", b"[" + b",".join([b"{}"] * 1_001) + b"]"),
    ("missing_field", changed(event_ts=None)),
    ("wrong_type", changed(event_ts="now")),
    ("wrong_type", changed(v=True)),
    ("unknown_version", changed(v=2)),
    ("bad_device_id", changed(device_id="a b")),
    ("unknown_device_kind", changed(device_kind="toaster")),
    ("array_too_long", changed(temperature_c=[20] * (MAX_COMPONENTS + 1))),
    ("array_too_long", changed(faults=["x"] * 17)),
    ("impossible_value", changed(temperature_c=[-100.1])),
    ("components_differ", changed(components=11)),
    ("components_differ", changed(current_a=[1, 2])),
    ("impossible_time", changed(event_ts=INGEST_TS + 86_400_001)),
    ("impossible_time", changed(event_ts=1_577_836_799_999)),
]


@pytest.mark.parametrize(("reason", "value"), REASONS, ids=[f"{reason}-{n}" for n, (reason, _) in enumerate(REASONS)])
def test_every_reason_has_its_example_and_keeps_the_bytes(reason: str, value: bytes | None) -> None:
    good = orjson.dumps(GOOD)
    reports, (reject,) = decode(records_of([good, value, good]))
    assert (len(reports), reject.fault.reason, reject.offset) == (2, reason, 11)
    assert reject.fault.detail
    if reason != "not_a_report":
        assert reject.value == value
    assert (reject.key, list(reject.headers)) == (b"LY", [("gateway", b"G1")])


def test_a_record_without_a_key_is_rejected() -> None:
    good = orjson.dumps(GOOD)
    reports, (reject,) = decode(records_of([good, good], [b"LY", None]))
    assert (len(reports), reject.fault.reason, reject.offset) == (1, "null_key", 11)


def test_one_bad_report_of_an_array_is_rejected_by_itself() -> None:
    bad = {**GOOD, "v": 2}
    reports, (reject,) = decode(records_of([orjson.dumps([GOOD, bad, GOOD])]))
    assert reports.index.tolist() == [0, 2]
    assert (reject.index, reject.value) == (1, orjson.dumps(bad))


def test_sentinels_are_absent_and_not_values() -> None:
    reports, _ = decode(records_of([changed(temperature_c=[-200, 20.5], unbalance_pct=[200.0])]))
    np.testing.assert_array_equal(reports.quantities["temperature_c"].values, [np.nan, 20.5])
    np.testing.assert_array_equal(reports.quantities["unbalance_pct"].values, [np.nan])


def test_an_empty_chunk_is_no_reports() -> None:
    reports, rejects = decode(records_of([]))
    assert (len(reports), rejects) == (0, [])
