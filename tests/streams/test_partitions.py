"""What is known of a partition's log after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.log_time import HOLE_MS, LogTime
from detectors.statuses import _offline_after, check_silence
from schemas.events import DeviceStatus
from streams.partitions import RECORD, kept_in
from tests.detectors.test_checkpoint_releases import FIXTURES, restored


@pytest.mark.parametrize("release", sorted(FIXTURES))
@pytest.mark.parametrize("record", [None, b"no JSON", b'{"log_ts": "yesterday"}'])
def test_silence_goes_on_where_rows_come_without_the_time_of_their_log(release: str, record: bytes | None) -> None:
    state = restored(release)
    due = {
        (device_id, bool(state.rows["test"][row])): int(
            state.rows["heard_ts"][row] + _offline_after(state, np.array([row]))[0]
        )
        for row, device_id in enumerate(state.device_ids)
    }
    state.log, generation = kept_in({} if record is None else {RECORD: record}, state)
    assert (state.log, generation) == (LogTime(int(state.rows["heard_ts"].max())), None)
    told: list[DeviceStatus] = []
    for ts in range(state.log.ts, max(due.values()) + HOLE_MS, HOLE_MS):
        told += check_silence(state, state.log.ts, ts, offset=9_999)
    assert told
    assert all(status.since_ts == due[status.device_id, status.test] for status in told if status.status == "offline")
