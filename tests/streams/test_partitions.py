"""A partition while it is held: what is known of its log after a restart, and what is processed together."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from faust.types import TP

from detectors.log_time import HOLE_MS, LogTime
from detectors.state import PartitionState
from detectors.statuses import _offline_after, check_silence
from schemas.events import DeviceStatus
from schemas.records import Records
from streams.ledger import Ledger
from streams.partitions import RECORD, RECORDS_TOGETHER, Kept, Partition, kept_in
from streams.transport import Chunk
from tests.detectors.test_checkpoint_releases import FIXTURES, restored


@pytest.mark.parametrize("release", sorted(FIXTURES))
@pytest.mark.parametrize("record", [None, b"no JSON", b'{"log_ts": "yesterday"}'])
def test_silence_goes_on_where_rows_come_without_the_time_of_their_log(release: str, record: bytes | None) -> None:
    state = restored(release)
    due = {
        (device_id, bool(state.rows["test"][row])): int(
            state.rows["heard_ts"][row] + _offline_after(state.devices, np.array([row]))[0]
        )
        for row, device_id in enumerate(state.device_ids)
    }
    kept = kept_in({} if record is None else {RECORD: record}, state)
    assert kept == Kept(LogTime(int(state.rows["heard_ts"].max())))
    state.log = kept.log
    told: list[DeviceStatus] = []
    for ts in range(state.log.ts, max(due.values()) + HOLE_MS, HOLE_MS):
        told += check_silence(state, state.log.ts, ts, offset=9_999)
    assert told
    assert all(status.since_ts == due[status.device_id, status.test] for status in told if status.status == "offline")


def test_chunks_that_wait_are_processed_together_up_to_a_bound_and_all_before_the_word_to_let_go() -> None:
    async def taken(*sizes: int) -> list[list[int]]:
        partition = Partition(PartitionState(), None)
        for waits in (*map(_chunk, sizes), None):
            partition.waiting.put_nowait(waits)
        found = []
        while chunks := await partition.next_chunks():
            found.append([len(chunk.records.offsets) for chunk in chunks])
        return found

    most = RECORDS_TOGETHER
    assert asyncio.run(taken(1, 2, 3)) == [[1, 2, 3]]
    assert asyncio.run(taken(1, most - 2, 1, 1)) == [[1, most - 2, 1], [1]]
    assert asyncio.run(taken(most + 1, 1)) == [[most + 1], [1]]
    assert asyncio.run(taken()) == []


def _chunk(size: int) -> Chunk:
    offsets, ledger = np.arange(size), Ledger()
    records = Records("t", 0, offsets, offsets, [b""] * size, [b""] * size, [()] * size)
    return Chunk(TP("t", 0), records, ledger.begin(0, size - 1), ledger)
