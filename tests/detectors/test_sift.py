"""Whatever a detector raises on, every other report is processed as if that one had never been there."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors import sift as module
from detectors.checkpoints.encode import changed, encode, key_of
from detectors.limits import LimitTable
from detectors.process import process
from detectors.rounds import Result
from detectors.sift import Sifted, sift
from detectors.state import FORGOTTEN_ONCE_MS, PartitionState
from detectors.twin.oracle import Record
from schemas.reports import Reports, decode
from tests.detectors.given_reports import NOW, T0, contents, fleets, record, records_of, report, run
from tests.detectors.test_process_equals_twin import quick_limits

PROFILE = settings(
    max_examples=60, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    return quick_limits(tmp_path_factory.mktemp("limits"))


def sifted(records: list[Record], fatal: set[tuple[int, int]], state: PartitionState, limits: LimitTable) -> Sifted:
    """What becomes of records of which the reports at these indices make a detector raise."""

    def raising(reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Result:
        """Raises with the state half changed, as a defect would."""
        bad = fatal & set(zip(reports.offset.tolist(), reports.index.tolist(), strict=True))
        half = reports.between(0, len(reports) // 2) if bad else reports
        result = process(half, state, limits, now)
        if bad:
            raise ZeroDivisionError
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "process", raising)
        return sift(decode(records_of(records), limits.absences)[0], state, limits, NOW)


@PROFILE
@given(records=fleets(), fatal=st.sets(st.integers(0, 60), max_size=4), before=st.integers(0, 10))
def test_what_raises_is_left_out_and_all_else_is_as_if_it_had_not_been_there(
    limits: LimitTable, records: list[Record], fatal: set[int], before: int
) -> None:
    state = PartitionState()
    run(records[:before], state, limits)
    wanted_state = copy.deepcopy(state)
    reports, _ = decode(records_of(records[before:]), limits.absences)
    indices = list(zip(reports.offset.tolist(), reports.index.tolist(), strict=True))
    bad = {indices[number] for number in fatal if number < len(indices)}
    good = reports.only(np.array([at not in bad for at in indices], np.bool_))
    wanted = process(good, wanted_state, limits, NOW)
    found = sifted(records[before:], bad, state, limits)
    assert found.failed.keys() == bad
    assert found.result == wanted
    assert contents(state) == contents(wanted_state)
    assert dict(changed(state)) == dict(changed(wanted_state))


def test_a_new_device_of_which_every_report_raises_is_not_there_afterwards(limits: LimitTable) -> None:
    state = PartitionState(2)
    records = [record(0, report(T0, "X-1")), record(1, report(T0, "LY-1")), record(2, report(T0, "X-1"))]
    found = sifted(records, {(0, 0), (2, 0)}, state, limits)
    assert found.failed.keys() == {(0, 0), (2, 0)}
    assert [key for key, _ in changed(state)] == [key_of("LY-1", False)]
    run([record(3, report(T0, "LY-2"))], state, limits)
    assert len(state) == 2


def test_a_device_that_half_done_work_has_forgotten_is_not_lost(limits: LimitTable) -> None:
    state, day_ms = PartitionState(1), FORGOTTEN_ONCE_MS + 60_000
    run([record(0, report(T0, "LY-1"), ingest_ts=T0)], state, limits)
    changed(state)
    late = [record(n, report(T0 + day_ms, name), ingest_ts=T0 + day_ms) for n, name in ((1, "X-1"), (2, "LY-1"))]
    sifted([*late, late[1]], {(1, 0)}, state, limits)
    assert len(state) == 1
    assert dict(changed(state))[key_of("LY-1", False)] is not None
    assert run(late[1:], state, limits).skipped == 1


def test_no_state_is_copied_to_sift(limits: LimitTable, monkeypatch: pytest.MonkeyPatch) -> None:
    state = PartitionState()
    run([record(0, *(report(T0, f"LY-{n}", temperature_c=[30]) for n in range(500)))], state, limits)
    encoded: list[int] = []

    def counted(state: PartitionState, rows: list[int]) -> Iterator[tuple[bytes, bytes]]:
        encoded.append(len(rows))
        return encode(state, rows)

    monkeypatch.setattr(module, "encode", counted)
    sifted([record(1, report(T0 + 1, "LY-1")), record(2, report(T0 + 1, "LY-2"))], {(2, 0)}, state, limits)
    assert max(encoded) == 2
