"""What looks on from beside: a thread of its own with a loop, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Final, Self

from aiokafka.errors import KafkaError

PAUSE_S: Final = 0.25


class Beside:
    """Does `work` until told to stop, and again where brokers that are away end it: they come back.

    `changed` guards what `work` finds and is notified of it; `work` returns soon after `stopping` is set.
    """

    def __init__(self, name: str) -> None:
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    async def work(self) -> None:
        """What is done."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while not self.stopping.is_set():
                # A client of aiokafka's that is closed right after it was assigned partitions raises CancelledError.
                with contextlib.suppress(KafkaError, TimeoutError, asyncio.CancelledError):
                    runner.run(self.work())
                self.stopping.wait(PAUSE_S)
