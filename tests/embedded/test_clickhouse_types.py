"""What goes in through clickhouse-driver comes out the same, as from a real server."""

from __future__ import annotations

import ipaddress
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from clickhouse_driver import Client
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.bufferedwriter import BufferedSocketWriter
from clickhouse_driver.streams.native import BlockOutputStream

from embedded.clickhouse import blocks
from embedded.clickhouse.wire import Cursor

_MOMENT = datetime(2026, 3, 1, 12, 30, 15, 123000, tzinfo=UTC)

ROUND_TRIPS: dict[str, list[Any]] = {
    "Int64": [-(2**63), 0, 2**63 - 1],
    "UInt8": [0, 255],
    "Float32": [1.5, -0.25],
    "Float64": [1e300, 0.1],
    "Bool": [True, False],
    "String": ["", "short", "x" * 127, "y" * 128, "漏电" * 20_000],
    "FixedString(4)": ["abcd", "wxyz"],
    "Nullable(String)": [None, "", "a"],
    "LowCardinality(String)": ["a", "b", "a", ""],
    "LowCardinality(Nullable(String))": [None, "b", None],
    "Array(LowCardinality(String))": [["a", "b"], [], ["a"]],
    "Array(Nullable(Float32))": [[1.0, None], [], [2.5]],
    "Array(Array(String))": [[["a"], []], [], [["b", "c" * 300]]],
    "Map(String, UInt32)": [{"a": 1}, {}, {"b": 2, "c": 3}],
    "Tuple(code UInt8, text String)": [(1, "a"), (2, "b")],
    "DateTime64(3, 'UTC')": [_MOMENT],
    "DateTime('UTC')": [_MOMENT.replace(microsecond=0)],
    "Date": [date(2026, 3, 1)],
    "Decimal(18, 3)": [Decimal("1.234"), Decimal("-5.000")],
    "Enum8('low' = 1, 'high, or (so)' = 2)": ["low", "high, or (so)"],
    "UUID": [uuid.UUID(int=2**127 + 1)],
    "IPv4": [ipaddress.IPv4Address("10.1.2.3")],
    "SimpleAggregateFunction(max, UInt64)": [7],
}


@pytest.mark.parametrize("kind", ROUND_TRIPS)
def test_a_value_comes_back_as_it_went_in(client: Client, kind: str) -> None:
    client.execute(f"CREATE TABLE t (i UInt32, v {kind}, z String) ENGINE = MergeTree ORDER BY i")
    rows = [(i, value, "end") for i, value in enumerate(ROUND_TRIPS[kind])]
    assert client.execute("INSERT INTO t (i, v, z) VALUES", rows) == len(rows)
    assert client.execute("SELECT i, v, z FROM t ORDER BY i") == rows


def test_an_array_column_of_only_empty_arrays_comes_back(client: Client) -> None:
    client.execute("CREATE TABLE t (v Array(LowCardinality(String)), z Int8) ENGINE = Memory")
    client.execute("INSERT INTO t VALUES", [([], 1), ([], 2)])
    assert client.execute("SELECT v, z FROM t") == [([], 1), ([], 2)]


def test_column_types_are_told_with_and_without_rows(client: Client) -> None:
    sql = "SELECT toDateTime(0, 'Asia/Shanghai') AS at, toLowCardinality('a') AS c WHERE {}"
    types = [("at", "DateTime('Asia/Shanghai')"), ("c", "LowCardinality(String)")]
    for condition in ("1", "0"):
        assert client.execute(sql.format(condition), with_column_types=True)[1] == types


def test_numpy_columns_are_inserted_and_read_back(connect: Callable[..., Client]) -> None:
    client = connect(use_numpy=True)
    client.execute(
        "CREATE TABLE t (event_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD),"
        " v Float32 CODEC(Gorilla, ZSTD), device LowCardinality(String),"
        " waves Array(Nullable(Float32))) ENGINE = MergeTree ORDER BY event_ts"
    )
    count = 50_000
    waves = np.empty(count, dtype=object)
    waves[:] = [[1.0, None, 2.0]] * count
    columns = [
        np.arange(count, dtype=np.int64) + 1_767_225_600_000,
        np.arange(count, dtype=np.float32),
        np.array(["a", "b"], dtype=object)[np.arange(count) % 2],
        waves,
    ]
    assert client.execute("INSERT INTO t VALUES", columns, columnar=True) == count
    found = client.execute(
        "SELECT toUnixTimestamp64Milli(event_ts), v, device FROM t ORDER BY event_ts",
        columnar=True,
    )
    for read, written in zip(found, columns, strict=False):
        np.testing.assert_array_equal(np.asarray(read), written)
    sums = client.execute("SELECT sum(length(waves)), sum(waves[3]) FROM t", columnar=True)
    assert [float(column[0]) for column in sums] == [3 * count, 2 * count]


class _Trickle(Cursor):
    """Bytes that arrive one at a time."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._rest = iter(data)

    def fill(self) -> None:
        self.buffer.append(next(self._rest))


@pytest.mark.parametrize("kind", ROUND_TRIPS)
def test_a_block_ends_where_it_ends_however_it_arrives(client: Client, kind: str) -> None:
    client.connection.force_connect()
    values = [value if len(str(value)) < 1000 else value[:200] for value in ROUND_TRIPS[kind]]
    names = ["i", "v", "z"]
    types = dict(zip(names, ("UInt32", kind, "String"), strict=True))
    columns = [list(range(len(values))), values, ["end"] * len(values)]
    block = ColumnOrientedBlock(list(types.items()), columns)
    sender, receiver = socket.socketpair()
    with receiver, receiver.makefile("rb") as received:
        with sender:
            writer = BufferedSocketWriter(sender, 1 << 16)
            BlockOutputStream(writer, client.connection.context).write(block)
        written = received.read()
    cursor = _Trickle(written + b"what follows")
    blocks.skip_block_info(cursor)
    assert blocks.skip_block(cursor) == blocks.Shape(columns=3, rows=len(values))
    assert cursor.position == len(written)


def test_several_blocks_make_one_insert(connect: Callable[..., Client]) -> None:
    client = connect(insert_block_size=1000)
    client.execute("CREATE TABLE t (v UInt32, s String) ENGINE = MergeTree ORDER BY v")
    client.execute("INSERT INTO t VALUES", [(i, str(i)) for i in range(10_500)])
    parts = "SELECT rows FROM system.parts WHERE table = 't' AND database = currentDatabase()"
    assert client.execute(parts) == [(10_500,)]


def test_a_result_of_many_blocks_is_whole(client: Client) -> None:
    sql = "SELECT number, toString(number) FROM numbers(300000)"
    rows = client.execute(sql, settings={"max_block_size": 10_000})
    assert rows == [(i, str(i)) for i in range(300_000)]
