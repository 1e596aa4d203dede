"""Temperature by its rise: a failing joint heats in minutes, long before it reaches a level.

A temperature is compared with its own running mean. A cable that takes on load warms with a time constant of 20 to 60
min (domain.md, Normal life), and the mean follows with `memory_ms`. So a load that ends at 40 K more lies 15 K over its
mean at most, at any interval between reports: what lies above is no load [calculated: 40 K / e]. The mean moves by no
more than a value that is twice the limit over it would move it, so that a single wrong reading hides nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.latch import AT_REST, Elements, Findings, Watched, step

STATE: Final = np.dtype([AT_REST, ("begun", "i1"), ("mean_c", "f8")])
"""`begun` is 1 once there is a value; `mean_c` is the running mean."""
MOST: Final = 2.0
"""So many times the limit a value counts at most to the mean [ours]."""


def detect(state: Watched, elements: Elements) -> Findings:
    """Compare what each value lies over its running mean, in ℃, with the limits."""
    slots, limits = elements.slots, elements.limits
    mean = np.where(state["begun"][slots] == 1, state["mean_c"][slots], elements.values)
    most = MOST * limits["lowest"]
    share = elements.elapsed_ms / np.maximum(limits["memory_ms"] + elements.elapsed_ms, 1)
    mean = mean + np.clip(elements.values - mean, -most, most) * share
    state["begun"][slots], state["mean_c"][slots] = 1, mean
    return step(state, elements._replace(values=elements.values - mean), mean)
