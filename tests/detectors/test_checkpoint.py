"""A state put down and taken up again goes on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.checkpoints.encode import changed, encode, key_of
from detectors.checkpoints.layout import OWN
from detectors.checkpoints.restore import restore_all
from detectors.device_status import DeviceFaults
from detectors.limits import LimitTable, load_limits
from detectors.sift import sift
from detectors.state import PartitionState
from detectors.statuses import check_silence
from detectors.twin.oracle import Record, Told
from schemas.quantities import CODES
from schemas.reports import decode
from tests.detectors.given_reports import (
    NOW,
    T0,
    contents,
    crowds,
    fleets,
    record,
    records_of,
    report,
    run,
    slowly,
    told,
)  # fmt: skip

PROFILE = settings(
    max_examples=30, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
QUICK = """
[default.residual_current_rise]
window_s = 12
confirm_warning_s = 1
[default.temperature_rise]
memory_s = 60
confirm_warning_s = 2
"""


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    path: Path = tmp_path_factory.mktemp("limits") / "limits.toml"
    path.write_text(QUICK, encoding="utf-8")
    return load_limits(path)


def copied(state: PartitionState) -> PartitionState:
    """The state by way of its checkpoints."""
    fresh = PartitionState()
    restored = restore_all(fresh, dict(contents(state)))
    assert not restored.aside
    return fresh


def restore(state: PartitionState, key: bytes, value: bytes) -> None:
    """One row of this release."""
    assert not restore_all(state, {key: value}).aside


def after(found: Told, offset: int) -> Told:
    """What follows from records past `offset`."""
    return Told(
        [event for event in found.alarms if event.source_offset > offset],
        [event for event in found.aggregates if event.source_offset > offset],
        [event for event in found.statuses if event.source_offset > offset],
        [one for one in found.rejects if one[0] > offset],
        requests=[event for event in found.requests if event.source_offset > offset],
        sessions=[event for event in found.sessions if event.source_offset > offset],
    )


@PROFILE
@given(records=fleets(), stop=st.integers(0, 40))
def test_stopping_at_any_point_and_going_on_equals_never_having_stopped(
    limits: LimitTable, records: list[Record], stop: int
) -> None:
    before, rest = records[:stop], records[stop:]
    state = PartitionState()
    told([before], state, limits)
    restored = copied(state)
    assert told([[one] for one in rest], restored, limits) == told([rest], state, limits)
    assert contents(restored) == contents(state)


def test_a_restored_alarm_that_is_over_has_the_peak_it_had_whatever_kind_its_device_is_by_then(
    limits: LimitTable,
) -> None:
    # What is an alarm of a pile is nothing of a monitor: 150 mA lie above the peak and below all limits.
    pile = [
        report(T0 + 30_000 * number, kind="charging_pile", residual_current_ma=[40 * (number < 2)])
        for number in range(4)
    ]
    monitor = report(T0 + 120_000, residual_current_ma=[150])
    again = [
        report(T0 + 150_000 + 30_000 * number, kind="charging_pile", residual_current_ma=[35]) for number in range(2)
    ]
    records = [record(offset, one) for offset, one in enumerate([*pile, monitor, *again])]
    told([records[:4]], state := PartitionState(), limits)
    found = told([records[4:]], restored := copied(state), limits).alarms
    assert [(one.event, one.peak) for one in found if one.kind == "residual_current"] == [("reactivated", 40)]
    told([records[4:]], state, limits)
    assert contents(restored) == contents(state)


@PROFILE
@given(records=fleets(), stops=st.tuples(st.integers(0, 40), st.integers(0, 40)), older=st.sets(st.integers(0, 5)))
def test_rows_at_mixed_offsets_are_exact_once_replayed_from_the_oldest(
    limits: LimitTable, records: list[Record], stops: tuple[int, int], older: set[int]
) -> None:
    early, late = sorted(min(stop, len(records)) for stop in stops)
    state = PartitionState()
    told([records[:early]], state, limits)
    kept = contents(state)
    told([records[early:late]], state, limits)
    restored = PartitionState()
    for key, value in [*kept, *encode(state, sorted(set(range(state.devices.size)) - older))]:
        restore(restored, key, value)
    again = told([records[early:]], restored, limits)
    never_stopped = told([records[late:]], state, limits)
    assert after(again, records[late - 1][0] if late else -1) == never_stopped
    assert contents(restored) == contents(state)


@PROFILE
@given(records=crowds(), stop=st.integers(0, 60), again=st.integers(0, 3), most=st.integers(2, 6))
def test_what_changed_since_the_last_time_is_all_a_successor_needs(
    limits: LimitTable, records: list[Record], stop: int, again: int, most: int
) -> None:
    state, written = PartitionState(most), dict[bytes, bytes]()
    found = Told()
    for one in records[:stop]:
        found = together(found, told([[one]], state, limits))
        for key, value in changed(state):
            written.pop(key, None)
            if value is not None:
                written[key] = value
    assert sorted(written.items()) == contents(state)
    successor = PartitionState(most)
    restore_all(successor, written)
    repeated = records[max(stop - again, 0) : stop]
    if len(successor) < most:  # where nobody was refused or forgotten, what was done already may come again
        assert told([repeated], successor, limits) == Told(rejects=told([repeated], state, limits).rejects)
    found = together(found, told([records[stop:]], successor, limits))
    assert found == slowly(records, limits, devices_most=most)


def together(one: Told, other: Told) -> Told:
    """What was told first, and then."""
    return Told(
        one.alarms + other.alarms,
        one.aggregates + other.aggregates,
        one.statuses + other.statuses,
        sorted(one.rejects + other.rejects),
        requests=one.requests + other.requests,
        sessions=one.sessions + other.sessions,
    )


def test_a_row_is_changed_once_and_not_again_until_its_device_is_heard() -> None:
    state = monitor()
    assert len(changed(state)) == 1
    assert changed(state) == []
    run([record(8, report(T0 + 1_000, "LY-2"))], state, load_limits())
    assert [key for key, _ in changed(state)] == [b"0LY-2"]


def monitor() -> PartitionState:
    state = PartitionState()
    fields: dict[str, Any] = {
        "temperature_c": [30, 31, 32, -127],
        "residual_current_ma": [60],
        "faults": ["sensor_open"],
    }
    run([record(7, report(T0, **fields))], state, load_limits())
    return state


def test_a_restored_row_is_clean_knows_its_offset_and_looks_its_limits_up_anew() -> None:
    restored = copied(monitor())
    assert (restored.rows["offset"][0], restored.indices["profile"][0], restored.devices.dirty[0]) == (7, -1, False)
    assert restored.told == {0: DeviceFaults(("sensor_open",), {"sensor_fault:temperature_c[3]:sentinel": T0 + 1_000})}


def test_a_later_checkpoint_of_a_device_takes_the_place_of_an_earlier_one() -> None:
    state = monitor()
    earlier = list(encode(state, [0]))
    # Long enough after it that what was told of the device no longer holds.
    run([record(8, report(T0 + 700_000, temperature_c=[90] * 5))], state, load_limits())
    (later,) = encode(state, [0])
    restored = PartitionState()
    for key, value in [*earlier, later, later]:
        restore(restored, key, value)
    assert (len(restored), restored.told, restored.rows["offset"][0]) == (1, {}, 8)
    assert restored.rows["width"][0, CODES["temperature_c"]] == 5
    assert next(encode(restored, [0]))[1] == next(encode(copied(state), [0]))[1]


def test_only_the_rows_asked_for_are_encoded_under_keys_of_their_own() -> None:
    state = PartitionState()
    run([record(0, report(T0), report(T0, test=True), report(T0, "电-2"))], state, load_limits())
    assert [key for key, _ in encode(state, [2, 1])] == [key_of("电-2", False), b"1LY-1"]


def test_a_checkpoint_of_a_monitor_of_twelve_components_takes_under_two_kilobytes() -> None:
    state = PartitionState()
    fields: dict[str, Any] = {"temperature_c": [30] * 4, "current_a": [12] * 3, "voltage_v": [230] * 3}
    run([record(0, report(T0, residual_current_ma=[60], arc_half_cycles=[0], **fields))], state, load_limits())
    assert len(next(encode(state, [0]))[1]) < 2_000


def as_latch(value: bytes, **fields: int) -> bytes:
    """The row with other fields in its first latch."""
    heads = np.frombuffer(value[: OWN.head.itemsize], OWN.head)
    late = int(heads["late"][0]) * OWN.late.itemsize
    begin = value.index(b'[["') - late - int(heads["latches"][0]) * OWN.engaged.itemsize
    latch = np.frombuffer(value[begin : begin + OWN.engaged.itemsize], OWN.engaged).copy()
    for name, one in fields.items():
        latch[name] = one
    return value[:begin] + latch.tobytes() + value[begin + OWN.engaged.itemsize :]


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        (lambda value: b"\x09" + value[1:], "unknown_layout", "has version 9, which this release does not know"),
        (
            lambda value: value[:1] + b"\0" * 8 + value[9:],
            "unknown_layout",
            "layout 0000000000000000 is described nowh",
        ),
        (lambda value: b"", "damaged", "it is empty"),
        (lambda value: value[:4], "unknown_layout", "is described nowhere"),
        (lambda value: value[:20], "damaged", "cut off after 20 bytes"),
        (lambda value: value[:-90], "damaged", "cut off"),
        (lambda value: value + b"x", "damaged", "what is told of it cannot be read"),
        (lambda value: value.replace(b'["sensor_open"]', b"17"), "damaged", "what is told of it cannot be read"),
        (lambda value: value.replace(b":1790", b":null, 1790"), "damaged", "what is told of it cannot be read"),
        (lambda value: value.replace(b":1790", b":1.790"), "damaged", "not words and notes"),
        (lambda value: value.replace(b'["sensor_open"]', b"[17]"), "damaged", "not words and notes"),
        (lambda value: value.replace(b"_c[3]", b"_c[x]"), "damaged", "what is told of it cannot be read"),
        (lambda value: as_latch(value, detector=99), "damaged", "a latch of a component that it has not"),
        (lambda value: as_latch(value, component=9), "damaged", "a latch of a component that it has not"),
        (lambda value: as_latch(value, severity=3), "damaged", "a latch of a component that it has not"),
    ],
)
def test_a_row_that_cannot_be_one_is_set_aside_and_leaves_the_state_alone(
    change: object, reason: str, says: str
) -> None:
    assert callable(change)
    ((key, value),) = encode(hot(), [0])
    ((other, whole),) = encode(another(), [0])
    state = PartitionState()
    restored = restore_all(state, {key: change(value), other: whole})
    assert list(restored.aside) == [key]
    assert restored.aside[key].reason == reason
    assert says in restored.aside[key].why
    assert contents(state) == [(other, whole)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("heard_ts", -1), ("heard_ts", 2**63 - 1), ("status", 3), ("status", -2), ("device_kind", 9), ("device_kind", -1)],
)
def test_a_row_whose_head_is_impossible_is_set_aside(field: str, value: int) -> None:
    ((key, whole),) = encode(monitor(), [0])
    head = np.frombuffer(whole[: OWN.head.itemsize], OWN.head).copy()
    head["row"][field] = value
    restored = restore_all(PartitionState(), {key: head.tobytes() + whole[OWN.head.itemsize :]})
    assert [one.reason for one in restored.aside.values()] == ["damaged"]


@pytest.mark.parametrize("key", [b"", b"0", b"2LY-1", b"0\xff"])
def test_a_row_under_a_key_that_is_none_is_set_aside(key: bytes) -> None:
    ((_, value),) = encode(monitor(), [0])
    state = PartitionState()
    assert restore_all(state, {key: value}).aside[key].reason == "damaged"
    assert len(state) == 0


def test_a_row_under_the_key_of_test_data_is_set_aside() -> None:
    ((key, value),) = encode(monitor(), [0])
    assert restore_all(PartitionState(), {b"1" + key[1:]: value}).aside[b"1LY-1"].reason == "damaged"


@pytest.mark.parametrize(("end", "aside"), [(None, False), (9, False), (8, False), (7, True), (0, True)])
def test_a_row_that_reflects_what_is_not_there_is_set_aside(end: int | None, aside: bool) -> None:
    ((key, value),) = encode(monitor(), [0])  # which reflects offset 7
    found = restore_all(PartitionState(), {key: value}, end=end).aside
    assert [one.reason for one in found.values()] == ["beyond_the_end"] * aside


def hot() -> PartitionState:
    """The monitor, with an alarm open."""
    state = monitor()
    run([record(8, report(T0 + 20_000, arc_half_cycles=[20], faults=["sensor_open"]))], state, load_limits())
    return state


def another() -> PartitionState:
    state = PartitionState()
    run([record(9, report(T0, "LY-2", temperature_c=[90]))], state, load_limits())
    return state


def busy() -> PartitionState:
    """A monitor with an open alarm, late values and minutes of several reports."""
    state = monitor()
    for offset, late_ms in enumerate([0, 1_000, 300_000, 299_000], start=8):
        run([record(offset, report(T0 + 2_000 - late_ms, arc_half_cycles=[0, 20]))], state, load_limits())
    return state


@PROFILE
@given(garbage=st.binary(max_size=600), at=st.integers(0, 2_000), of=st.sampled_from([monitor, busy]))
def test_garbage_is_set_aside_or_read_and_never_raises(
    garbage: bytes, at: int, of: Callable[[], PartitionState]
) -> None:
    ((key, value),) = encode(of(), [0])
    for broken in (garbage, value[:at] + garbage + value[at + len(garbage) :]):
        state = PartitionState()
        restored = restore_all(state, {key: broken})
        assert len(state) + len(restored.aside) == 1
        # What is taken for a row may hold anything. It harms nobody else.
        chunk = [
            record(9, report(T0 + 90_000, temperature_c=[40])),
            record(10, report(T0, "LY-2", arc_half_cycles=[20])),
        ]
        found = sift(decode(records_of(chunk), load_limits().absences)[0], state, load_limits(), NOW)
        assert [alarm.kind for alarm in found.result.alarms if alarm.device_id == "LY-2"] == ["arc_fault"]
        check_silence(state, NOW, NOW + 86_400_000, 11)
        assert {key for key, _ in contents(state)} <= {b"0LY-1", b"0LY-2"}
