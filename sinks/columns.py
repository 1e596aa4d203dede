"""Columns of blocks, and what one does with them: keep some rows, or join the columns of several blocks.

Four kinds, each kept as it is from decoding to the wire:

- a numpy array: numbers, bool, times as int64 at the table's scale. NaN is NULL where the table has Nullable, and of
  whole numbers what is masked; shape (n, 2) of uint64 is a UUID, high half first.
- `Labels`: a text of few values, as codes into a short list of names.
- `schemas.reports.Ragged`: an array of numbers a row, NaN is NULL.
- any other sequence: str, bytes, None, or sequences of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, compress
from typing import Any, Final, cast, get_type_hints
from uuid import UUID

import numpy as np
from msgspec import Struct

from schemas.reports import Ragged


@dataclass(frozen=True, slots=True)
class Labels:
    """Row i is the text `names[codes[i]]`."""

    codes: np.ndarray
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.codes)


Column = np.ndarray | Labels | Ragged | Sequence[Any]
_DTYPES: Final = {int: np.int64, float: np.float64, bool: np.bool_, float | None: np.float64}


def columns_of(kind: type[Struct], events: Sequence[Any]) -> dict[str, Column]:
    """A column a field of events of a kind, but for the version: arrays of numbers, lists of all else."""
    columns = {name: [getattr(event, name) for event in events] for name in _types(kind) if name != "v"}
    # None becomes NaN in an array of floats.
    return {
        name: values if (dtype := _DTYPES.get(_types(kind)[name])) is None else np.array(values, dtype=dtype)
        for name, values in columns.items()
    }


@cache
def _types(kind: type[Struct]) -> dict[str, Any]:
    """Field by field its type, without what else it says of the values."""
    return get_type_hints(kind)


def constant(name: str, rows: int) -> Labels:
    """The same text in every row."""
    return Labels(np.zeros(rows, dtype=np.int64), (name,))


def uuids(value: UUID, rows: int) -> np.ndarray:
    """The same UUID in every row, uint64[rows, 2]."""
    halves = np.array([[value.int >> 64, value.int & (2**64 - 1)]], dtype=np.uint64)
    return np.repeat(halves, rows, axis=0)


def keep(column: Column, rows: np.ndarray) -> Column:
    """The rows of a column where the mask, bool[n], is true. Rows of a `Ragged` begin at 0 again."""
    if isinstance(column, np.ndarray):
        kept: np.ndarray = column[rows]  # with its mask, if it has one
        return kept
    if isinstance(column, Labels):
        return Labels(column.codes[rows], column.names)
    if isinstance(column, Ragged):
        return column.only(rows)
    return list(compress(column, rows))


def join(columns: Sequence[Column]) -> Column:
    """The rows of several columns of one kind, one after the other."""
    first = columns[0]
    if isinstance(first, np.ma.MaskedArray):
        joined: np.ndarray = np.ma.concatenate(columns)  # type: ignore[no-untyped-call]
        return joined
    if isinstance(first, np.ndarray):
        return np.concatenate(cast("Sequence[np.ndarray]", columns))
    if isinstance(first, Labels):
        return _join_labels(cast("Sequence[Labels]", columns))
    if isinstance(first, Ragged):
        return Ragged.joined(cast("Sequence[Ragged]", columns))
    return list(chain.from_iterable(cast("Sequence[Sequence[Any]]", columns)))


def _join_labels(columns: Sequence[Labels]) -> Labels:
    codes: dict[str, int] = {}
    for name in chain.from_iterable(column.names for column in columns):
        codes.setdefault(name, len(codes))
    joined = [np.array([codes[name] for name in column.names], dtype=np.int64)[column.codes] for column in columns]
    return Labels(np.concatenate(joined), tuple(codes))
