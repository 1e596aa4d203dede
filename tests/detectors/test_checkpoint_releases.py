"""Rows that earlier releases wrote (`releases/make.py`) are restored, and what is open in them goes on."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pytest

from detectors.checkpoints.layout import KNOWN, Layout, beginning_of, begins, parsed
from detectors.checkpoints.restore import restore_all
from detectors.checkpoints.rows import taken_apart
from detectors.device_status import DeviceFaults
from detectors.limits import load_limits
from detectors.state import PartitionState
from schemas.events import Alarm, alarm_id
from tests.detectors.given_reports import contents, run
from tests.detectors.rows_by_hand import Entry, device, value_of

FIXTURES: Final = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "releases").glob("*.json")
}
BEFORE_SENDERS, BEFORE_LAYOUTS, BEFORE_CONFIRMING = "1f5b90e", "666a82c", "0e860e8"
RISES: Final = ("residual_current_rise", "temperature_rise")
"""What keeps something else since, under other names."""
releases = pytest.mark.parametrize("release", sorted(FIXTURES))


def restored(release: str) -> PartitionState:
    state = PartitionState()
    assert restore_all(state, rows_of(release), layouts_of(release)).aside == {}
    return state


def rows_of(release: str) -> dict[bytes, bytes]:
    rows = FIXTURES[release]["rows"].items()
    return {base64.b64decode(key): base64.b64decode(value) for key, value in rows}


def layouts_of(release: str) -> Mapping[bytes, Layout]:
    """Those that are known, and the one that the release wrote beside its rows, if it wrote any."""
    text = FIXTURES[release].get("layout", "").encode()
    own = [parsed(beginning_of(text), text)] if text else []
    return {**KNOWN, **{layout.beginning: layout for layout in own}}


def then(release: str, state: PartitionState) -> list[Alarm]:
    """What this release says of the records that come next."""
    records = [(offset, arrival, value.encode()) for offset, arrival, value in FIXTURES[release]["then"]]
    return run(records, state, load_limits()).alarms


def devices(state: PartitionState) -> dict[tuple[str, bool], Entry]:
    return {
        (device_id, bool(test)): device(state, row)
        for row, (device_id, test) in enumerate(
            zip(state.device_ids, state.tests(np.arange(state.devices.size)), strict=True)
        )
    }


def test_there_are_rows_of_all_releases_whose_layouts_were_others_and_those_that_no_record_tells_are_known() -> None:
    versions = {release: fixture["version"] for release, fixture in FIXTURES.items()}
    assert versions == {BEFORE_SENDERS: 2, BEFORE_LAYOUTS: 3, BEFORE_CONFIRMING: 4}
    assert sorted(layout.version for layout in KNOWN.values()) == [2, 3, 4]


@releases
def test_an_alarm_that_is_open_keeps_its_id_and_its_next_event_is_that_of_its_own_release(release: str) -> None:
    opened = {one["alarm_id"] for one in FIXTURES[release]["alarms"]}
    was = {(one["alarm_id"], one["event"]) for one in FIXTURES[release]["then_alarms"] if one["kind"] not in RISES}
    now = {(one.alarm_id, one.event) for one in then(release, restored(release)) if one.kind not in RISES}
    # What came back as a warning and is urgent then is told so, which those releases did not.
    came_back = {one for one, event in was if event == "reactivated"}
    assert {one for one in now if one in was or one[0] not in came_back} == was
    assert {event for _, event in now - was} <= {"escalated"}
    assert {one for one, _ in now} <= opened
    # In the last of them a single normal value was no recovery any more, so there is none to come back from.
    again = set() if release == BEFORE_CONFIRMING else {"reactivated"}
    assert {event for _, event in now} == {"recovered", "escalated"} | again


@releases
def test_nothing_is_told_of_rises_that_are_none(release: str) -> None:
    found = then(release, restored(release))
    assert [one.alarm_id for one in found if one.kind == "temperature_rise"] == []


@releases
def test_a_rise_that_is_open_recovers_once_its_level_is_known_again(release: str) -> None:
    state = restored(release)
    then(release, state)
    begin, minute = 1_790_011_000_000, 60_000
    line = {"v": 1, "device_id": "LY-1", "device_kind": "electrical_monitor", "residual_current_ma": [60, 61]}
    values = [orjson.dumps(line | {"event_ts": begin + n * minute}) for n in range(60)]
    records = [(2_000 + n, begin + n * minute + 1_000, value) for n, value in enumerate(values)]
    found = [one for one in run(records, state, load_limits()).alarms if one.kind == "residual_current_rise"]
    opened = {one["alarm_id"] for one in FIXTURES[release]["alarms"] if one["kind"] == "residual_current_rise"}
    assert {(one.alarm_id, str(one.event)) for one in found} == {(one, "recovered") for one in opened}


@releases
def test_all_open_alarms_are_open_with_their_ids(release: str) -> None:
    found = {
        alarm_id(device_id, component, kind, latch["episode"], test): latch["severity"]
        for (device_id, test), one in devices(restored(release)).items()
        for (kind, component), latch in one["latches"].items()
        if latch["severity"]
    }
    # No person has reset any of them.
    assert found == {one["alarm_id"]: one["severity"] for one in FIXTURES[release]["alarms"]}


def test_a_row_of_before_reports_had_a_place_in_their_record_reflects_the_whole_record() -> None:
    state = restored(BEFORE_SENDERS)
    before = contents(state)
    again = [
        (one["row"]["offset"], 1_800_000_000_000, json.dumps([late(key, 0), late(key, 1)]).encode())
        for key, one in devices(state).items()
        if not key[1]
    ]
    result = run(sorted(again), state, load_limits())
    assert result.readable == result.skipped == len(again) * 2
    assert contents(state) == before


def late(key: tuple[str, bool], number: int) -> Mapping[str, Any]:
    return {"v": 1, "device_id": key[0], "device_kind": "electrical_monitor", "event_ts": 1_799_000_000_000 + number}


@releases
def test_what_both_know_goes_over(release: str) -> None:
    found = devices(restored(release))
    assert {key: one["row"]["offset"] for key, one in found.items()} == {
        ("LY-1", False): 1_020, ("LY-1", True): 1_021, ("LY-2", False): 1_022, ("CP-3", False): 1_023,
        ("电-4", False): 1_027, ("SM-5", False): 1_028, ("SM-6", False): 1_028,
    }  # fmt: skip
    line = found["LY-1", False]
    assert line["row"]["width"] == {"residual_current_ma": 2, "temperature_c": 2}
    assert found["CP-3", False]["row"]["device_kind"] == "charging_pile"
    assert found["SM-5", False]["row"]["device_kind"] == "smoke_detector"
    minute, neighbour = found["电-4", False]["minutes"]
    assert {minute["ts"], neighbour["ts"]} == {1_790_008_440_000, 1_790_008_500_000}
    whole = next(one for one in (minute, neighbour) if one["spread"])
    assert whole["last"]["temperature_c"] == [{"count": 3, "last_ms": 59_500, "last": 79.5}]
    assert whole["spread"]["temperature_c"] == [{"min": 21.0, "max": 79.5, "sum": 122.5}]
    assert found["电-4", False]["words"] == ["sensor_open"]
    assert found["电-4", False]["row"]["told"] == 1


@releases
def test_what_residual_current_rose_over_is_dropped_for_it_meant_something_else(release: str) -> None:
    assert_at_rest(release, "residual_current_rise", components=2)


@releases
def test_what_temperature_rose_over_is_dropped_for_it_meant_something_else(release: str) -> None:
    assert_at_rest(release, "temperature_rise", components=2)


def assert_at_rest(release: str, kind: str, components: int) -> None:
    """Whether a detector of LY-1 holds what it would of a new device."""
    entries = devices(restored(release))["LY-1", False]["keeps"][kind]
    assert len(entries) == components
    assert not any(np.any(held) for entry in entries for held in entry.values())


def test_what_the_release_before_senders_had_not_is_at_rest() -> None:
    state = restored(BEFORE_SENDERS)
    for one in devices(state).values():
        row = one["row"]
        assert row["remembered"] == [0] * 16
        assert (row["latest_own_ts"], row["interval_ms"], row["next"], row["judged_ts"]) == (0, 0, 0, {})
        assert all(set(channel.values()) == {0} for of in one["channels"].values() for channel in of)
        assert one["late"] == {}
    assert state.told == {list(devices(state)).index(("电-4", False)): DeviceFaults(("sensor_open",), {})}


@pytest.mark.parametrize("release", [BEFORE_LAYOUTS, BEFORE_CONFIRMING])
def test_of_a_row_nothing_is_lost_but_what_rises_were_compared_with(release: str) -> None:
    state, rows, again = restored(release), rows_of(release), dict[bytes, bytes]()
    layout = layouts_of(release)[begins(next(iter(rows.values())))]
    for row, (device_id, test) in enumerate(state.names(np.arange(state.devices.size))):
        again[f"{int(test)}{device_id}".encode()] = value_of(layout, device(state, row))
    assert again.keys() == rows.keys()
    was, now = (taken_apart(layout, list(rows), [one[key] for key in rows], None) for one in (rows, again))
    compared = {("keeps", kind) for kind in RISES}
    assert was.parts.keys() == now.parts.keys() > compared
    for section in was.parts.keys() - compared:
        assert was.parts[section].tobytes() == now.parts[section].tobytes()
    for name in ("heads", "latches", "latch_row", "late", "late_row"):
        assert getattr(was, name).tobytes() == getattr(now, name).tobytes()
    assert was.told == now.told
