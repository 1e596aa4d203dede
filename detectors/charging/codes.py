"""Alarms that are codes: a port says them, and nothing is measured."""

from __future__ import annotations

import numpy as np

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind


def by_code(kind: AlarmKind) -> Detector:
    """The detector of a kind that has codes: it judges the code where that is one of them, else 0."""
    codes = np.array(kind.about.codes, float)

    def measure(values: np.ndarray) -> np.ndarray:
        return np.where(np.isin(values, codes), values, 0.0)

    def measured_slowly(value: float) -> float:
        return value if value in kind.about.codes else 0.0

    return Detector(kind, measure=measure, measured_slowly=measured_slowly)
