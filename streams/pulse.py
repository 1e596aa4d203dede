"""Whether this process stood still: stopped by a signal or a debugger, or with its whole machine."""

from __future__ import annotations

import threading
import time
from typing import Final

INTERVAL_S: Final = 0.5


class Pulse:
    """Beats in a thread of its own, so that work in the event loop, however long, is no standstill."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._longest = 0.0
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to beat."""
        self._last = time.monotonic()
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """Beat no more."""
        self._stopping.set()

    @property
    def stood_still_s(self) -> float:
        """The longest standstill so far, the one included that may just have ended."""
        return max(self._longest, time.monotonic() - self._last - INTERVAL_S)

    def _beat(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            self._longest, self._last = self.stood_still_s, time.monotonic()
