"""Temperature by its rate of rise: a failing joint heats in minutes, long before it reaches a level.

The rate is taken over windows of at least `window_ms`: from a window's first value to the first one at or past its
end, which begins the next. A window longer than that (a device that reports seldom) gives its mean rate.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.latch import AT_REST, NOTHING, Elements, Findings, Watched, step

STATE: Final = np.dtype([AT_REST, ("begun", "i1"), ("window_ms", "i8"), ("window_value", "f8")])
"""`begun` is 1 once there is a window; `window_ms` is how long it has lasted, `window_value` what it began with."""

MS_PER_MINUTE: Final = 60_000


def detect(state: Watched, elements: Elements) -> Findings:
    """Compare the rate of rise of each window that ends here, in ℃/min, with the limits."""
    slots = elements.slots
    lasted = state["window_ms"][slots] + elements.elapsed_ms
    state["window_ms"][slots] = lasted
    first = state["begun"][slots] == 0
    over = lasted >= elements.limits["window_ms"]
    anew = (first | over).nonzero()[0]
    if not len(anew):
        return NOTHING
    ended = (over & ~first).nonzero()[0]
    rates = _rates(state, elements.take(ended), lasted[ended])
    slots = slots[anew]
    state["begun"][slots], state["window_ms"][slots] = 1, 0
    state["window_value"][slots] = elements.values[anew]
    findings = step(state, rates)
    return findings._replace(element=ended[findings.element])


def _rates(state: Watched, elements: Elements, lasted_ms: np.ndarray) -> Elements:
    """The rates over windows that end, in place of their values."""
    rate = (elements.values - state["window_value"][elements.slots]) * MS_PER_MINUTE / np.maximum(lasted_ms, 1)
    # Two windows in a row confirm, however seldom a device reports: one wrong reading makes one steep window.
    nothing = np.zeros_like(elements.ts)
    return elements._replace(values=rate, step_ms=lasted_ms, credit_ms=nothing, gap=np.zeros(len(nothing), np.bool_))
