"""What a report says, rule by rule: what is wrong with it harms itself alone, alone or in a chunk."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from schemas.absences import absences
from schemas.quantities import BY_NAME, KIND_CODES, MAX_COMPONENTS, QUANTITIES, UNKNOWN_KIND
from schemas.report_rejects import Reject
from schemas.report_rules import MAX_RECORD_BYTES, MAX_SEQ, Reading, Reason, read
from schemas.reports import Reports, decode
from tests.schemas.given_records import MONITOR, T0, records_of, row_of, rows_of

DAY_MS = 86_400_000
HALE = {**MONITOR, "components": None, "temperature_c": [31.0, 30.5, 32.1, 29.0]}


def reading(**fields: Any) -> Reading:
    """What a monitor's report with these fields says; of a chunk it is decoded alike."""
    found = read({**HALE, **fields}, T0)
    assert isinstance(found, Reading)
    reports, rejects = decode(records_of([changed(**fields)]))
    assert (rows_of(reports), rejects) == ([row_of(10, 0, found)], [])
    return found


def changed(**fields: Any) -> bytes:
    return orjson.dumps({**HALE, **fields})


def raw(value: bytes) -> tuple[Reports, list[Reject]]:
    """A monitor's record whose residual current is written in these very bytes."""
    return decode(records_of([orjson.dumps(HALE).replace(b"61.5", value)]))


def marks(one: Reading) -> list[tuple[str, int, str]]:
    return [(QUANTITIES[mark.quantity].name, mark.component, mark.reason.label) for mark in one.marks]


def values(one: Reading, name: str) -> list[float | None]:
    return [None if math.isnan(value) else value for value in one.quantities[name]]


# Values.


@pytest.mark.parametrize("value", [-127, -200, 327.67, 850, 1372, 3276.7, 6551.5, 6553.5])
def test_a_temperature_that_is_none_is_absent_and_its_neighbours_count(value: float) -> None:
    one = reading(temperature_c=[30.5, value, 71], residual_current_ma=[520])
    assert values(one, "temperature_c") == [30.5, None, 71]
    assert values(one, "residual_current_ma") == [520]
    assert marks(one) == [("temperature_c", 1, "not_fitted" if value == -200 else "sentinel")]
    assert one.marks[0].value == value


@pytest.mark.parametrize("value", [3276.7, 6553.5, 32767, 65535])
def test_a_residual_current_at_its_registers_maximum_is_absent(value: float) -> None:
    one = reading(residual_current_ma=[value, 520])
    assert (values(one, "residual_current_ma"), marks(one)) == (
        [None, 520],
        [("residual_current_ma", 0, "sentinel")],
    )


def test_a_sentinel_is_one_of_its_own_quantity_only() -> None:
    special = [-127.0, -200.0, 327.67, 850, 1372, 3276.7, 6551.5, 6553.5, 32767, 65535, 200.0, 85]
    one = reading(**{quantity.name: special for quantity in QUANTITIES})
    sentinels = {
        name: [special[at] for of, at, why in marks(one) if of == name and why == "sentinel"] for name in BY_NAME
    }
    assert {name: found for name, found in sentinels.items() if found} == {
        "temperature_c": [-127.0, 327.67, 850, 1372, 3276.7, 6551.5, 6553.5],
        "port_temperature_c": [-127.0, 327.67, 850, 1372, 3276.7, 6551.5, 6553.5],
        "residual_current_ma": [3276.7, 6553.5, 32767, 65535],
    }
    not_fitted = {(of, special[at]) for of, at, why in marks(one) if why == "not_fitted"}
    assert not_fitted == {("temperature_c", -200.0), ("port_temperature_c", -200.0), ("unbalance_pct", 200.0)}
    assert [(of, special[at]) for of, at, why in marks(one) if why == "power_on"] == [
        ("temperature_c", 85),
        ("port_temperature_c", 85),
    ]
    assert values(one, "static_v") == special


