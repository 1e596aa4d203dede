"""The inputs of detectors: of a round's values those that each judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from detectors.charging.ports import PortFacts, PortsOfRound
from detectors.detector import Detector
from detectors.rounds import QuantityValues
from schemas.quantities import CODES

PHASES: Final = 3
_ALL: Final = slice(None)


class JudgedInput(NamedTuple):
    """What a detector judges of the m values of its first quantity: which of them, a slice for all, else int64[k]; what
    is compared with limits, float64[k]; and its other inputs, float64[k] each."""

    which: np.ndarray | slice
    values: np.ndarray
    others: tuple[np.ndarray, ...] = ()


class Inputs:
    """The values of a round's k reports, made ready for detectors as they are asked for. `is_pile`, bool[k], says which
    are of charging piles, and `ports` is what is known of ports, None where nothing is."""

    def __init__(self, shown: Sequence[QuantityValues], is_pile: np.ndarray, ports: PortsOfRound | None) -> None:
        self._shown, self._is_pile, self._ports = {one.code: one for one in shown}, is_pile, ports
        self._size, self._has_piles = len(is_pile), np.count_nonzero(is_pile) > 0
        self._tables: dict[int, np.ndarray] = {}
        self._groups: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._known: dict[int, tuple[np.ndarray, PortFacts]] = {}

    def has(self, detector: Detector) -> bool:
        """Whether there may be anything for a detector: quick, for most rounds have no pile."""
        return not (detector.knows_port and self._ports is None) and not (detector.piles_only and not self._has_piles)

    def of(self, detector: Detector, one: QuantityValues) -> JudgedInput:
        """What a detector judges of the values of its first quantity."""
        which: np.ndarray | slice = _ALL
        values = one.value
        if detector.of_phases:
            which, values = self._phases(one)
        others = tuple(self._beside(CODES[name], one) for name in detector.kind.about.inputs[1:])
        beside: tuple[PortFacts | np.ndarray, ...] = ()
        if detector.knows_port:
            which, values, beside = self._of_ports(one)
        elif detector.piles_only:
            which = self._is_pile[one.which].nonzero()[0]
            values = one.value[which]
        if detector.measures_beside:
            beside, others = (*beside, *(column[which] for column in others)), ()
        if detector.measure is not None and len(values):
            values = detector.measure(values, *beside)
            there = ~np.isnan(values)
            if not there.all():
                which = there.nonzero()[0] if isinstance(which, slice) else which[there]
                values = values[there]
        return JudgedInput(which, -values if detector.kind.about.below else values, others)

    def _of_ports(self, one: QuantityValues) -> tuple[np.ndarray, np.ndarray, tuple[PortFacts, ...]]:
        """Which values are of ports that are known, these values, and what is known of their ports."""
        if self._ports is None:
            return np.empty(0, np.int64), one.value[:0], ()
        if one.code not in self._known:
            self._known[one.code] = self._ports.of(one.which, one.component)
        which, facts = self._known[one.code]
        return which, one.value[which], (facts,)

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
