"""What happens when a detector raises: the reports it raises on are found, and all others are processed.

No report is known to make a detector raise; one that does shows a defect here. Until that is mended it must harm only
itself, and delay no other for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detectors.checkpoints.encode import encode
from detectors.checkpoints.restore import restore_all
from detectors.limits import LimitTable
from detectors.process import process
from detectors.rounds import Result
from detectors.state import PartitionState
from schemas.rejects import DETECTOR_FAILED
from schemas.report_rules import Fault
from schemas.reports import Reports


class Sifted(NamedTuple):
    """The result of the reports that could be processed; the others' offsets and indices, and what was raised on
    each."""

    result: Result
    failed: dict[tuple[int, int], Exception]


def sift(reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Sifted:
    """`process`, in place, but reports that make it raise are left out, as if they had never been there.

    Tries all; where that raises, puts the rows of their devices back, and tries one half and then the other, down to
    the single report."""
    before = RowsBefore(list(zip(reports.device_id, reports.test.tolist(), strict=True)), state)
    try:
        return Sifted(process(reports, state, limits, now), {})
    except Exception as error:
        before.put_back(state)
        if len(reports) == 1:
            return Sifted(Result(), {(int(reports.offset[0]), int(reports.index[0])): error})
    middle = len(reports) // 2
    first = sift(reports.between(0, middle), state, limits, now)
    second = sift(reports.between(middle, len(reports)), state, limits, now)
    return Sifted(first.result + second.result, first.failed | second.failed)


class RowsBefore:
    """The rows of some devices, by id and whether of test data, as they were."""

    def __init__(self, devices: Sequence[tuple[str, bool]], state: PartitionState) -> None:
        found = state.find([device_id for device_id, _ in devices], np.array([test for _, test in devices], np.bool_))
        rows = np.unique(found[found >= 0])
        self._new = {devices[number] for number in (found < 0).nonzero()[0].tolist()}
        self._rows = dict(encode(state, rows.tolist()))
        self._dirty = rows[state.devices.dirty[rows]]

    def put_back(self, state: PartitionState) -> None:
        """Let them be so again; the devices that were new are not there any more."""
        for test in (False, True):
            devices = [device_id for device_id, of_test in self._new if of_test == test]
            rows = state.find(devices, np.full(len(devices), test))
            state.remove(rows[rows >= 0])
        restore_all(state, self._rows)
        state.devices.dirty[self._dirty] = True
        # Whom the half-done work has forgotten is written anew, after the word that it is gone.
        gone = state.forgotten
        forgotten = state.find([device_id for device_id, _ in gone], np.array([test for _, test in gone], np.bool_))
        state.devices.dirty[forgotten[forgotten >= 0]] = True


def fault_of(error: Exception) -> Fault:
    """What a reject says of a report on which a detector raised."""
    why = f"{type(error).__name__}: {error}"[:100]
    return Fault(DETECTOR_FAILED, f"{why}; its readings are stored. Please report this defect of emberline")
