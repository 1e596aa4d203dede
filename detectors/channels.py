"""The time of each component: which value is new, which is late, and how long ago the value before it was.

A device may send its components in reports of their own, each at its own pace, some always later than others. So order
and durations are each component's, not the device's.

A duration is the difference of the device's own times of two values that follow one another. That holds where the clock
is wrong, too, for a clock that was never set still runs; and it holds for kept reports that come in a burst. Where the
own time stands still, goes back, jumps by over 6 h or hardly moves, the difference of the arrivals is taken instead
(domain.md, Confirming), and the usual interval where they come all at once. Where several reports have the same time,
because the clock has a resolution of a minute, they share the time to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from detectors.confirming import SELDOM_MS
from detectors.stuck import SAME
from detectors.table import Table

CHANNEL: Final = np.dtype(
    [
        ("ts", "i8"),
        ("own_ts", "i8"),
        ("ingest_ts", "i8"),
        ("interval_ms", "i4"),
        ("filled_ms", "i4"),
        ("late", "i4"),
        ("equal", "u2"),
        ("power_on", "i1"),
        *SAME,
    ]
)
"""One component. `ts`, `own_ts` and `ingest_ts` are the newest value's moment, its time by the device's clock and its
arrival, which is 0 while there was none; `interval_ms` is how far apart its values usually are, 0 where that is not
known: an outage makes it `FAR` times as long at most. `equal` values since the first of that own time have filled
`filled_ms` by their arrival. `late` says where its late values are (`detectors.late`), 0 for none; `power_on` whether
the newest value was a power-on value. The others are of `detectors.stuck`."""

OWN_MOST_MS: Final = 6 * 3_600_000
"""An own time that jumps by more is of a clock that was set (domain.md, Confirming)."""
SLOW: Final = 8
"""An own time that goes on by less than an eighth of what arrivals do all but stands still [ours]."""
KEPT: Final = 4
"""Values that arrive four times as close together as is usual were kept and handed in at once. Where their device's own
time does not go on, nothing but the usual interval is left; it is unlearned slowly then, by 1/256 a value, so that 600
kept ones leave a tenth of it [ours]."""
COARSE_MS: Final = 60_000
"""Some clocks go by whole minutes, none by more (domain.md, Clocks): one that stands for longer is stuck."""
GAP_INTERVALS: Final = 3
"""A value after more than so many of its component's intervals is a first value anew (domain.md, Confirming)."""
GAP_LEAST_MS: Final = 30_000
"""What is closer together than an alarm may take is no gap: some reports of a second were lost (domain.md, limits)."""
OF_DEVICE_LEAST_MS: Final = SELDOM_MS
"""While a component's interval is not known it is taken for its device's, and for no less than this: components may be
reported in turn. A probe that is hardly ever there has had no second value for days then, whatever it says [ours]."""
FAR: Final = 4
"""Reports that are over four intervals apart are so for an outage, or by an interval that is new [ours]."""
FORGETS: Final = 8
"""A silence is forgotten once its device was heard for an eighth of it: who then is silent again comes and goes
[ours]."""
_MOST_MS: Final = 2**31 - 1
_ADVANCED: Final = ("ts", "own_ts", "ingest_ts", "interval_ms", "filled_ms", "equal")


class Passed(NamedTuple):
    """The time that has passed for m components since their values before, int64[m] each, milliseconds.

    `before_ts` is the moment of the value before, 0 for a first one. `elapsed_ms` is all of the time, 0 for a first
    value. `step_ms` is what a value that lasts is sure to have lasted: no more than two intervals, nothing over a gap.
    `interval_ms` is how far apart the values before usually were, 0 where that is not known. `gap`, bool[m], says where
    there was one.
    """

    before_ts: np.ndarray
    elapsed_ms: np.ndarray
    step_ms: np.ndarray
    interval_ms: np.ndarray
    gap: np.ndarray


