"""Which reports are new: repeats and reports out of order are normal on NB-IoT and GPRS (domain.md, rule 6).

A report's identity within its device is its time and sequence number in one int64. Each device remembers the greatest
`REMEMBERED` identities it has had, so for anything greater than the least of them it is certain whether it came before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

REMEMBERED: Final = 16
"""How far back order is kept exact: a gateway swaps neighbours and resends its last few records [ours]."""

AHEAD_MS: Final = 300_000
"""A clock more than 5 min ahead of arrival is wrong (domain.md, rule 8); NB-IoT time is good to seconds [ours]."""

REPEATED, LATE, NEWEST = 0, 1, 2
"""A report seen before or too old to tell; one that is new but older than its device's newest; the device's newest."""

_SEQ_BITS: Final = 16


def effective_ts(event_ts: np.ndarray, ingest_ts: np.ndarray) -> np.ndarray:
    """The time detectors go by, int64[n]: the event's, or its arrival where the device's clock runs ahead.

    So a clock that is years ahead neither silences its device's alarms nor moves the device's time past the present.
    """
    return np.where(event_ts > ingest_ts + AHEAD_MS, ingest_ts, event_ts)


def identity(ts: np.ndarray, seq: np.ndarray, event_ts: np.ndarray) -> np.ndarray:
    """Effective time and the low bits of the sequence number in one int64 that sorts by time first.

    Without a sequence number the device's own time stands in for it: it tells reports apart that a wrong clock has
    brought to the same effective time.
    """
    low = np.where(seq < 0, event_ts, seq)
    return (ts << _SEQ_BITS) | (low & ((1 << _SEQ_BITS) - 1))


def arrive(remembered: np.ndarray, rows: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Judge one report for each of the distinct `rows`, and remember the new ones in `remembered`, in place.

    `remembered` is int64[devices, REMEMBERED], 0 where nothing is remembered yet. Returns REPEATED, LATE or NEWEST.
    """
    before = remembered[rows]
    least = before.argmin(axis=1)
    known = (before == identities[:, None]).any(axis=1) | (identities <= before[np.arange(len(rows)), least])
    newest = identities > before.max(axis=1)
    new = ~known
    remembered[rows[new], least[new]] = identities[new]
    return np.where(known, REPEATED, np.where(newest, NEWEST, LATE))
