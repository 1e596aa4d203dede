"""Where a block of the Native format ends.

A block carries no length, so to pass its bytes on unread one must know how far each column
reaches. Columns of fixed width are one multiplication; strings are walked, length by length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from embedded.clickhouse.errors import NOT_IMPLEMENTED, ProtocolError, ServerError
from embedded.clickhouse.wire import Cursor, string, varint

BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""Not overflows, no bucket: what precedes every block on the wire and no block in `Native`."""

_MAX_COLUMNS = 10_000  # ClickHouse itself slows to a crawl long before.

_WIDTH_BYTES = {
    "Bool": 1, "Nothing": 1, "Enum8": 1, "Int8": 1, "UInt8": 1,
    "BFloat16": 2, "Date": 2, "Enum16": 2, "Int16": 2, "UInt16": 2,
    "Date32": 4, "DateTime": 4, "Float32": 4, "IPv4": 4, "Int32": 4, "Time": 4, "UInt32": 4,
    "DateTime64": 8, "Float64": 8, "Int64": 8, "Time64": 8, "UInt64": 8,
    "IPv6": 16, "Int128": 16, "UInt128": 16, "UUID": 16,
    "Int256": 32, "UInt256": 32,
}  # fmt: skip

_DECIMAL_WIDTH_BYTES = ((9, 4), (18, 8), (38, 16), (76, 32))  # up to this precision: this width

_LOW_CARDINALITY_PREFIX_BYTES = 8  # The version of the dictionary's serialization.
_INDEX_WIDTH_MASK = 0xFF
_TYPE = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)


@dataclass(frozen=True)
class ColumnLayout:
    """How values of a type lie in a column: prefixes of all parts first, then the values."""

    prefix_bytes: int
    skip: Callable[[Cursor, int], None]


@dataclass(frozen=True)
class Shape:
    """The size of a block."""

    columns: int
    rows: int


@dataclass(frozen=True)
class ColumnHeader:
    """A column's name and ClickHouse type."""

    name: str
    type: str


@lru_cache(maxsize=1024)  # Types are few; the bound is for clients that invent them.
def layout(type_name: str) -> ColumnLayout:
    """Return how values of a ClickHouse type lie in a column, or raise `ServerError`."""
    found = _TYPE.fullmatch(type_name.strip())
    name, inner = (found[1], found[2] or "") if found else ("", "")
    if name in _WIDTH_BYTES:
        return _fixed(_WIDTH_BYTES[name])
    if name in _BUILDERS:
        return _BUILDERS[name](inner)
    if name.startswith("Interval"):
        return _fixed(8)
    raise ServerError(
        NOT_IMPLEMENTED,
        f"The embedded ClickHouse cannot receive values of the type {type_name}; "
        "send them as String and convert them with INSERT ... SELECT.",
    )


def skip_block(cursor: Cursor) -> Shape:
    """Step over one block (without BlockInfo) and return its size."""
    shape = _header(cursor)
    for _ in range(shape.columns):
        _skip_column(cursor, shape.rows)
    return shape


def skip_block_info(cursor: Cursor) -> None:
    """Step over the BlockInfo that precedes a block on the wire."""
    while field := cursor.varint():
        if field not in (1, 2):
            raise ProtocolError(f"BlockInfo has no field {field}")
        cursor.skip(1 if field == 1 else 4)


def split(data: bytes, expected_rows: int) -> list[bytes]:
    """Split a result of chDB into its blocks; it nearly always is one, and then is not walked."""
    if rows_in(data) == expected_rows:
        return [data]
    cursor, blocks = Cursor(data), []
    while cursor.position < len(data):
        start = cursor.position
        skip_block(cursor)
        blocks.append(data[start : cursor.position])
    return blocks


def rows_in(data: bytes) -> int:
    """Return the number of rows of a block."""
    return _header(Cursor(data[:20])).rows


def empty_block(columns: Sequence[ColumnHeader]) -> bytes:
    """Return a block of no rows: the header of a result, or the sample for an INSERT."""
    names = b"".join(string(column.name) + string(column.type) for column in columns)
    return varint(len(columns)) + varint(0) + names


def columns_in(data: bytes) -> list[ColumnHeader]:
    """Return the columns of a block, walking its values."""
    cursor = Cursor(data)
    shape = _header(cursor)
    return [_skip_column(cursor, shape.rows) for _ in range(shape.columns)]


def retype(data: bytes, columns: Sequence[ColumnHeader]) -> bytes:
    """Return a block with other type names over the same values."""
    cursor = Cursor(data)
    shape = _header(cursor)
    pieces = [data[: cursor.position]]
    for column in columns:
        cursor.string()
        old_type = cursor.string()
        start = cursor.position
        _skip_values(cursor, old_type, shape.rows)
        pieces += [string(column.name), string(column.type), data[start : cursor.position]]
    return b"".join(pieces)


