"""Which records of a partition are still being worked on, and so how far it may be committed.

Stock Faust commits past records in flight when acknowledgements come out of order; emberline commits by this ledger
instead. A ledger knows only ranges of offsets. What lies between two ranges (compacted away, transaction markers) is
nothing to wait for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Range:
    """The records `first` to `last`, both included, of one fetched chunk."""

    first: int
    last: int
    finished: bool = False


class Ledger:
    """The ranges in flight of one partition, for as long as this worker holds it. Begin in order, finish in any order.

    Each assignment has a new ledger: what finishes late on an old one changes nothing any more. `beginning` is the
    first offset it ever held, `end` the one after the last.
    """

    def __init__(self) -> None:
        self._ranges: deque[Range] = deque()
        self._position: int | None = None
        self._taken = 0
        self.beginning = 0
        self.end = 0

    def begin(self, first: int, last: int) -> Range:
        """Take a fetched range on. Raises ValueError if it does not come after all before it.

        It would not where the client began a partition anew by itself, because its topic was made anew.
        """
        if first < self.end:
            raise ValueError(f"range {first}-{last} begins before {self.end}, where the one before it ended")
        if not self.end:
            self.beginning = first
        self.end = last + 1
        begun = Range(first, last)
        self._ranges.append(begun)
        return begun

    def take(self, begun: Range) -> None:
        """The range is handed to whoever works on it. Raises ValueError if one before it never was.

        Were it worked on all the same, what lies between would look done: a row's offset and a table's highest offset
        stand for all below them.
        """
        if begun is not self._ranges[self._taken]:
            raise ValueError(
                f"range {begun.first}-{begun.last} comes before {self._ranges[self._taken]} was handed over"
            )
        self._taken += 1

    def finish(self, begun: Range) -> None:
        """Every record of the range is done with: stored, or answered and checkpointed."""
        begun.finished = True
        while self._ranges and self._ranges[0].finished:
            self._position = self._ranges.popleft().last + 1
            self._taken = max(0, self._taken - 1)

    @property
    def committable(self) -> int | None:
        """The offset to commit, that of the lowest record not finished; None while nothing is known to be finished."""
        return self._position

    @property
    def in_flight(self) -> int:
        """How many ranges are begun and not passed yet."""
        return len(self._ranges)
