"""A worker whose detectors raise on one value, so that the suite can show what a defect in a detector harms.

python -m tests.faults.raising worker detect
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from detectors import process
from detectors.latch import Elements, Findings
from detectors.state import FAMILIES, Family
from streams.cli import main

FATAL_VALUE: Final = 613.25


def _raising(family: Family) -> Family:
    def detect(table: np.ndarray, elements: Elements) -> Findings:
        if (elements.values == FATAL_VALUE).any():
            raise ZeroDivisionError("a defect, for the test")
        return family.detect(table, elements)

    return replace(family, detect=detect)


def put_defect() -> None:
    """From here on detectors of this process raise on `FATAL_VALUE`."""
    process.FAMILIES = tuple(_raising(family) for family in FAMILIES)  # type: ignore[attr-defined]


if __name__ == "__main__":
    put_defect()
    main()
