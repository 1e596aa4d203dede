"""Whatever a detector raises on, every other record is worked off as if that one had never been there."""

from __future__ import annotations

import copy

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors import sift as module
from detectors.limits import LimitTable
from detectors.process import Result, process
from detectors.sift import sift
from detectors.state import PartitionState
from detectors.twin import Record
from schemas.reports import Reports, decode
from tests.detectors.given_reports import NOW, contents, fleets, records_of, run
from tests.detectors.test_process_equals_twin import quick_limits

PROFILE = settings(
    max_examples=30, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    return quick_limits(tmp_path_factory.mktemp("limits"))


@PROFILE
@given(records=fleets(), fatal=st.sets(st.integers(0, 30), max_size=4), before=st.integers(0, 10))
def test_what_raises_is_left_out_and_all_else_is_as_if_it_had_not_been_there(
    limits: LimitTable, records: list[Record], fatal: set[int], before: int
) -> None:
    fatal_offsets = {records[number][0] for number in fatal if before <= number < len(records)}
    good = [record for record in records[before:] if record[0] not in fatal_offsets]
    state = PartitionState()
    run(records[:before], state, limits)
    wanted_state = copy.deepcopy(state)
    wanted = run(good, wanted_state, limits)
    untouched = copy.deepcopy(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "process", _raising_on(fatal_offsets))
        sifted = sift(decode(records_of(records[before:]))[0], state, limits, NOW)
    assert set(sifted.failed) == fatal_offsets & set(decode(records_of(records))[0].offset.tolist())
    assert sifted.result == wanted
    assert contents(sifted.state) == contents(wanted_state)
    assert contents(state) == contents(untouched)


def _raising_on(offsets: set[int]) -> object:
    def raising(reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Result:
        """Raises with the state half changed, as a defect would."""
        half = reports.between(0, len(reports) // 2) if offsets & set(reports.offset.tolist()) else reports
        result = process(half, state, limits, now)
        if half is not reports:
            raise ZeroDivisionError
        return result

    return raising
