"""Ctrl-C and SIGTERM, from the first moment on: a command ends in order, without a traceback, with 128 and the number.

Imported first, before what takes long to import; so it imports next to nothing itself.
"""

import os
import signal
from types import FrameType
from typing import Final

STOPPED: Final = b"emberline: stopped\n"
_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)
_last = signal.SIGINT


def end_at_once() -> None:
    """From now on both end the process where it is: it only reads, or has not begun."""
    for number in _NUMBERS:
        signal.signal(number, _end)


def end_in_order() -> None:
    """From now on both raise KeyboardInterrupt, which asyncio turns into a cancellation, so that all is closed.

    Only where this is the program itself: who imports the command line keeps what it has set.
    """
    if signal.getsignal(signal.SIGINT) is not _end:
        return
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def status() -> int:
    """The exit status of a process that the last signal has ended: 130 or 143."""
    return 128 + _last


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, STOPPED)
    os._exit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _last
    _last = signal.SIGTERM
    signal.raise_signal(signal.SIGINT)
