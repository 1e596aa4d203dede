"""Temperature by its rate of rise: a failing joint heats in minutes, long before it reaches a level.

The rate is taken over windows of at least `window_ms`: from a window's first report to the first one at or past its
end, which begins the next. A window longer than that (a device that reports seldom) gives its mean rate.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.latch import AT_REST, NOTHING, Elements, Findings, Watched, step

STATE: Final = np.dtype([AT_REST, ("window_ts", "i8"), ("window_value", "f8")])

MS_PER_MINUTE: Final = 60_000


def detect(state: Watched, elements: Elements) -> Findings:
    """Compare the rate of rise of each window that ends here, in ℃/min, with the limits."""
    window_ts = state["window_ts"][elements.slots]
    elapsed = elements.ts - window_ts
    first = (window_ts == 0) | (elapsed < 0)  # begun anew by a clock that was set back
    over = elapsed >= elements.limits["window_ms"]
    begun = (first | over).nonzero()[0]
    if not len(begun):
        return NOTHING
    ended = (over & ~first).nonzero()[0]
    rates = _rates(state, elements.take(ended), elapsed[ended])
    slots = elements.slots[begun]
    state["window_ts"][slots] = elements.ts[begun]
    state["window_value"][slots] = elements.values[begun]
    findings = step(state, rates)
    return findings._replace(element=ended[findings.element])


def _rates(state: Watched, elements: Elements, elapsed: np.ndarray) -> Elements:
    """The rates over windows that end, in place of their values."""
    rate = (elements.values - state["window_value"][elements.slots]) * MS_PER_MINUTE / np.maximum(elapsed, 1)
    # Two windows in a row confirm, however seldom a device reports: one wrong reading makes one steep window.
    return elements._replace(values=rate, gap_ms=np.zeros_like(elements.ts))
