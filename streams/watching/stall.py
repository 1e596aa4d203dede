"""Since when nothing was finished of a partition that has something to finish."""

from __future__ import annotations

import time
from collections.abc import Collection

from faust.types import TP


class Stall:
    """Told every second what is to be finished, and each time what was."""

    def __init__(self) -> None:
        self._since: dict[TP, float] = {}

    def look(self, unfinished: Collection[TP]) -> None:
        """These have something to finish now, others have not."""
        now = time.monotonic()
        self._since = {tp: self._since.get(tp, now) for tp in unfinished}

    def finished(self, *tps: TP) -> None:
        """Something of these was finished; of all, where none is named."""
        now = time.monotonic()
        self._since.update((tp, now) for tp in tps or self._since if tp in self._since)

    @property
    def idle_s(self) -> float:
        """How long the one has waited that waits longest."""
        return time.monotonic() - min(self._since.values()) if self._since else 0.0
