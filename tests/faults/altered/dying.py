"""A worker that dies for certain at the moments that matter, which kills at random hit only by chance.

    python -m tests.faults.altered.dying FOLDER worker detect

A planned death is a file in the folder. A process that reaches its moment takes the file away and sends SIGKILL to
itself; the one that is started in its place meets what is left, and lives on when nothing is.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, Final

from faust.types import TP

from cli.main import main
from common.settings import Settings
from detectors.checkpoints.rows import CheckpointRows
from detectors.rounds import Result
from detectors.state import PartitionState
from schemas.topics import TELEMETRY
from sinks.clickhouse import wire
from sinks.clickhouse.claims import Claims, Whence
from sinks.clickhouse.wire import BlockClient
from sinks.clickhouse.writer import ClickHouseSink
from sinks.columns import Column
from sinks.contract import Block
from streams import checkpoints
from streams.checkpoints import CheckpointWriter, Incarnation
from streams.detect import DetectJob
from streams.moves import MOVED
from streams.partitions import Partition

CHECKPOINT_S: Final = 0.5
"""More than a small checkpoint takes."""


class Moment(Enum):
    """When a worker dies: first those of detect workers, then those of sink workers."""

    CHECKPOINTS_CLAIMED = "a partition's checkpoints claimed, none of them read"
    RESTORE = "devices of a partition restored, nothing else of it"
    CHUNK = "half of a chunk's events acknowledged, the others not sent, a checkpoint about to begin"
    CHECKPOINT = "half of a checkpoint's rows acknowledged, their transaction open"
    CHECKPOINTED = "a checkpoint's transaction committed, its chunks not finished"
    MOVED = "devices taken along from other partitions, a checkpoint run meanwhile, nothing written that says so"

    PARTITION_CLAIMED = "a partition claimed in ClickHouse, its stored offset not asked for"
    INSERT = "some columns of an INSERT sent, others not"
    INSERT_SENT = "an INSERT sent to its end, no answer awaited"
    INSERTED = "an INSERT answered, its chunks not finished"


class Deaths:
    """The deaths that are planned and not yet died, for all processes that know the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taking = threading.Lock()
        self._taken = False

    def plan(self, times: int, moments: Collection[Moment]) -> int:
        """From now on workers die so many times at each of the moments; how many deaths that makes."""
        self._folder.mkdir()
        for moment in moments:
            for time in range(times):
                (self._folder / f"{moment.name}.{time}").touch()
        return times * len(moments)

    @property
    def left(self) -> list[str]:
        """Those that nobody has died."""
        return sorted(path.name for path in self._folder.iterdir())

    def take(self, moment: Moment) -> bool:
        """Whether this process must die at this moment. It dies only once, whatever its other threads come to."""
        with self._taking:
            if not self._taken:
                self._taken = any(_removed(path) for path in self._folder.glob(f"{moment.name}.*"))
                return self._taken
        return False

    def die_at(self, moment: Moment) -> None:
        """Die if that is planned."""
        if self.take(moment):
            die()

    def command(self, role: str) -> Sequence[str]:
        """A worker that dies them."""
        return [sys.executable, "-m", "tests.faults.altered.dying", str(self._folder), "worker", role]


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def die() -> None:
    """SIGKILL, which nothing outlives."""
    os.kill(os.getpid(), signal.SIGKILL)


def plant(deaths: Deaths) -> None:
    """From here on workers of this process die as planned."""
    for plant_in in (_claim_of_checkpoints, _restore, _chunk, _checkpoint, _moved, _claim_of_partition, _data, _insert):
        plant_in(deaths)


def _claim_of_checkpoints(deaths: Deaths) -> None:
    start = CheckpointWriter.start

    async def start_and_die(settings: Settings, partition: int, incarnation: Incarnation) -> CheckpointWriter:
        writer = await start(settings, partition, incarnation)
        deaths.die_at(Moment.CHECKPOINTS_CLAIMED)
        return writer

    CheckpointWriter.start = start_and_die  # type: ignore[method-assign]


