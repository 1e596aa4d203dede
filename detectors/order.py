"""Which reports are new, and which are the newest of their devices: on NB-IoT and GPRS reports come late, twice and in
any order (domain.md, rule 6), and clocks are wrong.

A repeat equals one of its device's last `REMEMBERED` reports in time, sequence number and content; a fingerprint is
kept of each of these. Equal reports that keep coming at the device's interval are no repeats: its clock is stuck.

A clock that is not credible may run all the same. What was kept under it is dated by it, less what it is off by at the
least: so history is history, in whatever order it is handed in.

The reports of a device whose clock was set back, as after a power loss, would look late until the clock has caught up.
They are told from old reports that are handed in by their sequence number, which goes on. Without one they are told by
their pace: they arrive one by one, as far apart as their times are.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np

from detectors.table import Table
from detectors.values import Values
from schemas.reports import Reports

REMEMBERED: Final = 16
"""How many reports of a device a repeat is known by: a gateway resends its last few records [ours]."""

SET_BACK_REPORTS: Final = 3
"""So many in a row, dated before the newest but in pace with their arrival, and the clock was set back [ours]."""

SEQ_AHEAD: Final = 1_000
"""A sequence number goes on if it is at most so far ahead of the newest: reports may be lost, not as many [ours]."""

SEQ_WAIT: Final = 8
"""A clock that was set back by its sequence number is not again before so many newer reports, nor while older ones go
on asking for it: those are of two devices under one id, or of history that is numbered as it is sent [ours]."""

STUCK_REPORTS: Final = 3
"""So many equal reports in pace with the usual interval, and the clock is stuck (domain.md, Confirming)."""

CLOCK_RUNS: Final = 8
CLOCK_JUMP_MS: Final = 6 * 3_600_000
"""A clock that goes on by less than an eighth of what arrivals do, or by more than 6 h, does not run: as of durations
(`detectors.channels`)."""
KEPT_MOST_MS: Final = 7 * 86_400_000
"""What is dated further back by a clock that is not credible is of a clock that was set: outages are shorter [ours]."""
CLOCK_FOLLOWS: Final = 1_024
"""What a clock is off by grows by so small a share of what is seen: clocks may be slow, kept reports are not [ours]."""

_MIX: Final = tuple(np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""The multipliers of splitmix64: every bit of a value changes half of its fingerprint's."""


def fingerprints(reports: Reports, values: Values) -> np.ndarray:
    """A number for each report that equal ones share, and others for all practical purposes do not. uint64[n], never
    0."""
    found = _mixed(reports.event_ts.view(np.uint64) ^ _mixed(reports.seq + reports.has_seq.astype(np.uint64) * _MIX[0]))
    found = _mixed(found + reports.device_kind.astype(np.uint64))
    code = np.repeat(np.array(values.codes, np.uint64), values.counts.sum(axis=1))
    whose = code << np.uint64(32) | values.component.astype(np.uint64)
    # Adding 0 makes one zero of two.
    measured = _mixed(_mixed(whose * _MIX[0] + _MIX[1]) ^ (values.value + 0.0).view(np.uint64))
    before = np.zeros(len(measured) + 1, np.uint64)
    np.cumsum(measured, out=before[1:])
    sums = before[values.starts + values.counts] - before[values.starts]
    found ^= _mixed(sums.sum(axis=0, dtype=np.uint64) + _MIX[2])
    for report, faults in reports.faults.items():
        digest = blake2b("\n".join(faults).encode(errors="replace"), digest_size=8).digest()
        found[report] ^= np.uint64(int.from_bytes(digest))
    found[found == 0] = 1
    return found


def _mixed(numbers: np.ndarray) -> np.ndarray:
    mixed = (numbers ^ (numbers >> np.uint64(30))) * _MIX[1]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[2]
    result: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return result


def arrive(
    rows: Table, devices: np.ndarray, prints: np.ndarray, event_ts: np.ndarray, silent_ms: np.ndarray
) -> np.ndarray:
    """Which of one report for each of the distinct `devices` are new, bool[k]; remember them in `rows`, in place.

    `rows` is the state's rows, which `devices` index; `silent_ms` is the time since the device was heard before, by
    arrival.
    """
    # Dated after all that are remembered, as nearly all are, a report equals none of them.
    repeated = event_ts <= rows["latest_own_ts"][devices]
    behind = repeated.nonzero()[0]
    if len(behind):
        repeated[behind] = (rows["remembered"][devices[behind]] == prints[behind, None]).any(axis=1)
    new: np.ndarray = ~repeated
    again = repeated.nonzero()[0]
    if not len(again):
        rows["equal_count"][devices] = 0
        _remember(rows, devices, prints, event_ts)
        return new
    rows["equal_count"][devices[new]] = 0
    new[again] = _stuck(rows, devices[again], silent_ms[again])
    _remember(rows, devices[new], prints[new], event_ts[new])
    return new


