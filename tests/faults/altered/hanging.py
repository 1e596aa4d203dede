"""A worker whose third checkpoint, or third commit, never ends, as with a broker that takes it and does not answer.

python -m tests.faults.altered.hanging checkpoint|commit worker detect
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any, Final

from cli.main import main
from streams.checkpoints import CheckpointWriter
from streams.transport import _ConsumerThread

IN_ORDER: Final = 2
PLACES: Final[dict[str, tuple[type, str]]] = {
    "checkpoint": (CheckpointWriter, "write"),
    "commit": (_ConsumerThread, "_commit"),
}


def hang(place: str) -> None:
    """From the third call on, what stands there does not return."""
    owner, name = PLACES[place]
    done, calls = getattr(owner, name), itertools.count()

    async def hanging(*arguments: Any) -> Any:
        if next(calls) >= IN_ORDER:
            await asyncio.Event().wait()
        return await done(*arguments)

    setattr(owner, name, hanging)


if __name__ == "__main__":
    hang(sys.argv.pop(1))
    main()
