"""Rows that earlier releases wrote (`releases/make.py`) are restored, and what is open in them goes on."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from detectors.checkpoints.layout import KNOWN, begins
from detectors.checkpoints.restore import restore_all
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
BEFORE_SENDERS, BEFORE_LAYOUTS = "1f5b90e", "666a82c"
releases = pytest.mark.parametrize("release", sorted(FIXTURES))


def restored(release: str) -> PartitionState:
    state = PartitionState()
    rows = FIXTURES[release]["rows"].items()
    assert restore_all(state, {base64.b64decode(key): base64.b64decode(value) for key, value in rows}).aside == {}
    return state


def then(release: str, state: PartitionState) -> list[Alarm]:
    """What this release says of the records that come next."""
    records = [(offset, arrival, value.encode()) for offset, arrival, value in FIXTURES[release]["then"]]
    return run(records, state, load_limits()).alarms


def devices(state: PartitionState) -> dict[tuple[str, bool], Entry]:
    return {
        (device_id, bool(test)): device(state, row)
        for row, (device_id, test) in enumerate(zip(state.device_ids, state.tests(np.arange(state.size)), strict=True))
    }


def test_there_are_rows_of_both_releases_and_their_layouts_are_known() -> None:
    assert set(FIXTURES) == {BEFORE_SENDERS, BEFORE_LAYOUTS}
    versions = {release: fixture["version"] for release, fixture in FIXTURES.items()}
    assert versions == {BEFORE_SENDERS: 2, BEFORE_LAYOUTS: 3}
    assert sorted(layout.version for layout in KNOWN.values()) == [2, 3, 4]


@releases
def test_an_alarm_that_is_open_keeps_its_id_and_its_next_event_is_that_of_its_own_release(release: str) -> None:
    was = {(one["alarm_id"], one["event"]) for one in FIXTURES[release]["then_alarms"]}
    now = {(one.alarm_id, one.event) for one in then(release, restored(release))}
    assert now == was
    opened = {one["alarm_id"] for one in FIXTURES[release]["alarms"]}
    assert {one for one, _ in now} <= opened
    assert {event for _, event in now} == {"recovered", "escalated", "reactivated"}


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
    (rise, other) = line["keeps"]["residual_current_rise"]
    assert rise["baseline"] == pytest.approx(60)
    assert (rise["samples"], rise["known_ms"] >= 12 * 600_000) == (13, True)
    assert other["samples"] == 15
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


def test_what_the_release_before_senders_had_not_is_at_rest() -> None:
    state = restored(BEFORE_SENDERS)
    for one in devices(state).values():
        row = one["row"]
        assert row["remembered"] == [0] * 16
        assert (row["latest_own_ts"], row["interval_ms"], row["next"], row["judged_ts"]) == (0, 0, 0, {})
        assert all(set(channel.values()) == {0} for of in one["channels"].values() for channel in of)
        assert one["late"] == {}
    assert state.told == {list(devices(state)).index(("电-4", False)): DeviceFaults(("sensor_open",), {})}


def test_of_a_row_of_before_layouts_nothing_is_lost() -> None:
    state = restored(BEFORE_LAYOUTS)
    rows = {base64.b64decode(key): base64.b64decode(value) for key, value in FIXTURES[BEFORE_LAYOUTS]["rows"].items()}
    again = {}
    for row, (device_id, test) in enumerate(state.devices(np.arange(state.size))):
        key = f"{int(test)}{device_id}".encode()
        again[key] = value_of(KNOWN[begins(rows[key])], device(state, row))
    assert again == rows
