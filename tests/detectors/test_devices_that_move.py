"""A device that goes on in another partition, with what was kept of it, is the device that it was."""

from __future__ import annotations

import pytest
from hypothesis import given

from detectors.checkpoints.encode import encode
from detectors.checkpoints.restore import adopt
from detectors.control.changes import change
from detectors.limits import LimitTable
from detectors.state import PartitionState
from detectors.statuses import FIRST_SILENT, check_silence, silent_at
from detectors.twin.oracle import Oracle, Record, timeless
from schemas.registry import DeviceEntry
from tests.detectors.given_reports import (
    KEY,
    T0,
    contents,
    fleets,
    headers_of,
    never_still,
    readings,
    record,
    report,
    run,
    told,
)
from tests.detectors.test_process_equals_twin import PROFILE, quick_limits

AWAY_MS = 3_600_000


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    return quick_limits(tmp_path_factory.mktemp("limits"))


@PROFILE
@given(before=fleets(20), after=fleets(20))
def test_what_moves_goes_on_as_the_twin_goes_on(limits: LimitTable, before: list[Record], after: list[Record]) -> None:
    here, there = PartitionState(), PartitionState()
    told([before], here, limits)
    slow_here, slow_there = Oracle(limits), Oracle(limits)
    for offset, ts, value in before:
        slow_here.feed(offset, ts, value, KEY, headers_of(value))
    adopt(there, dict(encode(here, here.held().tolist())))
    for device in slow_here.devices.values():
        slow_there.take_over(device)
    came = max(ts for _, ts, _ in before) - T0
    passing = never_still([(offset, ts + came, value) for offset, ts, value in after], T0 + 2 * came + AWAY_MS)
    for offset, ts, value in passing:
        slow_there.feed(offset, ts, value, KEY, headers_of(value))
    found, wanted = told([passing], there, limits), slow_there.told
    assert (found.alarms, found.aggregates, found.sessions, found.statuses) == (
        timeless(wanted.alarms),
        wanted.aggregates,
        wanted.sessions,
        wanted.statuses,
    )


def test_an_alarm_that_is_open_recovers_where_the_device_is_by_then_under_its_id(limits: LimitTable) -> None:
    (opened,) = told([readings("arc_half_cycles", 20)], here := PartitionState(), limits).alarms
    adopted = adopt(there := PartitionState(), dict(encode(here, [0])))
    assert adopted.reflects == {b"0LY-1": (0, 0)}
    later = [record(n, report(T0 + (n + 1) * 60_000, arc_half_cycles=[count])) for n, count in enumerate((20, 0, 0))]
    found = told([later], there, limits)
    assert [(one.event, one.alarm_id) for one in found.alarms] == [("recovered", opened.alarm_id)]
    # Of a device that is new here one report tells that it is online, and so does that of one that came.
    assert [(one.status, one.source_offset) for one in found.statuses] == [("online", 0)]


def test_no_checkpoint_writes_a_row_that_moves_by_itself_and_nothing_else_is_changed_by_it(limits: LimitTable) -> None:
    told([readings("residual_current_ma", 450, 450)], here := PartitionState(), limits)
    told([readings("temperature_c", 30, device_id="LY-2")], there := PartitionState(), limits)
    there.devices.dirty[:] = False
    before = contents(there)
    adopt(there, dict(encode(here, [0])))
    assert not there.devices.dirty.any()
    assert [one for one in contents(there) if one[0] == b"0LY-2"] == before


def test_what_lies_before_a_device_came_is_not_told_of_it_after_a_crash_either(limits: LimitTable) -> None:
    told([readings("temperature_c", 30)], here := PartitionState(), limits)
    log = [(7, T0 + 60_000, b"{"), record(8, report(T0 + 60_000, temperature_c=[30]))]
    first, successor = PartitionState(), PartitionState()
    before = told([log[:1]], first, limits)
    for state in (first, successor):
        adopt(state, dict(encode(here, [0])), before=8)
    once = told([log[1:]], first, limits).statuses
    assert [(one.source_offset, one.faults) for one in once] == [(8, [])]
    assert told([log], successor, limits).statuses == before.statuses + once


def test_a_row_that_cannot_be_read_stays_where_it_is(limits: LimitTable) -> None:
    told([readings("temperature_c", 30)], here := PartitionState(), limits)
    (key, row) = next(encode(here, [0]))
    adopted = adopt(there := PartitionState(), {key: row[:-20], b"0LY-3": b""})
    assert (adopted.reflects, len(there)) == ({}, 0)
    assert adopted.restored.aside.keys() == {key, b"0LY-3"}


def test_of_a_device_that_is_gone_no_silence_is_told_and_all_others_keep_their_positions(limits: LimitTable) -> None:
    def silent() -> PartitionState:
        state = PartitionState()
        run([record(n, report(T0, f"LY-{n}", temperature_c=[30]), ingest_ts=T0) for n in range(3)], state, limits)
        return state

    late = T0 + AWAY_MS
    state = silent()
    state.log.awake_ts = T0
    assert sorted(silent_at(state, late - 1, late)) == [("LY-0", False), ("LY-1", False), ("LY-2", False)]
    state.devices.dirty[:] = False
    found = check_silence(state, late - 1, late, 9, {("LY-1", False)})
    assert [(one.device_id, one.source_ordinal - FIRST_SILENT) for one in found] == [("LY-0", -3), ("LY-2", -1)]
    assert (state.forgotten, len(state)) == ([("LY-1", False)], 2)
    assert silent_at(state, late, late + 1) == []
    everybody = check_silence(silent(), late - 1, late, 9)
    assert [one for one in everybody if one.device_id != "LY-1"] == found


def test_of_a_device_that_came_is_registered_what_its_partition_knows(limits: LimitTable) -> None:
    here, there, slow_here, slow_there = PartitionState(), PartitionState(), Oracle(limits), Oracle(limits)
    entry = DeviceEntry(1, "LY-1", kind="charging_pile", interval_s=7_200, unit_name="国贸大厦")
    change(entry, here, limits)
    slow_here.registry.take(entry, [])
    before = readings("residual_current_ma", 9, 9)
    told([before], here, limits)
    # What is registered of it after its last report is not of its row, which reflects that report.
    row = dict(encode(here, here.held().tolist()))
    change(DeviceEntry(1, "LY-1", kind="smoke_detector"), here, limits)
    assert dict(encode(here, here.held().tolist())) == row
    for offset, ts, value in before:
        slow_here.feed(offset, ts, value, KEY, headers_of(value))
    adopt(there, dict(encode(here, here.held().tolist())))
    for device in slow_here.devices.values():
        slow_there.take_over(device)
    # Its kind is its reports' from now on, and an hour without one is silence again.
    came = [record(n, report(T0 + 60_000 * (n + 1), residual_current_ma=[120])) for n in range(3)]
    after = never_still(came, T0 + AWAY_MS)
    for offset, ts, value in after:
        slow_there.feed(offset, ts, value, KEY, headers_of(value))
    found = told([after], there, limits)
    assert (found.alarms, found.statuses) == (timeless(slow_there.told.alarms), slow_there.told.statuses)
    assert [one.status for one in found.statuses][-1] == "offline"
