"""One field of many reports at once: from its values as parsed to a column.

To judge a column as a whole costs a tenth of judging value after value. A reader takes a column as a whole or not at
all (then it returns None). A column that it does not take is read value by value, by the functions of
`schemas.report_rules` that define it. A field that is missing counts as null.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import accumulate, chain, pairwise
from operator import iconcat
from typing import Any, Final, NamedTuple

import numpy as np

from schemas.absences import Absences
from schemas.quantities import KIND_CODES, MAX_COMPONENTS, Quantity
from schemas.report_rules import (
    MAX_DEVICE_ID_LENGTH,
    MAX_FAULT_LENGTH,
    MAX_FAULTS,
    VERSION,
    Reason,
    is_device_id,
    judge,
    read_number,
)

_NULL: Final = type(None)
TakeNote = Callable[[int, str], None]
"""Takes a note down of the report of that number."""


def good_versions(values: Sequence[Any]) -> np.ndarray:
    """Where the version is the one there is, bool[n]."""
    if _types_of(values) <= {int} and values.count(VERSION) == len(values):
        return np.ones(len(values), np.bool_)
    return np.array([type(value) is int and value == VERSION for value in values], np.bool_)


def good_ids(values: Sequence[Any]) -> np.ndarray:
    """Where the device id is one, bool[n]."""
    try:
        together = "".join(values)
    except TypeError:
        together = " "
    lengths_fit = all(values) and max(map(len, values), default=0) <= MAX_DEVICE_ID_LENGTH if together != " " else False
    if lengths_fit and together.isprintable() and " " not in together:
        return np.ones(len(values), np.bool_)
    return np.array([type(value) is str and is_device_id(value) for value in values], np.bool_)


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


def integers(values: Sequence[Any]) -> np.ndarray | None:
    """Integers as int64[n]."""
    if not _types_of(values) <= {int}:
        return None
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        return None


def sequences(values: Sequence[Any]) -> np.ndarray | None:
    """Sequence numbers as uint64[n], 0 where there is none."""
    types = _types_of(values)
    if not types <= {int, _NULL}:
        return None
    try:
        return np.array([value or 0 for value in values] if _NULL in types else values, dtype=np.uint64)
    except OverflowError:
        return None


def flags(values: Sequence[Any]) -> np.ndarray | None:
    """Bool[n], false where there is none."""
    types = _types_of(values)
    if types <= {_NULL}:
        return np.zeros(len(values), dtype=np.bool_)
    return np.array(values, dtype=np.bool_) if types <= {bool, _NULL} else None


def faults(values: Sequence[Any]) -> dict[int, tuple[str, ...]] | None:
    """The faults of those reports that have any."""
    if not _types_of(values) <= {list, _NULL}:
        return None
    found = {report: tuple(some) for report, some in enumerate(values) if some} if any(values) else {}
    texts = list(chain.from_iterable(found.values()))
    if not _types_of(texts) <= {str} or max(map(len, texts), default=0) > MAX_FAULT_LENGTH:
        return None
    return found if max(map(len, found.values()), default=0) <= MAX_FAULTS else None


class Marks(NamedTuple):
    """m components that have no value, or none yet, as arrays, in the order of report, quantity and component.

    `report` is the number of the report, `quantity` a code, `reason` a `Reason`; `value` is what stands
    instead of the value, NaN where that is no number.
    """

    report: np.ndarray
    quantity: np.ndarray
    component: np.ndarray
    reason: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> Marks:
        """All of the parts, put in order."""
        if not parts:
            return NO_MARKS
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.lexsort((columns[2], columns[1], columns[0]))
        return cls._make(column[order] for column in columns)

    def of_reports(self, begin: int, end: int) -> Marks:
        """Those of the reports `begin` to `end`, that one not included, counted from `begin`."""
        first, last = np.searchsorted(self.report, (begin, end)).tolist()
        part = Marks._make(column[first:last] for column in self)
        return part._replace(report=part.report - begin)

    def where(self, kept: np.ndarray, number: np.ndarray) -> Marks:
        """Those of the reports where `kept`, which are `number` from now on."""
        held = kept[self.report]
        part = Marks._make(column[held] for column in self)
        return part._replace(report=number[part.report])


NO_MARKS: Final = Marks._make([*(np.empty(0, np.int64) for _ in range(4)), np.empty(0)])


class Arrays(NamedTuple):
    """The values of q quantities in n reports, one quantity after the other.

    `counts`, uint8[q, n], is how many a report has. `values` is float64, NaN where a component is absent; those of
    quantity k are `begins[k]:begins[k + 1]`, and among them those of report i are `starts[k, i]:starts[k, i + 1]`.
    """

    quantities: Sequence[Quantity]
    counts: np.ndarray
    starts: np.ndarray
    begins: Sequence[int]
    values: np.ndarray

    def whose(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The number among `quantities`, the report and the component of values, by their indices in `values`."""
        counts = self.counts.ravel()
        ends = counts.cumsum(dtype=np.int64)
        run = np.searchsorted(ends, indices, side="right")
        which, report = np.divmod(run, self.counts.shape[1])
        return which, report, indices - (ends - counts)[run]


