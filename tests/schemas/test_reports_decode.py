"""`decode` says of whole chunks what `report_rules.read` says of each report, loses nothing, and never raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from schemas.quantities import BY_NAME
from schemas.report_fields import faults, flags, integers, kind_codes, sequences
from schemas.report_rejects import Reject
from schemas.report_rules import Reading, read
from schemas.reports import Reports, decode, decoded
from tests.schemas.given_records import (
    MONITOR,
    ODD,
    PILE,
    SMOKE,
    T0,
    chunks,
    mutants,
    records_of,
    row_of,
    rows_of,
    said,
    shapes,
)

PROFILE = settings(
    max_examples=200, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
KEYS: list[bytes | None] = [b"LY-1", b"LY-1", None, b"", b"a b", b"\xff", b"x" * 65, "电-1".encode()]


@PROFILE
@given(values=chunks, keys=st.lists(st.sampled_from(KEYS), min_size=6, max_size=6))
def test_decode_says_of_each_report_what_read_says_of_it(values: list[bytes | None], keys: list[bytes | None]) -> None:
    records = records_of(values, keys[: len(values)])
    reports, rejects = decode(records)
    rows, rejected = said(records)
    assert rows_of(reports) == rows
    assert_told(rejects, rejected)
    occur = {name for row in rows if row[3] == "read" for name in row[11]}
    assert list(reports.quantities) == [name for name in BY_NAME if name in occur]


def assert_told(rejects: Sequence[Reject], rejected: Sequence[tuple[int, int, object]]) -> None:
    """Each rejected report is told by a reject of its own, or by the last one of its record that stands for several."""
    waiting = iter(rejected)
    for reject in rejects:
        assert (reject.offset, reject.index) == (first := next(waiting))[:2]
        assert reject.fault == first[2] or reject.value is None
        for _ in range(reject.reports - 1):
            assert next(waiting)[0] == reject.offset
    assert not list(waiting)


@PROFILE
@given(values=chunks, part_bytes=st.integers(1, 1_500))
def test_a_chunk_decoded_in_parts_is_what_it_is_as_a_whole(values: list[bytes | None], part_bytes: int) -> None:
    records = records_of(values)
    whole, rejects = decode(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("schemas.reports.PART_BYTES", part_bytes)
        parts, rejects_of_parts = decode(records)
        each = list(decoded(records))
    assert rows_of(parts) == rows_of(whole)
    assert list(parts.quantities) == list(whole.quantities)
    assert rejects_of_parts == rejects
    assert [row for reports, _ in each for row in rows_of(reports)] == rows_of(whole)


@PROFILE
@given(report=mutants())
def test_a_report_alone_is_what_it_is_among_neighbours_and_harms_none(report: Any) -> None:
    value, good = orjson.dumps([report]), orjson.dumps(MONITOR)
    alone, rejects_alone = decode(records_of([None, value]))
    among, rejects = decode(records_of([good, value, good]))
    clean, _ = decode(records_of([good]))
    first, *between, last = rows_of(among)
    assert between == rows_of(alone)[1:]
    assert rejects == rejects_alone[1:]
    assert first == rows_of(clean)[0]
    assert last[2:] == first[2:]


@PROFILE
@given(values=chunks, cuts=st.tuples(st.integers(0, 20), st.integers(0, 20)), kept=st.integers(0, 2**20))
def test_reports_cut_chosen_and_joined_keep_all_that_is_theirs(
    values: list[bytes | None], cuts: tuple[int, int], kept: int
) -> None:
    reports, _ = decode(records_of(values))
    rows, (begin, end) = rows_of(reports), sorted(min(cut, len(reports)) for cut in cuts)
    assert rows_of(reports.between(begin, end)) == rows[begin:end]
    parts = reports.between(0, begin), reports.between(begin, end), reports.between(end, len(reports))
    assert rows_of(Reports.joined(parts)) == rows
    chosen = np.array([kept >> number & 1 == 1 for number in range(len(reports))], np.bool_)
    assert rows_of(reports.only(chosen)) == [row for row, one in zip(rows, chosen, strict=True) if one]
    assert rows_of(reports.good) == [row for row in rows if row[3] == "read"]


@PROFILE
@given(shape=shapes())
def test_a_report_of_any_shape_is_read(shape: dict[str, Any]) -> None:
    assert isinstance(read(shape, T0), Reading)


@pytest.mark.parametrize(
    "first", [{}, {"v": 1}, {"v": 1, "smoke": [1]}, dict.fromkeys(map(str, range(500)), 1), MONITOR]
)
def test_whatever_the_first_report_holds_the_others_are_read_alike(first: dict[str, Any]) -> None:
    others = [PILE, MONITOR, SMOKE, MONITOR, PILE]
    reports, _ = decode(records_of(list(map(orjson.dumps, [first, *others]))))
    readings = [read(report, T0) for report in others]
    assert rows_of(reports)[-5:] == [
        row_of(11 + number, 0, one) for number, one in enumerate(readings) if isinstance(one, Reading)
    ]


def test_as_many_fields_with_other_names_are_other_fields() -> None:
    renamed = {"smoke" if field == "arc_half_cycles" else field: value for field, value in MONITOR.items()}
    reports, _ = decode(records_of([orjson.dumps(report) for report in (MONITOR, renamed, MONITOR)]))
    assert reports.quantities["smoke"].counts.tolist() == [0, 1, 0]
    assert reports.quantities["arc_half_cycles"].counts.tolist() == [1, 0, 1]


@pytest.mark.parametrize("reader", [kind_codes, integers, sequences, flags, faults])
def test_a_reader_takes_a_column_as_a_whole_only_where_it_takes_each_value(
    reader: Callable[[Sequence[Any]], Any],
) -> None:
    taken = [value for value in ODD if reader([value]) is not None]
    assert taken
    assert reader(taken) is not None
    for value in ODD:
        if reader([value]) is None:
            assert reader([*taken, value]) is None


@PROFILE
@given(values=st.lists(st.none() | st.binary(max_size=20) | st.just(orjson.dumps(MONITOR)), max_size=5))
def test_any_bytes_are_answered_and_none_raises(values: list[bytes | None]) -> None:
    records = records_of(values)
    reports, rejects = decode(records)
    assert (rows_of(reports), [(one.offset, one.index, one.fault) for one in rejects]) == said(records)
    answered = {*reports.good.offset.tolist(), *(reject.offset for reject in rejects)}
    assert answered == set(range(10, 10 + len(values)))


@pytest.mark.parametrize("depth", [10, 200, 300, 900, 1_000, 1_020, 5_000, 400_000])
@pytest.mark.parametrize("field", ["unknown", "seq", "faults", "temperature_c", "device_id", "event_ts", "test"])
def test_deep_nesting_is_answered_and_does_not_raise(depth: int, field: str) -> None:
    nested = b"[" * depth + b"]" * depth
    text = orjson.dumps({**MONITOR, "v": 2, field: "@"}).replace(b'"@"', nested)
    lone = orjson.dumps({**MONITOR, field: "@"}).replace(b'"@"', nested)
    for value in (text, lone, b"[" + text + b"]", nested, lone + b"NaN"):
        reports, rejects = decode(records_of([value]))
        assert len(reports.good) + len(rejects) == 1


def test_an_empty_chunk_is_no_reports() -> None:
    reports, rejects = decode(records_of([]))
    assert (len(reports), rejects) == (0, [])