def test_what_a_probe_shows_at_power_on_is_kept_and_marked_for_the_value_after_it_decides() -> None:
    one = reading(temperature_c=[85.0, 85.1])
    assert (values(one, "temperature_c"), marks(one)) == ([85.0, 85.1], [("temperature_c", 0, "power_on")])


@pytest.mark.parametrize(
    ("value", "counts"), [(0, 0), (-0.1, 0), (-0.5, 0), (-0.51, None), (-3, None), (100_001, None)]
)
def test_a_small_negative_leakage_is_zero_and_a_greater_one_is_absent(value: float, counts: float | None) -> None:
    one = reading(residual_current_ma=[value])
    assert values(one, "residual_current_ma") == [counts]
    assert math.copysign(1, one.quantities["residual_current_ma"][0]) == 1
    assert marks(one) == ([] if counts == 0 else [("residual_current_ma", 0, "impossible")])


def test_solar_feed_in_makes_current_and_power_negative_rightly() -> None:
    one = reading(current_a=[-3.48, 1, 2], power_w=[-12_000])
    assert (one.quantities["current_a"], one.quantities["power_w"], one.marks) == ([-3.48, 1, 2], [-12_000], ())


@pytest.mark.parametrize(("count", "is_one"), [(0, True), (9, True), (100, True), (101, False), (-1, False)])
def test_no_second_has_more_than_a_hundred_half_cycles(count: int, is_one: bool) -> None:
    assert values(reading(arc_half_cycles=[count]), "arc_half_cycles") == [count if is_one else None]


def test_null_is_absence_and_no_fault() -> None:
    one = reading(temperature_c=[None, 20.5, None])
    assert (values(one, "temperature_c"), one.marks, one.notes) == ([None, 20.5, None], (), ())


@pytest.mark.parametrize("odd", [True, "61.5", "nan", [61.5], {"a": 1}])
def test_what_is_no_number_is_absent_and_its_neighbours_count(odd: Any) -> None:
    one = reading(residual_current_ma=[odd, 520])
    assert (values(one, "residual_current_ma"), marks(one)) == (
        [None, 520],
        [("residual_current_ma", 0, "not_a_number")],
    )


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b'"NaN"', b"9" * 400])
def test_a_value_json_has_no_word_for_is_not_finite_and_the_report_is_kept(word: bytes) -> None:
    reports, rejects = raw(word + b",520")
    (row,) = rows_of(reports)
    assert rejects == []
    assert row[11]["residual_current_ma"] == [None, 520]
    assert row[12][0] == (BY_NAME["residual_current_ma"].code, 0, Reason.NOT_FINITE, None)


def test_a_byte_order_mark_before_the_text_harms_nothing() -> None:
    with_mark, _ = decode(records_of([b"\xef\xbb\xbf" + orjson.dumps(MONITOR)]))
    without, _ = decode(records_of([orjson.dumps(MONITOR)]))
    assert rows_of(with_mark) == rows_of(without)


def test_a_number_where_an_array_is_expected_is_taken_for_one_and_noted() -> None:
    one = reading(residual_current_ma=520)
    assert (one.quantities["residual_current_ma"], one.notes) == ([520], ("no_array:residual_current_ma",))


@pytest.mark.parametrize("odd", ["520", {"a": 520}, True])
def test_what_is_no_array_and_no_number_is_left_out_and_noted(odd: Any) -> None:
    one = reading(residual_current_ma=odd)
    assert "residual_current_ma" not in one.quantities
    assert one.notes == ("no_array:residual_current_ma",)


@pytest.mark.parametrize("size", [MAX_COMPONENTS + 1, 300, 5_000])
def test_of_an_array_that_is_too_long_the_first_components_count(size: int) -> None:
    one = reading(temperature_c=[*range(20, 20 + MAX_COMPONENTS), *[1] * (size - MAX_COMPONENTS)])
    assert one.quantities["temperature_c"] == list(range(20, 20 + MAX_COMPONENTS))
    assert one.notes == ("too_many_components:temperature_c",)