def _restore(deaths: Deaths) -> None:
    put = checkpoints.put  # type: ignore[attr-defined]

    def put_and_die(state: PartitionState, read: CheckpointRows) -> None:
        put(state, read)
        if len(read.devices) > 1 and deaths.take(Moment.RESTORE):
            die()

    checkpoints.put = put_and_die  # type: ignore[attr-defined]


def _chunk(deaths: Deaths) -> None:
    send = DetectJob._send

    async def send_half_and_die(self: DetectJob, result: Result, partition: Partition, number: int) -> None:
        half = _half_of(result)
        # What is sent for silent devices is no chunk's: it has no reports.
        if result.readable and half != result and deaths.take(Moment.CHUNK):
            await send(self, half, partition, number)
            await asyncio.gather(*partition.sending)
            # A checkpoint that wants to begin now must wait for the chunk.
            checkpoint = asyncio.ensure_future(self._checkpoint(TP(TELEMETRY.name, number), partition))
            await asyncio.wait([checkpoint], timeout=CHECKPOINT_S)
            die()
        await send(self, result, partition, number)

    DetectJob._send = send_half_and_die  # type: ignore[method-assign]


def _half_of(result: Result) -> Result:
    """The first half, rounded up, of what goes to each topic."""
    return replace(
        result,
        alarms=result.alarms[: (len(result.alarms) + 1) // 2],
        requests=result.requests[: (len(result.requests) + 1) // 2],
        statuses=result.statuses[: (len(result.statuses) + 1) // 2],
        aggregates=result.aggregates[: (len(result.aggregates) + 1) // 2],
    )


def _checkpoint(deaths: Deaths) -> None:
    send, write = CheckpointWriter._send, CheckpointWriter.write

    async def send_half_and_die(self: CheckpointWriter, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        if len(rows) > 1 and deaths.take(Moment.CHECKPOINT):
            await send(self, rows[: len(rows) // 2])
            die()
        await send(self, rows)

    async def write_and_die(self: CheckpointWriter, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        await write(self, rows)
        if rows:
            deaths.die_at(Moment.CHECKPOINTED)

    CheckpointWriter._send = send_half_and_die  # type: ignore[method-assign]
    CheckpointWriter.write = write_and_die  # type: ignore[method-assign]


def _moved(deaths: Deaths) -> None:
    write = DetectJob._write

    async def write_others_and_die(
        self: DetectJob, tp: TP, partition: Partition, rows: Sequence[tuple[bytes, bytes | None]]
    ) -> bool:
        if any(key.startswith(MOVED) for key, _ in rows) and deaths.take(Moment.MOVED):
            await self._checkpoint(tp, partition)
            die()
        return await write(self, tp, partition, rows)

    DetectJob._write = write_others_and_die  # type: ignore[method-assign]


def _claim_of_partition(deaths: Deaths) -> None:
    claim = Claims.claim

    def claim_and_die(self: Claims, client: BlockClient, whence: Whence) -> None:
        claim(self, client, whence)
        deaths.die_at(Moment.PARTITION_CLAIMED)

    Claims.claim = claim_and_die  # type: ignore[method-assign]


def _data(deaths: Deaths) -> None:
    write, send_data = wire.write, BlockClient.send_data

    def die_or_write(context: Any, name: str, type_name: str, column: Column, out: Any) -> None:
        # Among the last columns of every table.
        if name == "offset" and deaths.take(Moment.INSERT):
            out.flush()
            die()
        write(context, name, type_name, column, out)

    def send_and_die(
        self: BlockClient, sample_block: Any, data: Block, types_check: bool = False, columnar: bool = False
    ) -> int:
        rows = send_data(self, sample_block, data, types_check, columnar)
        deaths.die_at(Moment.INSERT_SENT)
        return rows

    wire.write = die_or_write
    BlockClient.send_data = send_and_die  # type: ignore[method-assign]


def _insert(deaths: Deaths) -> None:
    write = ClickHouseSink.write

    def write_and_die(self: ClickHouseSink, block: Block) -> None:
        write(self, block)
        deaths.die_at(Moment.INSERTED)

    ClickHouseSink.write = write_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    plant(Deaths(Path(sys.argv.pop(1))))
    main()