def advance(
    parts: Sequence[tuple[Table, np.ndarray]],
    ts: np.ndarray,
    own_ts: np.ndarray,
    ingest_ts: np.ndarray,
    device_ms: np.ndarray,
) -> Passed:
    """Take one new value of each component on, in place, and say what time has passed.

    `device_ms` is how far apart the reports of their devices usually are, 0 for unknown. The components are in parts,
    for each quantity has a table of its own: of each part the distinct slots in its table.
    """
    held = {name: np.concatenate([table[name][slots] for table, slots in parts]) for name in _ADVANCED}
    first = held["ingest_ts"] == 0
    arrived = np.maximum(ingest_ts - held["ingest_ts"], 0)
    own = own_ts - held["own_ts"]
    filled, equal = held["filled_ms"].astype(np.int64), held["equal"].astype(np.int64)
    usable = (own > 0) & (own <= OWN_MOST_MS) & (SLOW * own >= filled + arrived)
    elapsed = np.where(usable, np.maximum(own - filled, 0), arrived)
    # Of several values of one own time each is taken for its share of the time to the next.
    each = np.where(usable, own // (equal + 1), arrived)
    elapsed[first] = each[first] = 0
    interval = held["interval_ms"].astype(np.int64)
    known = interval > 0
    stands = (own == 0) & ~first
    # Within one time of a coarse clock what was kept comes faster than it was measured: that is no shorter interval.
    coarse = stands & (filled + arrived <= COARSE_MS)
    # No clock says how far apart these were measured, so each stands for what is usual.
    kept = known & ~usable & ~coarse & (KEPT * arrived < interval)
    elapsed, each = np.where(kept, interval, elapsed), np.where(kept, interval, each)
    of_device = np.where(device_ms > 0, np.maximum(device_ms, OF_DEVICE_LEAST_MS), each)
    gap = each > np.maximum(GAP_INTERVALS * np.where(known, interval, of_device), GAP_LEAST_MS)
    most = np.where(known, 2 * interval * (equal * usable + 1), elapsed)
    step = np.where(gap, 0, np.minimum(elapsed, most))

    grown = np.where(gap & known, np.minimum(each, FAR * interval), each)
    usual = np.maximum(grown, np.where(coarse, interval, interval - interval // 4))
    now = {
        "ts": ts,
        "own_ts": own_ts,
        "ingest_ts": ingest_ts,
        "interval_ms": np.minimum(np.where(kept, interval - interval // 256, usual), _MOST_MS),
        "filled_ms": np.where(stands, np.minimum(filled + arrived, _MOST_MS), 0),
        "equal": np.where(stands, np.minimum(equal + 1, 65_535), 0),
    }
    begin = 0
    for table, slots in parts:
        part = slice(begin, begin := begin + len(slots))
        for name, values in now.items():
            table[name][slots] = values[part]
    return Passed(held["ts"], elapsed, step, interval, gap)


def usual_interval(
    interval_ms: np.ndarray, silence_ms: np.ndarray, arrived_ms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far apart the reports of a device usually arrive, after one that came `arrived_ms` after the one before, and
    the last silence that was much longer, as far as it is not forgotten. int64[k] each.

    It shrinks slowly, and not by what comes at once: a device's channels may come in reports of their own, and what was
    kept comes together. It grows by a silence that is much longer only when such a one comes again before the device
    was heard for some of that time: all else are outages, however often.
    """
    interval, silence = interval_ms.astype(np.int64), silence_ms.astype(np.int64)
    far = (interval > 0) & (arrived_ms > FAR * interval)
    again = (arrived_ms <= 2 * silence) & (silence <= 2 * arrived_ms)
    shrunk = interval - np.minimum(interval // 16, arrived_ms // 2)
    found = np.where(far & ~again, interval, np.maximum(arrived_ms, shrunk))
    silence = np.where(far, arrived_ms, np.maximum(silence - FORGETS * arrived_ms, 0))
    return np.minimum(found, _MOST_MS), np.minimum(silence, _MOST_MS)