def arrays(
    quantities: Sequence[Quantity], columns: Sequence[Sequence[Any]], size: int, note: TakeNote
) -> tuple[Arrays, list[tuple[int, Reason]]]:
    """The arrays of some quantities of `size` reports as they are; and by index in `values` what in them is no
    number."""
    lists = _lists(columns)
    lengths = None if lists is None else _lengths(lists)
    values, odd = _floats(reduce(iconcat, lists, [])) if lengths is not None and lists is not None else (None, [])
    if values is None or lengths is None or (odd and not _types_of(lists or ()) <= {list, tuple}):
        lists = [
            _as_list(quantity, value, report, note)
            for quantity, column in zip(quantities, columns, strict=True)
            for report, value in enumerate(column)
        ]
        lengths = bytes(map(len, lists))
        values, odd = _floats(reduce(iconcat, lists, []))
    counts = np.frombuffer(lengths, np.uint8).reshape(len(columns), size)
    starts = np.zeros((len(columns), size + 1), dtype=np.int64)
    counts.cumsum(axis=1, dtype=np.int64, out=starts[:, 1:])
    begins = [0, *accumulate(starts[:, -1].tolist())]
    return Arrays(quantities, counts, starts, begins, values), odd


def mark(
    found: Arrays, odd: Sequence[tuple[int, Reason]], kinds: np.ndarray, device_ids: Sequence[str], absences: Absences
) -> Marks:
    """Find the values that are none, put NaN in their place, and say which they are. Zero offsets become 0."""
    parts = [_marks(found, np.array([index]), reason, np.array([np.nan])) for index, reason in odd]
    for k, (begin, end) in enumerate(pairwise(found.begins)):
        absent = found.quantities[k].absent
        if begin < end and absent is not None:
            part = found.values[begin:end]
            at = (part == absent).nonzero()[0]
            if len(at):
                part[at] = np.nan
                parts.append(_marks(found, at + begin, Reason.NOT_FITTED, np.full(len(at), absent)))
    unusual = _unusual(found, absences)
    if len(unusual):
        for index, k, report in zip(unusual.tolist(), *(one.tolist() for one in found.whose(unusual)[:2]), strict=True):
            value = float(found.values[index])
            found.values[index], reason = _judged(
                found.quantities[k], value, int(kinds[report]), device_ids[report], absences
            )
            if reason is not None:
                told = np.nan if reason is Reason.NOT_FINITE else value
                parts.append(_marks(found, np.array([index]), reason, np.array([told])))
    return Marks.of(parts)


def _judged(
    quantity: Quantity, value: float, kind: int, device_id: str, absences: Absences
) -> tuple[float, Reason | None]:
    """What counts in the place of a value, and why it is none, if it is none."""
    if not math.isfinite(value):
        return math.nan, Reason.NOT_FINITE
    reason = judge(quantity, value, kind, device_id, absences)
    if reason not in (None, Reason.POWER_ON):
        return math.nan, reason
    return max(value, 0.0) if quantity.zero_from else value, reason


