"""The inputs of detectors: of a round's values those that each judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from detectors.detector import Detector
from detectors.rounds import QuantityValues
from schemas.quantities import CODES

PHASES: Final = 3
_ALL: Final = slice(None)


class Measured(NamedTuple):
    """What a detector judges of the m values of its first quantity: which of them, a slice for all, else int64[k]; what
    is compared with limits, float64[k]; and its other inputs, float64[k] each."""

    which: np.ndarray | slice
    values: np.ndarray
    others: tuple[np.ndarray, ...] = ()


class Inputs:
    """The values of a round's k reports, made ready for detectors as they are asked for."""

    def __init__(self, shown: Sequence[QuantityValues], size: int) -> None:
        self._shown, self._size = {one.code: one for one in shown}, size
        self._tables: dict[int, np.ndarray] = {}
        self._groups: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def of(self, detector: Detector, one: QuantityValues) -> Measured:
        """What a detector judges of the values of its first quantity."""
        which: np.ndarray | slice = _ALL
        values = one.value
        if detector.of_phases:
            which, values = self._phases(one)
        others = tuple(self._beside(CODES[name], one) for name in detector.kind.about.inputs[1:])
        if detector.measure is not None and len(values):
            values = detector.measure(values)
            there = ~np.isnan(values)
            if not there.all():
                which = there.nonzero()[0] if isinstance(which, slice) else which[there]
                values = values[there]
        return Measured(which, -values if detector.kind.about.below else values, others)

    def _phases(self, one: QuantityValues) -> tuple[np.ndarray, np.ndarray]:
        """Which values are the first of three phases that their reports have, and all three of each, float64[k, 3]."""
        if one.code not in self._groups:
            table = self._table(one.code)
            first = ((one.component % PHASES == 0) & (one.component + PHASES <= table.shape[1])).nonzero()[0]
            components = one.component[first][:, None] + np.arange(PHASES)
            values = table[one.which[first][:, None], components]
            whole = ~np.isnan(values).any(axis=1)
            self._groups[one.code] = first[whole], values[whole]
        return self._groups[one.code]

    def _beside(self, code: int, one: QuantityValues) -> np.ndarray:
        """The values of another quantity of the same components, NaN where there is none."""
        table = self._table(code)
        found = np.full(len(one.value), np.nan)
        within = one.component < table.shape[1]
        found[within] = table[one.which[within], one.component[within]]
        return found

    def _table(self, code: int) -> np.ndarray:
        """All values of a quantity, float64[k, components], NaN where there is none."""
        if code not in self._tables:
            one = self._shown.get(code)
            table = np.full((self._size, 0 if one is None else int(one.component.max()) + 1), np.nan)
            if one is not None:
                table[one.which, one.component] = one.value
            self._tables[code] = table
        return self._tables[code]
