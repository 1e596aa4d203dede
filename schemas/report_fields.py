"""One field of many reports at once: from its values as parsed to a column, or None if any of them is not good.

Judging a column as a whole costs a tenth of judging value after value. A reader takes a column exactly if it takes
each of its values alone, and those exactly where `fault_of` has nothing against them: so which rows are to blame can be
found by halving (`refused`), with the same rule. A field that is missing is None, as one that is null.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, chain, pairwise
from operator import iconcat
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from schemas.quantities import KIND_CODES, MAX_COMPONENTS, Quantity
from schemas.report_rules import (
    EARLIEST_EVENT_TS,
    MAX_DEVICE_ID_LENGTH,
    MAX_FAULT_LENGTH,
    MAX_FAULTS,
    MAX_SEQ,
    VERSION,
    fault_of_values,
)

T = TypeVar("T")

_NULL: Final = type(None)


def refused(values: Sequence[Any], reader: Callable[[Any], T | None], first: int = 0) -> Iterator[int]:
    """The rows that `reader` does not take, counted from `first`."""
    if reader(values) is not None:
        return
    if len(values) == 1:
        yield first
        return
    middle = len(values) // 2
    yield from refused(values[:middle], reader, first)
    yield from refused(values[middle:], reader, first + middle)


def versions(values: Sequence[Any]) -> Sequence[int] | None:
    """All of them the one version there is."""
    known = _types_of(values) <= {int} and values.count(VERSION) == len(values)
    return values if known else None


def device_ids(values: Sequence[Any]) -> list[str] | None:
    """The ids as they are."""
    try:
        together = "".join(values)
    except TypeError:
        return None
    lengths_fit = all(values) and max(map(len, values), default=0) <= MAX_DEVICE_ID_LENGTH
    return list(values) if lengths_fit and together.isprintable() and " " not in together else None


def kind_codes(values: Sequence[Any]) -> np.ndarray | None:
    """Codes of the kinds of device, int64[n]."""
    try:
        found = set(values)
    except TypeError:
        return None
    if not found <= KIND_CODES.keys():
        return None
    if len(found) == 1:
        return np.full(len(values), KIND_CODES[found.pop()], dtype=np.int64)
    return np.array([KIND_CODES[kind] for kind in values], dtype=np.int64)


def times(values: Sequence[Any]) -> np.ndarray | None:
    """Epoch milliseconds, int64[n], none before there were such devices."""
    found = _int64(values) if _types_of(values) <= {int} else None
    return None if found is None or np.count_nonzero(found < EARLIEST_EVENT_TS) else found


def integers(values: Sequence[Any]) -> np.ndarray | None:
    """Integers from 0 to `MAX_SEQ` as int64[n], -1 where there is none."""
    types = _types_of(values)
    if not types <= {int, _NULL}:
        return None
    missing = values.count(None) if _NULL in types else 0
    found = _int64([-1 if value is None else value for value in values] if missing else values)
    # Unsigned, what is below 0 is far above the most.
    if found is None or np.count_nonzero(found.view(np.uint64) > MAX_SEQ) != missing:
        return None
    return found


def flags(values: Sequence[Any]) -> np.ndarray | None:
    """Bool[n], false where there is none."""
    types = _types_of(values)
    if types <= {_NULL}:
        return np.zeros(len(values), dtype=np.bool_)
    return np.array(values, dtype=np.bool_) if types <= {bool, _NULL} else None


def faults(values: Sequence[Any]) -> dict[int, tuple[str, ...]] | None:
    """The faults of those rows that have any."""
    if not _types_of(values) <= {list, _NULL}:
        return None
    found = {row: tuple(some) for row, some in enumerate(values) if some} if any(values) else {}
    texts = list(chain.from_iterable(found.values()))
    if not _types_of(texts) <= {str} or max(map(len, texts), default=0) > MAX_FAULT_LENGTH:
        return None
    return found if max(map(len, found.values()), default=0) <= MAX_FAULTS else None


class Measured(NamedTuple):
    """The values of q quantities in n reports, one quantity after the other.

    `counts`, uint8[q, n], is how many a report has. `values` is float64, NaN where a component is absent; those of
    quantity k are `begins[k]:begins[k + 1]`, and among them those of report i are `starts[k, i]:starts[k, i + 1]`.
    """

    quantities: Sequence[Quantity]
    counts: np.ndarray
    starts: np.ndarray
    begins: Sequence[int]
    values: np.ndarray


def measured(quantities: Sequence[Quantity], columns: Sequence[Sequence[Any]], reports: int) -> Measured | None:
    """The arrays of some quantities."""
    arrays = _arrays(columns)
    if arrays is None:
        return None
    try:
        lengths = bytes(map(len, arrays))
    except (TypeError, ValueError):  # no array, or one of more than 255
        return None
    values = _floats(reduce(iconcat, arrays, []))
    if values is None or max(lengths, default=0) > MAX_COMPONENTS:
        return None
    counts = np.frombuffer(lengths, np.uint8).reshape(len(columns), reports)
    starts = np.zeros((len(columns), reports + 1), dtype=np.int64)
    counts.cumsum(axis=1, dtype=np.int64, out=starts[:, 1:])
    begins = [0, *accumulate(starts[:, -1].tolist())]
    return Measured(quantities, counts, starts, begins, values) if _possible(quantities, begins, values) else None


def impossible(quantity: Quantity, values: Sequence[Any]) -> list[int]:
    """The rows whose array `measured` does not take. Not by halving, for it is dear on few rows."""
    if measured([quantity], [values], len(values)) is not None:
        return []
    return [row for row, array in enumerate(values) if array is not None and fault_of_values(quantity, array)]


def _arrays(columns: Iterable[Sequence[Any]]) -> list[Any] | None:
    """All columns in one, an empty array where there is none.

    A text or an object that is not empty is left to `_floats`: what is in it are texts, which are no numbers.
    """
    arrays: list[Any] = []
    for column in columns:
        if all(column):
            arrays += column
            continue
        if not _types_of(column) <= {list, _NULL}:
            return None
        arrays += [() if array is None else array for array in column]
    return arrays


def _floats(numbers: Sequence[Any]) -> np.ndarray | None:
    """As float64; None if any is not a number."""
    found = np.empty(len(numbers))
    try:
        # Three times as fast as numpy's own conversion, which would also take texts for numbers.
        struct.pack_into(f"{len(numbers)}d", found.data, 0, *numbers)
    except (struct.error, OverflowError):
        return None
    # What it takes though it is no number are true and false.
    zeros_and_ones = ((found == 0.0) | (found == 1.0)).nonzero()[0]
    return None if bool in {type(numbers[place]) for place in zeros_and_ones.tolist()} else found


def _possible(quantities: Sequence[Quantity], begins: Sequence[int], values: np.ndarray) -> bool:
    """Whether all values are possible or absent; those that are absent are made NaN."""
    held = []
    for quantity, (begin, end) in zip(quantities, pairwise(begins), strict=True):
        if begin < end:
            held.append((quantity, begin))
            if quantity.absent is not None:
                part = values[begin:end]
                part[part == quantity.absent] = np.nan
    if not held:
        return True
    first = [begin for _, begin in held]
    least, most = np.fmin.reduceat(values, first).tolist(), np.fmax.reduceat(values, first).tolist()
    for (quantity, _), low, high in zip(held, least, most, strict=True):
        # All of a quantity may be absent: NaN is neither below nor above.
        if low < quantity.low or high > quantity.high:
            return False
    return True


def _int64(numbers: Sequence[int]) -> np.ndarray | None:
    try:
        return np.array(numbers, dtype=np.int64)
    except OverflowError:
        return None


def _types_of(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))