def _marks(
    found: Arrays, indices: np.ndarray, reason: Reason, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    which, report, component = found.whose(indices)
    codes = np.array([quantity.code for quantity in found.quantities])[which]
    return report, codes, component, np.full(len(indices), reason, np.int64), values


def _unusual(found: Arrays, absences: Absences) -> np.ndarray:
    """The indices in `values` of those outside the range in which none is special."""
    held = [(k, begin, end) for k, (begin, end) in enumerate(pairwise(found.begins)) if begin < end]
    if not held:
        return np.empty(0, np.int64)
    first = [begin for _, begin, _ in held]
    least, most = np.fmin.reduceat(found.values, first).tolist(), np.fmax.reduceat(found.values, first).tolist()
    indices = []
    for (k, begin, end), low, high in zip(held, least, most, strict=True):
        lowest, highest = absences.usual[found.quantities[k].name]
        # All of a quantity may be absent: NaN is neither below nor above.
        if low < lowest or high > highest:
            part = found.values[begin:end]
            indices.append(((part < lowest) | (part > highest)).nonzero()[0] + begin)
    return np.concatenate(indices) if indices else np.empty(0, np.int64)


def _lists(columns: Iterable[Sequence[Any]]) -> list[Any] | None:
    """All columns in one, an empty array where there is none; None where something is neither.

    A text or an object that is not empty is left to `_floats`: what is in it are texts, which are no numbers.
    """
    lists: list[Any] = []
    for column in columns:
        if all(column):
            lists += column
            continue
        if not _types_of(column) <= {list, _NULL}:
            return None
        lists += [() if array is None else array for array in column]
    return lists


def _lengths(lists: Sequence[Any]) -> bytes | None:
    """How many values each has; None where one is no array or too long."""
    try:
        lengths = bytes(map(len, lists))
    except (TypeError, ValueError):  # no array, or one of more than 255
        return None
    return lengths if max(lengths, default=0) <= MAX_COMPONENTS else None


def _as_list(quantity: Quantity, value: Any, report: int, note: TakeNote) -> Sequence[Any]:
    """As `report_rules.read_values` reads it."""
    if value is None:
        return ()
    if type(value) is not list:
        note(report, f"no_array:{quantity.name}")
        value = [value] if type(value) in (int, float) else []
    if len(value) > MAX_COMPONENTS:
        note(report, f"too_many_components:{quantity.name}")
    return value[:MAX_COMPONENTS]  # type: ignore[no-any-return]


def _floats(numbers: list[Any]) -> tuple[np.ndarray, list[tuple[int, Reason]]]:
    """As float64, NaN where there is no number, and the indices of what is none though it is not null."""
    found = np.empty(len(numbers))
    try:
        # Three times as fast as numpy's own conversion, which would also take texts for numbers.
        struct.pack_into(f"{len(numbers)}d", found.data, 0, *numbers)
    except (struct.error, OverflowError):
        return _floats_one_by_one(numbers, found)
    # What it takes though it is no number are true and false.
    zeros_and_ones = ((found == 0.0) | (found == 1.0)).nonzero()[0]
    if bool in {type(numbers[index]) for index in zeros_and_ones.tolist()}:
        return _floats_one_by_one(numbers, found)
    return found, []


def _floats_one_by_one(numbers: Sequence[Any], found: np.ndarray) -> tuple[np.ndarray, list[tuple[int, Reason]]]:
    odd = []
    values: list[float] = []
    for index, number in enumerate(numbers):
        if type(number) is float:
            values.append(number)
            continue
        value, reason = read_number(number)
        values.append(value)
        if reason is not None:
            odd.append((index, reason))
    found[:] = values
    return found, odd


def _types_of(values: Iterable[Any]) -> set[type]:
    return set(map(type, values))