def test_special_values_of_a_kind_and_of_a_device_take_the_place_of_the_default_ones() -> None:
    of = absences(
        {"temperature_c": {"sentinels": [-99]}},
        {"electrical_monitor": {"temperature_c": {"power_on": [25]}}},
        {"LY-000123": {"residual_current_ma": {"sentinels": []}}},
    )
    fields = {"temperature_c": [-99, -127, 850, 85, 25], "residual_current_ma": [65535]}
    for device_id, residual_current_ma in (("LY-000123", []), ("LY-2", [("residual_current_ma", 0, "sentinel")])):
        report = {**MONITOR, "components": None, **fields, "device_id": device_id}
        one = read(report, T0, of)
        assert isinstance(one, Reading)
        # Without its sentinel -127 is a temperature that there cannot be.
        temperature = [(0, "sentinel"), (1, "impossible"), (4, "power_on")]
        assert marks(one) == [*residual_current_ma, *(("temperature_c", at, why) for at, why in temperature)]
        reports, _ = decode(records_of([orjson.dumps(report)]), of)
        assert rows_of(reports) == [row_of(10, 0, one)]


# Fields.


@pytest.mark.parametrize("seq", [0, 1, 2**31, 2**32 - 1, 2**32, 2**63, MAX_SEQ])
def test_a_sequence_number_is_any_that_is_not_negative_and_has_64_bits(seq: int) -> None:
    assert (reading(seq=seq).seq, reading(seq=seq).notes) == (seq, ())


@pytest.mark.parametrize("odd", [-1, 2.0, "5", True, [5]])
def test_what_is_no_sequence_number_is_noted_and_the_report_counts(odd: Any) -> None:
    one = reading(seq=odd)
    assert (one.seq, one.notes) == (None, ("bad_seq",))


def test_texts_that_are_too_long_or_too_many_are_cut_and_noted() -> None:
    one = reading(faults=["电" * 65, *map(str, range(20))])
    assert one.faults == ("电" * 64, *map(str, range(15)))
    assert one.notes == ("faults_cut",)


@pytest.mark.parametrize(("odd", "kept"), [("open", ()), ([5, "open", None], ("open",)), ({}, ()), (5, ())])
def test_of_faults_that_are_no_texts_those_that_are_count(odd: Any, kept: tuple[str, ...]) -> None:
    one = reading(faults=odd)
    assert (one.faults, one.notes) == (kept, ("bad_faults",))


@pytest.mark.parametrize("odd", ["true", 1, "yes", []])
def test_what_is_not_clearly_a_test_is_real(odd: Any) -> None:
    one = reading(test=odd)
    assert (one.test, one.notes) == (False, ("bad_test",))


@pytest.mark.parametrize("odd", ["toaster", None, 5, ["electrical_monitor"]])
def test_a_kind_that_nobody_knows_is_noted_and_the_report_counts(odd: Any) -> None:
    one = reading(device_kind=odd)
    assert (one.device_kind, one.notes) == (UNKNOWN_KIND, ("unknown_device_kind",))


@pytest.mark.parametrize("name", ["tempp_c", "residual_current_a", "leakage", "current_ma"])
def test_a_quantity_that_nobody_knows_is_told(name: str) -> None:
    assert reading(**{name: [61.5]}).notes == (f"unknown_quantity:{name}",)


def test_a_number_under_the_name_of_a_quantity_is_told_and_a_vendors_own_field_is_not() -> None:
    odd = {"leakage_ma": 5, "fw_v": 3, "firmware": 7, "model": "X_c", "ids": ["a"], "rssi": -80, "inner": {"temp_c": 5}}
    assert reading(**odd).notes == ("unknown_quantity:leakage_ma",)


