"""Logging seldom what may happen a thousand times a second."""

from __future__ import annotations

import logging
import time
from typing import Final

INTERVAL_S: Final = 10.0
"""Between two lines of one kind [ours]: enough for a person to follow, and no disk fills up."""


class Seldom:
    """Warns at most every `INTERVAL_S`, and tells then how many warnings there were since the last."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said_at = -INTERVAL_S
        self._since = 0

    def warn(self, text: str, times: int = 1) -> None:
        """It happened so many times, the last of them as the text says."""
        self._since += times
        if time.monotonic() - self._said_at < INTERVAL_S:
            return
        self._log.warning("%s (%d since the last line of this kind)", text, self._since)
        self._since, self._said_at = 0, time.monotonic()
