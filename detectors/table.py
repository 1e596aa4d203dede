"""State as arrays: one contiguous array for each field.

numpy gathers and scatters such arrays several times as fast as the fields of one structured array: those lie apart, and
in a packed array at odd addresses.
"""

from __future__ import annotations

import numpy as np

Index = np.ndarray | slice


class Table:
    """Entries with the fields of `dtype`, all 0 at first, each field an array of its own: `table["field"]`.

    There may be more entries than anyone has asked for.
    """

    def __init__(self, dtype: np.dtype, size: int = 0) -> None:
        self.dtype = dtype
        self._columns: dict[str, np.ndarray] = {}
        for name in dtype.names or ():
            base, shape = dtype[name].base, dtype[name].shape
            self._columns[name] = np.zeros((size, *shape), base)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def grow(self, size: int) -> None:
        """Have at least `size` entries. Arrays taken by name before are no longer those of the table."""
        for name, column in self._columns.items():
            self._columns[name] = grown(column, size)

    def copy(self, old: Index, new: Index) -> None:
        """Let the entries `new` be what the entries `old` are."""
        for column in self._columns.values():
            column[new] = column[old]

    def clear(self, which: Index) -> None:
        """Make entries 0 again."""
        for column in self._columns.values():
            column[which] = 0

    def packed(self, which: Index, dtype: np.dtype | None = None) -> np.ndarray:
        """Entries as one structured array, of all fields or of those of `dtype`."""
        wanted = dtype or self.dtype
        first, *_ = wanted.names or ()
        entries = np.empty(len(self._columns[first][which]), wanted)
        for name in wanted.names or ():
            entries[name] = self._columns[name][which]
        return entries

    def unpack(self, which: Index, entries: np.ndarray) -> None:
        """The reverse of `packed`: put a structured array into the entries `which`."""
        for name in entries.dtype.names or ():
            self._columns[name][which] = entries[name]


class Room:
    """Which entries are whose: runs of entries are handed out, and given back for others to use.

    Entry 0 is never handed out, so that 0 can stand for none. `used` is where those begin that never were.
    """

    def __init__(self) -> None:
        self.used = 1
        self._free: dict[int, list[int]] = {}

    def allot(self, sizes: np.ndarray) -> np.ndarray:
        """The first entry of a run of each of the sizes, which are 1 or more. int64[k] in and out."""
        first = np.zeros(len(sizes), np.int64)
        for size in set(sizes.tolist()) & self._free.keys():
            free, wanting = self._free[size], (sizes == size).nonzero()[0]
            kept = max(len(free) - len(wanting), 0)
            first[wanting[: len(free) - kept]] = free[kept:]
            del free[kept:]
        wanted = sizes * (first == 0)
        ends = self.used + np.cumsum(wanted)
        self.used += int(wanted.sum())
        return np.where(wanted > 0, ends - wanted, first)

    def release(self, first: np.ndarray, sizes: np.ndarray) -> None:
        """Take runs back."""
        for size in set(sizes.tolist()):
            self._free.setdefault(size, []).extend(first[sizes == size].tolist())


class Pool(Table):
    """A table whose entries are handed out in runs."""

    def __init__(self, dtype: np.dtype) -> None:
        super().__init__(dtype, 1)
        self.room = Room()

    def allot(self, sizes: np.ndarray) -> np.ndarray:
        """As `Room.allot`. What is in the entries is whatever was there before."""
        first = self.room.allot(sizes)
        self.grow(self.room.used)
        return first


def runs(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers of several runs, one after the other: `counts[i]` of them from `first[i]`. int64[counts.sum()]."""
    ends = counts.cumsum()
    numbers: np.ndarray = (first - ends + counts).repeat(counts) + np.arange(ends[-1] if len(ends) else 0)
    return numbers


def grown(array: np.ndarray, size: int) -> np.ndarray:
    """`array` with room for `size` entries, doubled when it must grow so that adding one at a time stays cheap."""
    if size <= len(array):
        return array
    larger = np.zeros((max(size, 2 * len(array), 64), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
