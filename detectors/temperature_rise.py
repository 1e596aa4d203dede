"""Temperature by its rate of rise: a failing joint heats in minutes, long before it reaches a level.

The rate is taken over windows of at least `window_ms`: from a window's first report to the first one at or past its
end, which begins the next. A window longer than that (a device that reports seldom) gives its mean rate.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.latch import LATCH, NOTHING, Elements, Findings, step

STATE: Final = np.dtype([*LATCH, ("window_ts", "i8"), ("window_value", "f8")])

MS_PER_MINUTE: Final = 60_000


def detect(state: np.ndarray, elements: Elements) -> Findings:
    """Compare the rate of rise of each window that ends here, in ℃/min, with the limits."""
    slots, values, ts, _, limits = elements
    held = state[slots]
    first = (held["window_ts"] == 0) | (held["window_ts"] > ts)  # begun anew by a clock that was set back
    elapsed = ts - held["window_ts"]
    ended = ~first & (elapsed >= limits["window_ms"])
    rate = (values - held["window_value"]) * MS_PER_MINUTE / np.maximum(elapsed, 1)
    begun = first | ended
    held["window_ts"] = np.where(begun, ts, held["window_ts"])
    held["window_value"] = np.where(begun, values, held["window_value"])
    state[slots] = held
    if not ended.any():
        return NOTHING
    # Two windows in a row confirm, however seldom a device reports: one wrong reading makes one steep window.
    rates = elements._replace(values=rate, gap_ms=np.zeros_like(ts))
    findings = step(state, rates.take(ended))
    return findings._replace(element=ended.nonzero()[0][findings.element])