def test_unknown_quantities_are_named_shortly_and_no_more_than_four_of_them() -> None:
    one = reading(**{f"a{number} \n" + "x" * 80: [1] for number in range(9)})
    assert one.notes == tuple(f"unknown_quantity:a{number}??" + "x" * 36 for number in range(4))


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({"components": 12}, False),
        ({"components": 11}, True),
        ({"components": "12"}, True),
        ({"components": -2}, True),
        ({"components": 2**64 - 1}, True),
        ({"current_a": [1, 2]}, True),
        ({"current_a": [1, 2], "device_kind": "smoke_detector"}, False),
        ({"current_a": []}, False),
    ],
)
def test_arrays_that_differ_from_what_is_stated_or_from_each_other_are_noted_and_count(
    fields: dict[str, Any], differs: bool
) -> None:
    one = reading(**fields)
    assert one.notes == (("components_differ",) if differs else ())
    assert one.quantities["voltage_v"] == [229.1, 230.4, 228.8]


# Clocks.


@pytest.mark.parametrize(
    ("event_ts", "note"),
    [
        (740, "clock_behind"),
        (946_684_800_000, "clock_behind"),
        (T0 - 1024 * 7 * DAY_MS, "clock_behind"),
        (T0 - 180 * DAY_MS - 1, "clock_behind"),
        (T0 + 300_001, "clock_ahead"),
        (T0 + 2 * DAY_MS, "clock_ahead"),
        (2**63 - 1, "clock_ahead"),
        (-5, "clock_behind"),
        (None, "no_clock"),
        ("2026-09-21", "no_clock"),
        (True, "no_clock"),
        ([T0], "no_clock"),
    ],
)
def test_a_clock_that_is_not_credible_is_judged_by_arrival_and_noted(event_ts: Any, note: str) -> None:
    one = reading(event_ts=event_ts)
    assert (one.ts, one.by_arrival, one.notes) == (T0, True, (note,))
    assert one.quantities["residual_current_ma"] == [61.5]


@pytest.mark.parametrize("event_ts", [T0 - 180 * DAY_MS, T0 - 8 * 3_600_000, T0 - 1, T0, float(T0 - 1)])
def test_a_credible_time_is_used(event_ts: float) -> None:
    one = reading(event_ts=event_ts)
    assert (one.event_ts, one.ts, one.by_arrival, one.notes) == (event_ts, event_ts, False, ())


@pytest.mark.parametrize("ahead", [1, 300_000])
def test_a_clock_a_little_ahead_is_used_but_judged_at_its_arrival(ahead: int) -> None:
    one = reading(event_ts=T0 + ahead)
    assert (one.event_ts, one.ts, one.by_arrival, one.notes) == (T0 + ahead, T0, False, ())


