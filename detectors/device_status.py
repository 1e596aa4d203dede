"""Whether a device is heard, and which faults it reports of itself (requirement A2).

A report puts its device online and sets its faults; silence puts it offline, and after 6 h overdue-offline
(requirement A7). Silence is judged by arrival, not by the device's clock, and only while the worker is not behind, so
that a backlog is not taken for an outage.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from schemas.events import Status

UNKNOWN, ONLINE, OFFLINE, OVERDUE = -1, 0, 1, 2
LABELS: Final = {ONLINE: Status.ONLINE, OFFLINE: Status.OFFLINE, OVERDUE: Status.OVERDUE_OFFLINE}

OFFLINE_AFTER_MS: Final = {
    "electrical_monitor": 15 * 60_000,  # one 10-min upload period and a grace of half [ours]
    "charging_pile": 6 * 60_000,  # two 3-min heartbeats, AP3000 [H]
    "smoke_detector": 25 * 3_600_000,  # a heartbeat a day and an hour's grace [ours]
    "circuit_breaker": 15 * 60_000,  # as a monitor [ours]
}
OVERDUE_AFTER_MS: Final = 6 * 3_600_000
"""Requirement A7: data are uploaded at least every 6 h."""


def silence(
    status: np.ndarray, heard_ts: np.ndarray, offline_after_ms: np.ndarray, now: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that silence moves to another status at `now` (epoch ms), and that status. Both int64[k].

    A device whose offline time exceeds 6 h goes overdue only after that time.
    """
    silent_ms = now - heard_ts
    overdue = silent_ms >= np.maximum(OVERDUE_AFTER_MS, offline_after_ms)
    wanted = np.where(overdue, OVERDUE, np.where(silent_ms >= offline_after_ms, OFFLINE, ONLINE))
    rows = np.flatnonzero((status >= ONLINE) & (wanted > status))
    return rows, wanted[rows]