def _header(cursor: Cursor) -> Shape:
    shape = Shape(columns=cursor.varint(), rows=cursor.varint())
    if shape.columns > _MAX_COLUMNS:
        raise ProtocolError(f"a block has {shape.columns} columns, more than {_MAX_COLUMNS}")
    return shape


def _skip_column(cursor: Cursor, rows: int) -> ColumnHeader:
    column = ColumnHeader(name=cursor.string(), type=cursor.string())
    _skip_values(cursor, column.type, rows)
    return column


def _skip_values(cursor: Cursor, type_name: str, rows: int) -> None:
    if rows:
        values = layout(type_name)
        cursor.skip(values.prefix_bytes)
        values.skip(cursor, rows)


def _fixed(width_bytes: int) -> ColumnLayout:
    return ColumnLayout(0, lambda cursor, rows: cursor.skip(rows * width_bytes))


def _skip_strings(cursor: Cursor, rows: int) -> None:
    """Walk `rows` strings: the one loop over values, hence its bareness."""
    buffer, position = cursor.buffer, cursor.position
    while rows:
        try:
            while rows:
                length = buffer[position]
                if length < 0x80:
                    position += length + 1
                else:
                    cursor.position = position
                    length = cursor.varint()
                    position = cursor.position + length
                rows -= 1
        except IndexError:
            # A string may reach past what has arrived: read up to where it ends, and on.
            cursor.position = position
            cursor.need(1)
    cursor.position = position
    cursor.need(0)


def _nullable(inner: ColumnLayout) -> ColumnLayout:
    def skip(cursor: Cursor, rows: int) -> None:
        cursor.skip(rows)  # a byte each: is it NULL?
        inner.skip(cursor, rows)

    return ColumnLayout(inner.prefix_bytes, skip)


def _array(inner: ColumnLayout) -> ColumnLayout:
    def skip(cursor: Cursor, rows: int) -> None:
        if rows:
            cursor.skip(8 * (rows - 1))
            inner.skip(cursor, cursor.uint64())  # the last offset is the number of elements

    return ColumnLayout(inner.prefix_bytes, skip)


def _tuple(inner: str) -> ColumnLayout:
    parts = [layout(_without_name(part)) for part in _parts(inner)]

    def skip(cursor: Cursor, rows: int) -> None:
        for part in parts:
            part.skip(cursor, rows)

    return ColumnLayout(sum(part.prefix_bytes for part in parts), skip)


def _low_cardinality(inner: str) -> ColumnLayout:
    nullable = re.fullmatch(r"Nullable\((.*)\)", inner)
    keys = layout(nullable[1] if nullable else inner)  # NULL is a key like any other here

    def skip(cursor: Cursor, rows: int) -> None:
        if rows:
            width_bytes = 1 << (cursor.uint64() & _INDEX_WIDTH_MASK)
            keys.skip(cursor, cursor.uint64())
            cursor.skip(cursor.uint64() * width_bytes)

    return ColumnLayout(_LOW_CARDINALITY_PREFIX_BYTES, skip)


def _decimal_width_bytes(precision: int) -> int:
    return next(width for limit, width in _DECIMAL_WIDTH_BYTES if precision <= limit)


def _parts(inner: str) -> list[str]:
    """Split at the commas outside parentheses and quotes."""
    parts, depth, start = [], 0, 0
    for found in re.finditer(r"'(?:[^'\\]|\\.)*'|[(),]", inner):
        match found[0]:
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case "," if depth == 0:
                parts.append(inner[start : found.start()].strip())
                start = found.end()
    return [*parts, inner[start:].strip()]


def _without_name(part: str) -> str:
    """Return the type of a tuple's element, which may be preceded by its name."""
    named = re.fullmatch(r"(?:`(?:[^`\\]|\\.)*`|\w+)\s+(\w.*)", part, re.DOTALL)
    return named[1] if named else part


_BUILDERS: dict[str, Callable[[str], ColumnLayout]] = {
    "Array": lambda inner: _array(layout(inner)),
    "Decimal": lambda inner: _fixed(_decimal_width_bytes(int(inner.split(",")[0]))),
    "FixedString": lambda inner: _fixed(int(inner)),
    "LowCardinality": _low_cardinality,
    "Map": lambda inner: _array(_tuple(inner)),
    "Nested": lambda inner: _array(_tuple(inner)),
    "Nullable": lambda inner: _nullable(layout(inner)),
    "SimpleAggregateFunction": lambda inner: layout(_parts(inner)[-1]),
    "String": lambda _: ColumnLayout(0, _skip_strings),
    "Tuple": _tuple,
}
