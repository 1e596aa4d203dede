"""A simulated life through the pure core, block by block, as columns: what is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from detectors.control.changes import change
from detectors.limits import load_limits
from detectors.process import process
from detectors.state import PartitionState
from detectors.statuses import check_silence, silent_until
from fleet.life import Life, LifeBlock
from fleet.life.columns import reports_of
from schemas.events import Alarm, DeviceStatus

BLOCK_MS: Final = 300_000
"""Of so much time: some reports of each device, so that rounds are full and a block still fits the cache [ours]."""
_SAID_EACH_S: Final = 30.0


class ToldOfBlock(NamedTuple):
    """What a block came to."""

    block: LifeBlock
    alarms: list[Alarm]
    statuses: list[tuple[int, DeviceStatus]]
    """Each with the time of its telling, which for silence is the block's end."""


def live(life: Life, say: Callable[[str], None], each_ms: int = BLOCK_MS) -> Iterator[ToldOfBlock]:
    """All of a life through one partition, registered beforehand. Raises ValueError where an entry is refused."""
    state, limits = PartitionState(), load_limits()
    for entry in life.entries():
        if why := change(entry, state, limits):
            raise ValueError(f"{entry.device_id} cannot be registered: {why}")
    offset, said_s = 0, time.monotonic()
    for block in life.blocks(each_ms):
        if not len(block):
            continue
        reports = reports_of(block, life.names, offset, limits.absences)
        result = process(reports, state, limits, now=0)
        statuses = [(int(block.ingest_ts[one.source_offset - offset]), one) for one in result.statuses]
        offset += len(block)
        last_ts = int(block.ingest_ts[-1])
        while (due_ts := silent_until(state)) is not None and due_ts <= last_ts:
            statuses += [(due_ts, one) for one in check_silence(state, due_ts, due_ts, offset - 1)]
        yield ToldOfBlock(block, result.alarms, statuses)
        if time.monotonic() - said_s > _SAID_EACH_S:
            said_s = time.monotonic()
            days = (last_ts - life.config.start_ts) / 86_400_000
            say(f"  day {days:.1f} of {life.config.days:g}, {offset:,} reports")
