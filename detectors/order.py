"""Which reports are new: repeats and reports out of order are normal on NB-IoT and GPRS (domain.md, rule 6).

A device whose clock was set back, as after a power loss, would look late until its clock has caught up. Its reports are
told from handed-in old ones by their pace: they come one by one, as far apart as they are dated.

A report's identity within its device is its time and sequence number in one int64. Each device remembers the greatest
`REMEMBERED` identities it has had, so for anything greater than the least of them it is certain whether it came before.
They lie in a ring, from the least, at `oldest`, to the greatest, just before it: most reports are compared with that
one alone and take the place of the least.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.table import Table

REMEMBERED: Final = 16
"""How far back order is kept exact: a gateway swaps neighbours and resends its last few records [ours]."""

AHEAD_MS: Final = 300_000
"""A clock more than 5 min ahead of arrival is wrong (domain.md, rule 8); NB-IoT time is good to seconds [ours]."""

SET_BACK_REPORTS: Final = 3
"""So many in a row, dated before the newest but in pace with their arrival, and the clock was set back [ours]."""

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


def arrive(rows: Table, devices: np.ndarray, identities: np.ndarray, ingest_ts: np.ndarray) -> np.ndarray:
    """Judge one report for each of the distinct `devices`, and remember the new ones in `rows`, in place.

    `rows` is the state's rows, which `devices` index. Returns REPEATED, LATE or NEWEST for each.
    """
    oldest = rows["oldest"][devices]
    newest = identities > rows["remembered"][devices, (oldest - 1) % REMEMBERED]
    if np.count_nonzero(newest) == len(newest):
        _remember(rows, devices, oldest, identities)
        return np.full(len(devices), NEWEST)
    _remember(rows, devices[newest], oldest[newest], identities[newest])
    judged = np.where(newest, NEWEST, REPEATED)
    behind = (~newest).nonzero()[0]
    judged[behind] = _behind(rows, devices[behind], identities[behind], ingest_ts[behind])
    return judged


def _remember(rows: Table, devices: np.ndarray, oldest: np.ndarray, identities: np.ndarray) -> None:
    """Let identities greater than all before take the places of the least."""
    rows["remembered"][devices, oldest] = identities
    rows["oldest"][devices] = (oldest + 1) % REMEMBERED
    rows["back_count"][devices] = 0


def _behind(rows: Table, devices: np.ndarray, identities: np.ndarray, ingest_ts: np.ndarray) -> np.ndarray:
    """Judge reports that are not their device's newest, and remember the new ones."""
    remembered = rows["remembered"]
    before = remembered[devices]
    same = (before == identities[:, None]).any(axis=1)
    new = ~same & (identities > before.min(axis=1))
    remembered[devices[new]] = np.sort(np.column_stack([before[new], identities[new]]), axis=1)[:, 1:]
    rows["oldest"][devices[new]] = 0
    judged = np.where(new, LATE, REPEATED)
    strange = (~same).nonzero()[0]
    set_back = strange[_paced(rows, devices[strange], identities[strange], ingest_ts[strange])]
    remembered[devices[set_back]] = 0
    remembered[devices[set_back], REMEMBERED - 1] = identities[set_back]
    rows["oldest"][devices[set_back]] = 0
    judged[set_back] = NEWEST
    return judged


def _paced(rows: Table, devices: np.ndarray, identities: np.ndarray, ingest_ts: np.ndarray) -> np.ndarray:
    """Whether these reports, all behind their device's newest, make its clock one that was set back."""
    ts = identities >> _SEQ_BITS
    dated_ms, arrived_ms = ts - rows["back_ts"][devices], ingest_ts - rows["back_ingest_ts"][devices]
    in_pace = (dated_ms > 0) & (dated_ms <= 2 * arrived_ms) & (arrived_ms <= 2 * dated_ms)
    count = np.where(in_pace, rows["back_count"][devices] + 1, 1)
    set_back = count >= SET_BACK_REPORTS
    rows["back_ts"][devices], rows["back_ingest_ts"][devices] = ts, ingest_ts
    rows["back_count"][devices] = np.where(set_back, 0, count)
    return set_back
