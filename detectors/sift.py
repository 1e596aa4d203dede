"""What to do when a detector raises: find the records it raises on, and work off all others.

No report is known to make a detector raise; one that does is a defect here. Until that is mended it must harm only
itself.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np

from detectors.limits import LimitTable
from detectors.process import Result, process
from detectors.state import PartitionState
from schemas.reports import Reports


class Sifted(NamedTuple):
    """State and result of the records that could be worked off; the others' offsets, and what was raised on each."""

    state: PartitionState
    result: Result
    failed: dict[int, Exception]


def sift(reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Sifted:
    """`process`, but records that make it raise are left out. `state` stays as it was; the new one is returned.

    Tries all on a copy of the state; where that raises, one half and then the other, down to the single record.
    """
    tried = copy.deepcopy(state)
    try:
        return Sifted(tried, process(reports, tried, limits, now), {})
    except Exception as error:
        if not (middle := _middle(reports.offset)):
            return Sifted(state, Result(), {int(reports.offset[0]): error})
    first = sift(reports.between(0, middle), state, limits, now)
    second = sift(reports.between(middle, len(reports)), first.state, limits, now)
    return Sifted(second.state, first.result + second.result, first.failed | second.failed)


def _middle(offsets: np.ndarray) -> int:
    """Where a record begins, near the middle; 0 where there is but one record, which cannot be parted.

    A record of several reports is one to `process`: what a device's row reflects of it is taken for all of it.
    """
    begins = (np.diff(offsets) > 0).nonzero()[0] + 1
    return int(begins[len(begins) // 2]) if len(begins) else 0