def _remember(rows: Table, devices: np.ndarray, prints: np.ndarray, event_ts: np.ndarray) -> None:
    turn = rows["next"][devices]
    rows["remembered"][devices, turn] = prints
    rows["next"][devices] = (turn + 1) % REMEMBERED
    rows["latest_own_ts"][devices] = np.maximum(rows["latest_own_ts"][devices], event_ts)


def _stuck(rows: Table, devices: np.ndarray, silent_ms: np.ndarray) -> np.ndarray:
    """Whether these repeats, coming `silent_ms` after the report before, are those of a clock that is stuck.

    Of what comes together, as the channels of a device do in reports of their own, only the first can be in pace: those
    after it neither count nor count against it."""
    before, equal_ms = rows["equal_count"][devices], rows["equal_ms"][devices]
    usual = np.where(rows["interval_ms"][devices] > 0, rows["interval_ms"][devices], equal_ms).astype(np.int64)
    together, slow = 2 * silent_ms < usual, silent_ms > 2 * usual
    in_pace = ~together & ~slow & (silent_ms > 0)
    count = np.where(in_pace | (usual == 0), np.minimum(before + 1, STUCK_REPORTS), np.where(together, before, 0))
    rows["equal_count"][devices] = count
    rows["equal_ms"][devices] = np.where(together, equal_ms, np.minimum(silent_ms, np.iinfo(np.int32).max))
    stuck: np.ndarray = count >= STUCK_REPORTS
    return stuck


def dated(
    rows: Table, devices: np.ndarray, event_ts: np.ndarray, ingest_ts: np.ndarray, silent_ms: np.ndarray
) -> np.ndarray:
    """The moments of new reports of the distinct `devices`, int64[k], whose clocks are not credible: by these, less
    what they are off by, where they run; else by arrival. What they are off by is noted in `rows`, in place."""
    own, off = event_ts - rows["own_ts"][devices], ingest_ts - event_ts
    known, held = rows["has_clock"][devices] == 1, rows["clock_ms"][devices]
    runs = known & (own > 0) & (own <= CLOCK_JUMP_MS) & (CLOCK_RUNS * own >= silent_ms)
    kept = known & (own < 0) & (own >= -KEPT_MOST_MS)
    held = np.where(runs, np.minimum(off, held + (off - held) // CLOCK_FOLLOWS), np.where(kept, held, off))
    rows["clock_ms"][devices], rows["has_clock"][devices] = held, 1
    moments: np.ndarray = np.minimum(event_ts + held, ingest_ts)
    return moments


def set_back(
    rows: Table,
    devices: np.ndarray,
    ts: np.ndarray,
    ingest_ts: np.ndarray,
    seq: np.ndarray,
    has_seq: np.ndarray,
    behind: np.ndarray,
) -> np.ndarray:
    """Which of the devices' clocks were set back, bool[k], told by one report of each that is `behind` the newest."""
    newer = devices if not np.count_nonzero(behind) else devices[~behind]
    rows["back_count"][newer] = 0
    rows["seq_wait"][newer] -= rows["seq_wait"][newer] > 0
    if len(newer) == len(devices):
        return behind
    found = np.zeros(len(devices), np.bool_)
    late = behind.nonzero()[0]
    ahead = seq[late] - rows["seq"][devices[late]]  # unsigned: what is behind is far ahead
    asks = has_seq[late] & (rows["has_seq"][devices[late]] == 1) & (ahead >= 1) & (ahead <= SEQ_AHEAD)
    goes_on = asks & (rows["seq_wait"][devices[late]] == 0)
    rows["seq_wait"][devices[late[asks]]] = SEQ_WAIT
    # What was set back and stands still since is heard again by the same sign as any clock that is stuck.
    stuck = rows["equal_count"][devices[late]] >= STUCK_REPORTS
    found[late] = _paced(rows, devices[late], ts[late], ingest_ts[late]) | goes_on | stuck
    rows["back_count"][devices[found]] = 0
    return found


def _paced(rows: Table, devices: np.ndarray, ts: np.ndarray, ingest_ts: np.ndarray) -> np.ndarray:
    """Whether these reports, all behind their device's newest, make its clock one that was set back."""
    dated_ms, arrived_ms = ts - rows["back_ts"][devices], ingest_ts - rows["back_ingest_ts"][devices]
    in_pace = (dated_ms > 0) & (dated_ms <= 2 * arrived_ms) & (arrived_ms <= 2 * dated_ms)
    count = np.where(in_pace & (rows["back_count"][devices] > 0), rows["back_count"][devices] + 1, 1)
    rows["back_ts"][devices], rows["back_ingest_ts"][devices] = ts, ingest_ts
    rows["back_count"][devices] = np.minimum(count, SET_BACK_REPORTS)
    paced: np.ndarray = count >= SET_BACK_REPORTS
    return paced
