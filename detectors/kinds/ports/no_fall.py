"""Power that does not fall though any battery would be full by now: for how long a charge has lasted, h.

It is judged as long as the power is near its plateau and has never fallen. A float has fallen before; what takes
less than `LEAST_W` is no charger of a bicycle."""

from __future__ import annotations

from typing import Final

import numpy as np

from detectors.charging.ports import LEAST_W, PortFacts
from detectors.detector import Detector
from detectors.twin.charging import TwinFacts
from schemas.alarm_kinds import AlarmKind

NEAR: Final = 0.8
"""Within ± 10 % a plateau is constant (domain.md, Normal life); the half of it is for noise [ours]."""
_HOUR_MS: Final = 3_600_000


def _measure(power: np.ndarray, port: PortFacts) -> np.ndarray:
    near = np.minimum(power, port.smooth_w) >= NEAR * port.plateau_w
    return np.where(near & (port.plateau_w >= LEAST_W) & ~port.fell, port.charging_ms / _HOUR_MS, 0.0)


def _slowly(power: float, port: TwinFacts) -> float:
    near = min(power, port.smooth_w) >= NEAR * port.plateau_w
    return port.charging_ms / _HOUR_MS if near and port.plateau_w >= LEAST_W and not port.fell else 0.0


DETECTOR: Final = Detector(AlarmKind.NO_FALL, measure=_measure, measured_slowly=_slowly, knows_port=True)
