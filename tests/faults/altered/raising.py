"""A worker whose detectors raise on one value, so that the suite can show what a defect in a detector harms.

python -m tests.faults.altered.raising worker detect
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cli.main import main
from detectors import alarms
from detectors.detector import Detector
from detectors.kinds import DETECTORS
from detectors.latch import Elements, Findings, Watched

FATAL_VALUE: Final = 613.25


def _raising(detector: Detector) -> Detector:
    def detect(state: Watched, elements: Elements) -> Findings:
        if (elements.values == FATAL_VALUE).any():
            raise ZeroDivisionError("a defect, for the test")
        return detector.detect(state, elements)

    return replace(detector, detect=detect)


def put_defect() -> None:
    """From here on detectors of this process raise on `FATAL_VALUE`."""
    alarms.DETECTORS = tuple(_raising(detector) for detector in DETECTORS)  # type: ignore[attr-defined,assignment]


if __name__ == "__main__":
    put_defect()
    main()
