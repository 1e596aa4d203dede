"""A worker to which devices are silent after seconds, so that runs of minutes meet silence.

python -m tests.faults.altered.hasty worker detect
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from cli.main import main
from detectors import device_status, log_time, statuses
from detectors.twin import oracle
from streams import detect

OFFLINE_AFTER_MS: Final = 4_000
LOOK_MS: Final = 1_000


@contextmanager
def hasty() -> Iterator[None]:
    """Within the block devices of this process, and of the twin, are silent after seconds."""
    before = dict(device_status.OFFLINE_AFTER_MS), statuses.SOONEST_MS, log_time.CHECK_MS, detect.BEAT_DUE_S
    _set(dict.fromkeys(before[0], OFFLINE_AFTER_MS), OFFLINE_AFTER_MS, LOOK_MS, LOOK_MS / 1_000)
    try:
        yield
    finally:
        _set(*before)


def hasty_worker(role: str) -> Sequence[str]:
    """The command of a worker that is so."""
    return [sys.executable, "-m", "tests.faults.altered.hasty", "worker", role]


def _set(offline_after_ms: dict[str, int], soonest_ms: int, look_ms: int, beat_due_s: float) -> None:
    device_status.OFFLINE_AFTER_MS.update(offline_after_ms)
    statuses._OFFLINE_AFTER_MS[:] = list(device_status.OFFLINE_AFTER_MS.values())
    statuses.SOONEST_MS = soonest_ms  # type: ignore[misc]
    log_time.CHECK_MS = oracle.CHECK_MS = look_ms  # type: ignore[misc]
    detect.BEAT_DUE_S = beat_due_s  # type: ignore[misc]


if __name__ == "__main__":
    with hasty():
        main()
