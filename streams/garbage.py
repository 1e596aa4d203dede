"""When the garbage collector runs, in a process that handles chunk after chunk."""

from __future__ import annotations

import asyncio
import gc
from typing import Final

THRESHOLDS: Final = (100_000, 50, 100)
COLLECT_INTERVAL_S: Final = 10.0


def collect_seldom() -> None:
    """Let the garbage collector look seldom: a chunk makes 100,000 objects that die by their reference counts.

    With Python's own thresholds it walks them all again and again, which is half the time of decoding [measured].
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def collect_by_the_clock() -> None:
    """Collect what refers to itself. Left to the thresholds it would lie for many minutes and memory would creep up.

    An INSERT leaves a hundred such objects of the driver's. There are 10,000 objects to look at, which takes 4 ms.
    """
    while True:
        await asyncio.sleep(COLLECT_INTERVAL_S)
        gc.collect()
