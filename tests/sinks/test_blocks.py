"""Blocks: merging, cutting, dropping repeats; against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.positions import Position
from schemas.reports import Ragged
from sinks.blocks import drop_repeats, keep_rows, merge
from sinks.clickhouse.rows import BLOCKS, aggregates_block, rejects_block, telemetry_block
from sinks.clickhouse.writer import parts
from sinks.columns import Labels
from sinks.contract import Block
from tests.sinks.samples import JULY, TOPIC_ID, aggregate, aggregates, reject, rejects, report, telemetry

BlockRows = list[tuple[int, Position]]


def block_of(rows: BlockRows) -> Block:
    """Rows of (offset, position)."""
    columns = {
        "offset": np.array([offset for offset, _ in rows], dtype=np.int64),
        "generation": np.array([position[0] for _, position in rows], dtype=np.int64),
        "source_offset": np.array([position[1] for _, position in rows], dtype=np.int64),
        "source_ordinal": np.array([position[2] for _, position in rows], dtype=np.int64),
    }
    return Block("t", columns, len(rows))


def rows_of(block: Block) -> BlockRows:
    offset, *position = (np.asarray(block.columns[name]).tolist() for name in block.columns)
    return [(at, Position(one, two, three)) for at, one, two, three in zip(offset, *position, strict=True)]


def slowly(rows: BlockRows, position: Position | None) -> tuple[BlockRows, Position | None]:
    """The twin: record by record, row by row."""
    kept: BlockRows = []
    for offset in sorted({offset for offset, _ in rows}):
        record = [row for row in rows if row[0] == offset]
        if record[0][1][2] == -1:  # no position
            kept += record
        elif position is None or record[0][1] > position:
            position = record[0][1]
            kept += record
    return kept, position


positions = st.builds(Position, st.integers(0, 2), st.integers(0, 4), st.integers(-3, 3))
records_of_rows = st.lists(st.tuples(positions, st.integers(1, 3)), max_size=12)


def unfold(records: list[tuple[Position, int]]) -> BlockRows:
    return [(offset, position) for offset, (position, count) in enumerate(records) for _ in range(count)]


@given(records_of_rows, st.none() | positions)
def test_drop_repeats_equals_its_slow_twin(records: list[tuple[Position, int]], position: Position | None) -> None:
    rows = unfold(records)
    kept, new = drop_repeats(block_of(rows), position)
    assert (rows_of(kept), new) == slowly(rows, position)
    assert kept.rows == len(rows_of(kept))


@given(records_of_rows, st.integers(0, 12), st.none() | positions)
def test_drop_repeats_of_two_blocks_equals_that_of_one(
    records: list[tuple[Position, int]], split: int, position: Position | None
) -> None:
    rows = unfold(records)
    whole, last = drop_repeats(block_of(rows), position)
    first, between = drop_repeats(block_of([row for row in rows if row[0] < split]), position)
    second, end = drop_repeats(block_of([row for row in rows if row[0] >= split]), between)
    assert rows_of(first) + rows_of(second) == rows_of(whole)
    assert end == last


def test_rows_of_one_aggregate_stay_together_and_go_together() -> None:
    block = aggregates_block(aggregates(aggregate(), aggregate(), aggregate(source_ordinal=2)), TOPIC_ID)
    kept, position = drop_repeats(block, None)
    assert np.asarray(kept.columns["offset"]).tolist() == [100] * 3 + [102] * 3
    assert position == (0, 40, 2)


def test_rejects_repeat_by_their_index() -> None:
    block = rejects_block(
        rejects(reject(), reject(), reject(source_offset=42, source_index=0), reject(source_offset=42, source_index=7)),
        TOPIC_ID,
    )
    kept, position = drop_repeats(block, Position(0, 41, -1))
    assert np.asarray(kept.columns["source_index"]).tolist() == [0, 7]
    assert position == (0, 42, 7)


def test_a_merged_block_holds_the_rows_of_its_parts_whatever_quantities_they_have() -> None:
    blocks = [
        telemetry_block(telemetry(report(temperature_c=[1, -200, 3], faults=["a"]), report(), partition=1), TOPIC_ID),
        telemetry_block(telemetry(report(voltage_v=[220], seq=7), partition=2, first=5), TOPIC_ID),
    ]
    whole = merge(blocks)
    assert whole.rows == 3
    temperature, voltage = whole.columns["temperature_c"], whole.columns["voltage_v"]
    assert isinstance(temperature, Ragged)
    assert isinstance(voltage, Ragged)
    assert temperature.starts.tolist() == [0, 3, 3, 3]
    assert voltage.starts.tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(temperature.values, [1, np.nan, 3])
    assert whole.columns["faults"] == [("a",), (), ()]
    assert np.asarray(whole.columns["partition"]).tolist() == [1, 1, 2]


def test_merging_joins_dictionaries() -> None:
    one = Block("t", {"kind": Labels(np.array([0, 1]), ("a", "b"))}, 2)
    two = Block("t", {"kind": Labels(np.array([0, 1]), ("b", "c"))}, 2)
    joined = merge([one, two]).columns["kind"]
    assert isinstance(joined, Labels)
    assert [joined.names[code] for code in joined.codes] == ["a", "b", "b", "c"]


def test_blocks_of_different_tables_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different tables"):
        merge([Block("a", {}, 0), Block("b", {}, 0)])


def test_keeping_rows_does_not_change_the_block_it_was_given() -> None:
    block = telemetry_block(telemetry(report(temperature_c=[1, 2]), report(temperature_c=[3])), TOPIC_ID)
    kept = keep_rows(block, np.array([False, True]))
    temperature = kept.columns["temperature_c"]
    assert isinstance(temperature, Ragged)
    assert (temperature.starts.tolist(), temperature.values.tolist()) == ([0, 1], [3.0])
    assert (block.rows, len(block.columns["device_id"])) == (2, 2)  # type: ignore[arg-type]


def test_a_block_is_cut_where_the_month_changes_and_only_there() -> None:
    month_end = [JULY, JULY + 500, JULY + 1000, JULY + 999, JULY + 2000, JULY + 3000]
    block = telemetry_block(telemetry(*[report(event_ts=JULY)] * 6, timestamps=month_end), TOPIC_ID)
    assert [np.asarray(part.columns["offset"]).tolist() for part in parts(block)] == [
        [100, 101],
        [102],
        [103],
        [104, 105],
    ]


def test_a_part_too_long_for_one_insert_is_cut_between_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.clickhouse.writer.MAX_INSERT_ROWS", 4)
    block = aggregates_block(aggregates(*[aggregate(source_ordinal=n) for n in range(5)]), TOPIC_ID)
    offsets = [np.asarray(part.columns["offset"]).tolist() for part in parts(block)]
    assert offsets == [[100] * 3 + [101] * 3, [102] * 3, [103] * 3, [104] * 3]


def test_no_records_make_no_rows_and_no_parts() -> None:
    for topic, make in BLOCKS.items():
        block = make(telemetry()._replace(topic=topic), TOPIC_ID)
        assert (block.rows, list(parts(block)), drop_repeats(block, Position(0, 1, 1))[1]) == (0, [], (0, 1, 1))
