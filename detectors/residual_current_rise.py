"""Residual current by its rise over the device's own learned baseline.

A line that always leaks 40 mA and now leaks 160 mA is failing, though 160 mA is normal elsewhere. The baseline is a
running mean while it is learned, and from then on forgets with `memory_ms`. It learns only from values that are no
rise, so a fault never becomes the new normal. Until it is learned (`learn_ms` and `learn_samples`), no rise is found.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.latch import AT_REST, NOTHING, Elements, Findings, Watched, step

STATE: Final = np.dtype([AT_REST, ("baseline", "f8"), ("known_ms", "i8"), ("unlearned_ms", "i8"), ("samples", "i4")])
"""`known_ms` is for how long the component is known, `unlearned_ms` how long ago it last taught its baseline."""

MAX_SAMPLES: Final = 1_000_000
"""Where counting stops: 1/n is long below any forgetting by then."""


def detect(state: Watched, elements: Elements) -> Findings:
    """Compare each value's rise over its baseline, in mA, with the limits, then let the normal values teach it."""
    slots, limits = elements.slots, elements.limits
    known = state["known_ms"][slots] + elements.elapsed_ms
    state["known_ms"][slots] = known
    state["unlearned_ms"][slots] += elements.elapsed_ms
    learned = (state["samples"][slots] >= limits["learn_samples"]) & (known >= limits["learn_ms"])
    baseline = state["baseline"][slots]
    rise = elements.values - baseline
    risen = learned & (rise >= limits["warning"])
    _learn(state, elements.take(~risen) if np.count_nonzero(risen) else elements)
    judged = learned.nonzero()[0]
    if not len(judged):
        return NOTHING
    findings = step(state, elements._replace(values=rise).take(judged), baseline[judged])
    return findings._replace(element=judged[findings.element])


def late(state: Watched, elements: Elements) -> np.ndarray:
    """What late values are compared with, float64[m]: the baseline, NaN where none is learned yet."""
    slots, limits = elements.slots, elements.limits
    learned = (state["samples"][slots] >= limits["learn_samples"]) & (state["known_ms"][slots] >= limits["learn_ms"])
    return np.where(learned, state["baseline"][slots], np.nan)


def _learn(state: Watched, elements: Elements) -> None:
    """Weigh a value by 1/n at first and by elapsed / (memory + elapsed) later, whichever is more.

    Rational on purpose: exp() differs in its last bit between numpy and Python, and the slow twin compares exactly.
    """
    slots, values, limits = elements.slots, elements.values, elements.limits
    held, baseline, elapsed = state["samples"][slots], state["baseline"][slots], state["unlearned_ms"][slots]
    samples = np.minimum(held + 1, MAX_SAMPLES)
    # The first value weighs 1, whatever the time since nothing.
    weight = np.maximum(1.0 / samples, elapsed / np.maximum(limits["memory_ms"] + elapsed, 1))
    state["baseline"][slots] = baseline + weight * (values - baseline)
    state["unlearned_ms"][slots] = 0
    state["samples"][slots] = samples