@pytest.mark.parametrize(
    ("sent", "unit"),
    [((T0 - 500) // 1000, "seconds"), ((T0 - 500) * 1000, "microseconds"), ((T0 - 500) * 1_000_000, "nanoseconds")],
)
def test_a_time_in_another_unit_is_read_in_it_and_the_unit_told(sent: int, unit: str) -> None:
    one = reading(event_ts=sent)
    assert one.ts == (T0 - 1000 if unit == "seconds" else T0 - 500)
    assert (one.by_arrival, one.notes) == (False, (f"clock_in_{unit}",))


@pytest.mark.parametrize("event_ts", [2**62, 2**63, 2**64 - 1, -(2**63), 1e300, -1e300])
def test_any_number_is_a_time_that_a_column_can_hold(event_ts: float) -> None:
    assert -2_208_988_800_000 <= reading(event_ts=event_ts).event_ts <= 9_223_372_036_854


# Rejects.


REASONS: list[tuple[str, bytes | None, str]] = [
    ("empty_record", None, "has no value"),
    ("empty_record", b"", "has no value"),
    ("empty_record", b"[]", "holds no report"),
    ("record_too_large", b" " * (MAX_RECORD_BYTES + 1), "at most 1048576"),
    ("not_json", b"{", "not valid JSON"),
    ("not_json", b"\xff\xfe", "not valid JSON"),
    ("not_json", b"NaN,", "not valid JSON"),
    ("not_json", b'{"a":NaN,"b":"\\ud800"}', "not valid JSON"),
    ("not_json", '{"device_id":"电"}'.encode("gb18030"), "GB 18030, not UTF-8"),
    ("not_a_report", b"17", "got int"),
    ("not_a_report", b"null", "got NoneType"),
    ("not_a_report", b"[17]", "got int"),
    ("too_many_reports", b"[" + b",".join([b"{}"] * 1_001) + b"]", "1001 reports"),
    ("missing_field", b"{}", "v is required"),
    ("missing_field", changed(v=None), "v is required"),
    ("missing_field", changed(device_id=None), "device_id is required"),
    ("wrong_type", changed(v=True), "got bool 'True'"),
    ("wrong_type", changed(v="1"), "got str '1'"),
    ("wrong_type", changed(v=[1]), "got list"),
    ("wrong_type", changed(device_id=5), "got int '5'"),
    ("unknown_version", changed(v=2), "version 2"),
    ("bad_device_id", changed(device_id="a b"), "without spaces"),
    ("bad_device_id", changed(device_id=""), "1 to 64"),
    ("bad_device_id", changed(device_id="x" * 65), "1 to 64"),
    ("bad_device_id", changed(device_id="a\x00"), "printable"),
]


@pytest.mark.parametrize(("reason", "value", "says"), REASONS, ids=[f"{n}-{one[0]}" for n, one in enumerate(REASONS)])
def test_every_reason_has_its_example_says_what_to_do_and_keeps_the_bytes(
    reason: str, value: bytes | None, says: str
) -> None:
    good = orjson.dumps(MONITOR)
    reports, (reject,) = decode(records_of([good, value, good]))
    assert (len(reports.good), reject.fault.reason, reject.offset) == (2, reason, 11)
    assert says in reject.fault.detail
    assert reject.value == (b"{}" if value == b"[17]" else value) or reject.value == b"17"
    assert (reject.key, list(reject.headers)) == (b"LY-1", [("gateway", b"G1")])
    assert (reject.reports, reject.cut) == (1, -1)


def test_a_record_without_a_key_is_rejected() -> None:
    good = orjson.dumps(MONITOR)
    reports, (reject,) = decode(records_of([good, good], [b"LY", None]))
    assert (len(reports), reject.fault.reason, reject.offset) == (1, "null_key", 11)


def test_one_bad_report_of_an_array_is_rejected_by_itself() -> None:
    bad = {**MONITOR, "v": 2}
    reports, (reject,) = decode(records_of([orjson.dumps([MONITOR, bad, MONITOR])]))
    assert reports.good.index.tolist() == [0, 2]
    assert (reject.index, reject.value) == (1, orjson.dumps(bad))


def test_a_rejected_report_still_says_that_its_device_talks() -> None:
    bad = [{**MONITOR, "v": 2}, {"device_id": "LY-2"}, {"v": 1, "device_id": "a b"}, {"v": 1}, 17]
    reports, rejects = decode(records_of([orjson.dumps(bad)]))
    assert rows_of(reports) == [(10, 0, "LY-000123", "rejected"), (10, 1, "LY-2", "rejected")]
    assert sum(reject.reports for reject in rejects) == 5
    assert (reports.quantities, reports.faults, reports.notes) == ({}, {}, {})


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"17", b" " * (MAX_RECORD_BYTES + 1)])
def test_a_rejected_record_says_that_the_device_its_key_names_talks(value: bytes | None) -> None:
    reports, (reject,) = decode(records_of([value], ["电-1".encode()]))
    assert rows_of(reports) == [(10, -1, "电-1", "rejected")]
    assert reject.index == -1


@pytest.mark.parametrize("key", [b"\xff", b"a b", b"x" * 65, b""])
def test_a_key_that_names_no_device_says_nothing(key: bytes) -> None:
    reports, (reject,) = decode(records_of([b"{"], [key]))
    assert (len(reports), reject.fault.reason) == (0, "not_json")


def test_the_kinds_known_are_the_codes_of_the_columns() -> None:
    for kind, code in KIND_CODES.items():
        assert reading(device_kind=kind).device_kind == code
