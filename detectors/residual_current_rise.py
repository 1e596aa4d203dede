"""Residual current by its rise over the device's own learned baseline.

A line that always leaks 40 mA and now leaks 160 mA is failing, though 160 mA is normal elsewhere. The baseline is a
running mean while it is learned and then forgets with `memory_ms`; it learns only from values that are no rise, so a
fault never becomes the new normal. Until it is learned (`learn_ms` and `learn_samples`) nothing is said.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.latch import LATCH, NOTHING, Elements, Findings, step

STATE: Final = np.dtype([*LATCH, ("baseline", "f8"), ("first_ts", "i8"), ("last_ts", "i8"), ("samples", "i4")])

MAX_SAMPLES: Final = 1_000_000
"""Where counting stops: 1/n is long below any forgetting by then."""


def detect(state: np.ndarray, elements: Elements) -> Findings:
    """Compare each value's rise over its baseline, in mA, with the limits, then let the normal values teach it."""
    held = state[elements.slots]
    limits = elements.limits
    learned = (held["samples"] >= limits["learn_samples"]) & (elements.ts - held["first_ts"] >= limits["learn_ms"])
    rise = elements.values - held["baseline"]
    normal = ~learned | (rise < limits["warning"])
    _learn(state, elements.take(normal))
    if not learned.any():
        return NOTHING
    risen = elements._replace(values=rise).take(learned)
    findings = step(state, risen, held["baseline"][learned])
    return findings._replace(element=learned.nonzero()[0][findings.element])


def _learn(state: np.ndarray, elements: Elements) -> None:
    """Weigh a value by 1/n at first and by elapsed / (memory + elapsed) later, whichever is more.

    Rational on purpose: exp() differs in its last bit between numpy and Python, and the slow twin compares exactly.
    """
    slots, values, ts, _, limits = elements
    held = state[slots]
    first = held["samples"] == 0
    samples = np.minimum(held["samples"] + 1, MAX_SAMPLES)
    elapsed = np.where(first, 0, np.maximum(ts - held["last_ts"], 0))
    weight = np.maximum(1.0 / samples, elapsed / np.maximum(limits["memory_ms"] + elapsed, 1))
    held["baseline"] = np.where(first, values, held["baseline"] + weight * (values - held["baseline"]))
    held["first_ts"] = np.where(first, ts, held["first_ts"])
    held["last_ts"] = ts
    held["samples"] = samples
    state[slots] = held
