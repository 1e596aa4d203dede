"""The share of bad input, above which a worker stops."""

from __future__ import annotations

from collections import deque
from typing import Final

from schemas.reports import Reject
from streams.errors import OperatorError

REJECT_WINDOW: Final = 2_000
"""Items by which the share of bad input is judged: enough that a few bad gateways do not stop a city [ours]."""


class RejectShare:
    """Says loudly when input is mostly bad, rather than emptying a topic into the rejects (design.md, rule 4)."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._recent: deque[bool] = deque(maxlen=REJECT_WINDOW)
        self._bad = 0

    def note(self, good: int, rejects: list[Reject]) -> None:
        """Count a chunk. Raises OperatorError when the share of the last `REJECT_WINDOW` exceeds what is allowed."""
        for is_bad in [False] * min(good, REJECT_WINDOW) + [True] * min(len(rejects), REJECT_WINDOW):
            if len(self._recent) == REJECT_WINDOW:
                self._bad -= self._recent[0]
            self._recent.append(is_bad)
            self._bad += is_bad
        if len(self._recent) == REJECT_WINDOW and self._bad > self._most * REJECT_WINDOW:
            why = f"{rejects[-1].fault.reason}: {rejects[-1].fault.detail}" if rejects else "see the rejects"
            raise OperatorError(
                f"{self._bad} of the last {REJECT_WINDOW} reports are bad, more than EMBERLINE_REJECT_SHARE allows; "
                f"mend the senders or raise it. The last reason: {why}"
            )
