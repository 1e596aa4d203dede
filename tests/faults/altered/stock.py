"""A worker with the offset logic of stock Faust put back in place of the ledger, so that the suite can show it sees.

    python -m tests.faults.altered.stock worker detect

What an agent has let go of is acknowledged, and what is acknowledged is committed. A chunk stands for its records: each
of them is acknowledged as stock Faust acknowledges one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faust.transport.consumer import Consumer as Stock
from faust.types import TP

from cli.main import main
from streams.transport import Chunk, Consumer
from streams.worker import WorkerApp


@dataclass(eq=False)
class _Single:
    """What stock Faust looks at of a message when it acknowledges it."""

    tp: TP
    offset: int
    acked: bool = False

    @property
    def topic(self) -> str:
        return str(self.tp.topic)


async def _handle_and_acknowledge(self: Any, chunk: Chunk) -> None:
    await _handle(self, chunk)
    for offset in chunk.records.offsets.tolist():
        Stock.ack(self.consumer, _Single(chunk.tp, offset))


_handle = WorkerApp._handle


def put_stock_back() -> None:
    """From here on workers of this process commit as stock Faust does."""
    WorkerApp._handle = _handle_and_acknowledge  # type: ignore[method-assign]
    for name in ("_new_offset", "_filter_tps_with_pending_acks"):
        setattr(Consumer, name, getattr(Stock, name))


if __name__ == "__main__":
    put_stock_back()
    main()
