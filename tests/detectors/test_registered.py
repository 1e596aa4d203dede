"""What is registered of devices and how it changes what is found, by hand; the twin is held to the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pytest

from detectors.checkpoints.encode import encode
from detectors.checkpoints.restore import restore_all
from detectors.control.applied import Applied
from detectors.limits import load_limits
from detectors.registered import PAGES, KnownDevice, Registered, packed
from detectors.rounds import Result
from detectors.state import PartitionState
from detectors.twin.oracle import timeless
from schemas.events import Alarm
from schemas.quantities import KIND_CODES
from schemas.registry import ComponentEntry, DeviceEntry, LimitsEntry
from tests.detectors.given_orders import T0, Sent, changes, control, order, quickly, report, slowly

pytestmark = pytest.mark.usefixtures("homes")
MINUTE: Final = 60_000
NOBODY: Final = np.array([False])


def entry(device_id: str = "LY-1", **fields: Any) -> DeviceEntry:
    return DeviceEntry(v=1, device_id=device_id, **fields)


def level(value: float, by: str = "王工", since_ts: int = T0 - 5) -> dict[str, Any]:
    return {"alarm": {"value": value, "from": "保单", "by": by, "since_ts": since_ts}, "warning": {}}


def leaks(value: float, **more: Any) -> dict[str, Any]:
    return {"residual_current": level(value, **more)}


def come_to(records: Sequence[Sent], state: PartitionState | None = None) -> Result:
    """What the records mean, of which the twin says the same."""
    result, _ = quickly([records], state or PartitionState(), load_limits())
    said = slowly(records, load_limits())
    assert (timeless(result.alarms), result.requests) == (said.alarms, said.requests)
    assert (result.outcomes, result.statuses, result.aggregates) == (said.outcomes, said.statuses, said.aggregates)
    return result


def measured(*values: Any, first: int = 9, **fields: Any) -> list[Sent]:
    """A report a minute of one device with these values, or lists of values."""
    told = [value if isinstance(value, list) else [value] for value in values]
    return [
        report(first + number, ts=T0 + (first + number) * MINUTE, residual_current_ma=one, **fields)
        for number, one in enumerate(told)
    ]


@pytest.mark.parametrize(
    ("kind", "allowed", "port", "reason"),
    [
        ("charging_pile", True, 2, ""),
        ("charging_pile", True, None, ""),
        ("circuit_breaker", True, 255, ""),
        ("circuit_breaker", True, 0, "断路器只能整机切断"),
        ("charging_pile", False, 2, "没有允许远程切断"),
        ("electrical_monitor", True, None, "只有登记为充电桩或断路器"),
        ("", True, None, "只有登记为充电桩或断路器"),
    ],
)
def test_only_piles_and_breakers_are_cut_off_and_only_where_that_is_registered(
    kind: str, allowed: bool, port: int | None, reason: str
) -> None:
    cut_off = control(2, [order(1, kind="cut_off", component=port, made_ts=T0)])
    found = come_to([report(0), changes(1, entry(kind=kind, cut_off_allowed=allowed)), cut_off])
    outcome = found.outcomes[-1]
    assert (outcome.outcome == "refused", reason in outcome.reason) == (bool(reason), True)
    assert [(one.kind, one.device_id, one.component, one.by, one.why) for one in found.requests] == (
        [] if reason else [("cut_off", "LY-1", 255 if port is None else port, outcome.by, outcome.why)]
    )


def test_a_cut_off_is_asked_for_once_however_often_it_is_copied_and_never_of_who_is_no_more_registered() -> None:
    allowed = changes(1, entry(kind="charging_pile", cut_off_allowed=True), first=1)
    gone = changes(4, entry(removed=True), first=2)
    orders = [order(number, kind="cut_off", component=0, made_ts=T0) for number in (1, 1, 2)]
    sent = [
        report(0),
        allowed,
        *(control(2 + n, [one]) for n, one in enumerate(orders[:2])),
        gone,
        control(5, orders[2:]),
    ]
    found = come_to(sent)
    assert [one.outcome for one in found.outcomes if one.kind == "cut_off"] == ["applied", "repeated", "refused"]
    (asked,) = found.requests
    assert (asked.source_offset, asked.source_ordinal) == (2, 0)
    assert (asked.expires_ts - asked.ingest_ts, asked.device_kind) == (120_000, "charging_pile")


def opened(found: Result) -> list[Alarm]:
    return [one for one in found.alarms if one.event == "opened" and one.kind == "residual_current"]


def test_alarms_name_unit_and_place_of_what_is_registered_and_the_device_alone_else() -> None:
    known = entry(unit_id="U-1", unit_name="国贸大厦", name="3层配电箱", address="人民路1号", area="140202001001")
    (alarm,) = opened(come_to([changes(0, known), *measured(9, 9, 450, 450)]))
    assert alarm.message == "【紧急】国贸大厦 3层配电箱 LY-1 第1路 剩余电流超限：当前 450mA，限值 300mA"
    assert (alarm.unit_id, alarm.unit_name, alarm.place, alarm.area) == (
        "U-1", "国贸大厦", "3层配电箱", "140202001001",
    )  # fmt: skip
    (stranger,) = opened(come_to(measured(9, 9, 450, 450)))
    assert (stranger.message[:8], stranger.unit_id, stranger.place) == ("【紧急】LY-1", "", "")


SCOPES: Final[dict[str, tuple[DeviceEntry, LimitsEntry]]] = {
    "default": (entry(), LimitsEntry(1, leaks(100))),
    "kind": (entry(), LimitsEntry(1, {}, kinds={"electrical_monitor": leaks(100)})),
    "place kind": (entry(place_kind="school"), LimitsEntry(1, {}, place_kinds={"school": leaks(100)})),
    "model": (entry(model="HX-1"), LimitsEntry(1, {}, models={"HX-1": leaks(100)})),
    "unit": (entry(unit_id="U-1"), LimitsEntry(1, {}, units={"U-1": leaks(100)})),
    "device": (entry(limits=leaks(100)), LimitsEntry(1, {})),
    "component": (
        entry(components=[ComponentEntry("residual_current_ma", 0, limits=leaks(100))]),
        LimitsEntry(1, {}),
    ),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_limits_of_each_scope_hold_and_say_whose_they_are_and_since_when(scope: str) -> None:
    of_device, of_many = SCOPES[scope]
    (alarm,) = opened(come_to([changes(0, of_many, of_device), *measured(9, 9, 150, 150)]))
    assert (alarm.severity, alarm.limit, alarm.limit_from) == (2, 100.0, "保单")
    assert (alarm.limit_by, alarm.limit_since_ts) == ("王工", T0 - 5)


@pytest.mark.parametrize("scope", SCOPES)
def test_limits_of_a_scope_are_of_nobody_outside_it(scope: str) -> None:
    of_device, of_many = SCOPES[scope]
    other = entry(place_kind="hospital", model="HX-2", unit_id="U-2", kind="circuit_breaker")
    found = come_to([changes(0, of_many, of_device), changes(1, other, first=5), *measured(9, 9, 150, 150)])
    assert [one.limit for one in opened(found)] == ([100.0] if scope == "default" else [])


def test_a_narrower_scope_goes_over_a_wider_one() -> None:
    of_many = LimitsEntry(
        1,
        leaks(900),
        kinds={"electrical_monitor": leaks(800)},
        place_kinds={"school": leaks(700)},
        models={"HX-1": leaks(600)},
        units={"U-1": leaks(500)},
    )
    components = [ComponentEntry("residual_current_ma", 0, limits=leaks(250))]
    steps: list[tuple[dict[str, Any], int]] = [
        ({}, 800),
        ({"place_kind": "school"}, 700),
        ({"model": "HX-1"}, 600),
        ({"unit_id": "U-1"}, 500),
        ({"limits": leaks(350)}, 350),
        ({"components": components}, 250),
    ]
    fields: dict[str, Any] = {}
    for more, limit in steps:
        fields.update(more)
        records = [changes(0, of_many, entry(**fields)), *measured([9, 9], [9, 9], [limit - 1, 9], [limit - 1, 9])]
        assert opened(come_to(records)) == []
        alarm, *others = opened(come_to([*records, *measured([limit, limit], [limit, limit], first=13)]))
        assert alarm.limit == limit
        # The second component has no limits of its own.
        assert [one.limit for one in others] == [] if limit == 250 else [limit]


def test_limits_change_between_two_reports_without_a_restart() -> None:
    records = [*measured(9, 9, 150, 150), changes(13, LimitsEntry(1, leaks(100)), ts=T0 + 13 * MINUTE)]
    assert opened(come_to(records)) == []
    (alarm,) = opened(come_to([*records, *measured(150, 150, first=14)]))
    assert alarm.limit == 100
    # What is raised later is raised for whom it is open as well, and set back to the release's by an empty entry.
    back = [*records, changes(14, LimitsEntry(1, {}), ts=T0 + 14 * MINUTE, first=1), *measured(150, 150, first=15)]
    assert opened(come_to(back)) == []


def test_limits_that_change_are_looked_up_anew_by_all() -> None:
    def of_many(value: float) -> LimitsEntry:
        return LimitsEntry(1, {}, units={"U-1": leaks(value), "U-2": leaks(2 * value)})

    def both(first: int, value: float, *turn: str) -> list[Sent]:
        return [
            report(first + n, one, T0 + (first + n) * MINUTE, residual_current_ma=[value]) for n, one in enumerate(turn)
        ]

    of_one, of_other = entry(unit_id="U-1"), entry("LY-2", unit_id="U-2")
    records = [changes(0, of_many(400), of_one, of_other), *both(1, 9, "LY-1", "LY-2", "LY-1", "LY-2")]
    records += [changes(5, of_many(50), first=9), *both(6, 60, "LY-2", "LY-1", "LY-2", "LY-1")]
    assert [(one.device_id, one.limit) for one in opened(come_to(records))] == [("LY-1", 50.0)]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (LimitsEntry(1, leaks(5)), "报警值（alarm）5超出可设范围，必须在20到1000之间"),
        (LimitsEntry(1, {"residual_current": {"alarm": {"valeu": 100}}}), "报警值（alarm）没有给出 value"),
        (LimitsEntry(1, {}, units={"U-1": {"fire": {}}}), "没有名为“fire”的告警类型"),
        (LimitsEntry(1, {"residual_current": {"settable": [0, 9]}}), "settable"),
        (entry(limits={"residual_current": {"recovery_margin": -1}}), "恢复回差（recovery_margin）必须是"),
        (entry(components=[ComponentEntry("temperature_c", 0, limits=leaks(5))]), "超出可设范围"),
        ('{"v":1,"default":{"residual_current":5}}', "default"),
        ('{"v":1}', "missing required field"),
        ('{"v":3,"device_id":"LY-1"}', "version 3"),
    ],
)
def test_limits_that_make_no_sense_are_refused_and_those_before_stay(wrong: Any, why: str) -> None:
    good = LimitsEntry(1, leaks(100))
    found = come_to([changes(0, good), changes(1, wrong, first=1), *measured(9, 9, 150, 150)])
    assert [one.outcome for one in found.outcomes] == ["applied", "refused"]
    assert why in found.outcomes[1].reason
    assert [one.limit for one in opened(found)] == [100.0]


def test_what_is_above_the_alarm_of_a_narrower_scope_is_left_out_there_and_holds_elsewhere() -> None:
    # A warning of 250 mA makes no sense for a pile, which alarms at 30.
    of_many = LimitsEntry(1, {"residual_current": {"warning": {"value": 250, "from": "x"}}})
    pile = entry("LY-2", kind="charging_pile")
    records = [changes(0, of_many, pile), *measured(9, 9, 260, 260)]
    records += [
        report(20 + n, "LY-2", T0 + (20 + n) * MINUTE, residual_current_ma=[value])
        for n, value in enumerate((9, 9, 31, 31))
    ]
    assert [(one.device_id, one.severity, one.limit) for one in opened(come_to(records))] == [
        ("LY-1", 1, 250.0),
        ("LY-2", 2, 30.0),
    ]


def test_the_kind_is_the_registrys_whatever_the_device_says() -> None:
    as_pile = changes(11, entry(kind="charging_pile"), ts=T0 + 11 * MINUTE)
    found = come_to([*measured(9, 9), as_pile, *measured(31, 31, first=12)])
    assert [(one.device_kind, one.limit) for one in opened(found)] == [("charging_pile", 30.0)]
    gone = [changes(20, entry(removed=True), ts=T0 + 20 * MINUTE, first=1), *measured(31, 31, first=21)]
    assert opened(come_to([*measured(9, 9), as_pile, *gone])) == []


AS_PILE: Final = changes(30, entry(kind="charging_pile"))
NO_KIND: Final = changes(31, entry(), first=1)
GONE: Final = changes(31, entry(removed=True), first=1)


@pytest.mark.parametrize(
    ("registered", "kind", "limit"),
    [
        ([AS_PILE], "charging_pile", 30.0),
        ([AS_PILE, NO_KIND], "electrical_monitor", 300.0),
        ([AS_PILE, GONE], "electrical_monitor", 300.0),
    ],
)
def test_a_registered_kind_holds_at_once_and_as_long_as_it_is_registered(
    registered: list[Sent], kind: str, limit: float
) -> None:
    """Also where a worker has taken over meanwhile, from rows of before it was registered or after."""
    now, begun = T0 + 40 * MINUTE, measured(9, 9, 450, 450)
    reset = control(40, [order(1, force=True, made_ts=now)], ts=now)
    last = come_to([*begun, *registered, reset]).alarms[-1]
    assert (last.event, last.device_kind, last.limit) == ("reset", kind, limit)
    for before in range(len(registered) + 1):
        state, rows = PartitionState(), dict[bytes, bytes]()
        for number, record in enumerate([*begun, *registered]):
            quickly([[record]], state, load_limits())
            if number == len(begun) - 1 + before:
                rows = dict(encode(state, [0]))
        successor = PartitionState()
        restore_all(successor, rows)
        successor.registered.restore({key: value for key, value in state.registered.changed() if value})
        successor.applied = state.applied
        assert timeless(quickly([[reset]], successor, load_limits())[0].alarms) == timeless([last])


def test_a_device_may_be_silent_for_as_long_as_its_registered_interval_says() -> None:
    waits = [report(20 + n, "LY-2", T0 + 11 * MINUTE + n * 30_000) for n in range(60)]
    assert [one.status for one in come_to([*measured(9, 9), *waits]).statuses if one.device_id == "LY-1"] == [
        "online",
        "offline",
    ]
    found = come_to([changes(0, entry(interval_s=3_600)), *measured(9, 9), *waits])
    assert [one.status for one in found.statuses if one.device_id == "LY-1"] == ["online"]


def test_a_registered_device_has_room_where_others_have_none() -> None:
    state = PartitionState(devices_most=1)
    records = [changes(0, entry("LY-2")), *measured(9, 9), report(20, "LY-2", T0 + 20 * MINUTE), report(21, "LY-9")]
    result, rejects = quickly([records], state, load_limits())
    assert state.find(["LY-1", "LY-2", "LY-9"], np.zeros(3, np.bool_)).tolist() == [0, 1, -1]
    assert [offset for offset, _ in result.refused] == [21]
    assert rejects == []


def test_what_is_registered_outlives_a_restart() -> None:
    of_many = LimitsEntry(1, {}, units={"U-1": leaks(100)})
    begun = [changes(0, of_many, entry(unit_id="U-1", unit_name="国贸大厦"), entry("LY-3")), *measured(9, 9)]
    then = [changes(11, entry("LY-3", removed=True), ts=T0 + 11 * MINUTE, first=9), *measured(150, 150, first=12)]
    state, limits = PartitionState(), load_limits()
    quickly([begun], state, limits)
    rows, pages = dict(encode(state, [0])), {key: value for key, value in state.registered.changed() if value}
    assert list(state.registered.changed()) == []
    restored = PartitionState()
    restore_all(restored, rows)
    restored.registered.restore(pages)
    restored.applied = Applied.from_json(state.applied.to_json())
    again, _ = quickly([then], restored, limits)
    live, _ = quickly([then], state, limits)
    assert timeless(again.alarms) == timeless(live.alarms)
    assert [(one.unit_name, one.limit) for one in opened(again)] == [("国贸大厦", 100.0)]
    # A page of which nothing is left is taken out of the checkpoint.
    assert [value for key, value in restored.registered.changed()] == [None]
    assert restored.registered.get("LY-3") is None


def test_a_page_of_a_form_of_later_releases_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="a form that this release does not know"):
        Registered().restore({b"registered/7": b"9whatever"})


def test_a_million_devices_take_sixty_bytes_each_at_most() -> None:
    devices = 30_000
    kinds = list(KIND_CODES)
    pages: dict[int, dict[str, KnownDevice]] = {}
    for number in range(devices):
        known = KnownDevice.of(
            entry(
                f"LY-{number:06d}",
                kind=kinds[number % 2],
                unit_id=f"U-{number // 4:06d}",
                unit_name=f"{'东西南北'[number // 4 % 4]}{number // 4 * 7919 % 9973}号商业大厦",
                name=f"{number % 30 + 1}层{'配电箱总箱强电井'[number % 3 : number % 3 + 3]}{number * 31 % 17}号",
                area=f"140202{number // 4 % 40:03d}001",
                place_kind=["school", "high_rise", "hotel_or_mall"][number // 4 % 3],
                model=f"HX-{number % 5}",
                interval_s=60,
                rated_current_a=[16, 32, 63, 100][number % 4],
                nominal_voltage_v=220,
                phases=3,
                components=[ComponentEntry("residual_current_ma", 0, role="circuit")]
                + [ComponentEntry("temperature_c", one, role="cable", phase="ABC"[one]) for one in range(3)],
            )
        )
        pages.setdefault(number % (devices // 123), {})[known.device_id] = known
    # As many to a page as a partition has of eight that share a million.
    size = sum(sys.getsizeof(packed(page)) for page in pages.values())
    assert PAGES * 123 >= 1_000_000 / 8
    assert size / devices + 4 <= 60


def test_what_finds_no_room_is_refused_and_what_was_known_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.registered.PAGE_BYTES_MOST", 100)
    large = entry(name="".join(f"{number * 7919 % 9973}" for number in range(60)))
    found = come_to([changes(0, entry(name="3层")), changes(1, large, first=1), *measured(9, 9, 450, 450)])
    assert [one.outcome for one in found.outcomes] == ["applied", "refused"]
    assert "请增加分区" in found.outcomes[1].reason
    assert [one.place for one in opened(found)] == ["3层"]


def test_nothing_is_unpacked_for_ids_that_nobody_has() -> None:
    registered = Registered()
    registered.put(KnownDevice("LY-1"))
    assert registered.find(["LY-1", "LY-2"]) == [KnownDevice("LY-1"), None]
    registered.drop("LY-1")
    registered.drop("LY-2")
    assert registered.get("LY-1") is None


@pytest.mark.parametrize("value", [250, 450])
def test_events_of_an_alarm_whose_level_was_switched_off_can_be_read(value: float) -> None:
    off = changes(30, entry(limits={"residual_current": {"warning": {}, "alarm": {}}}))
    now = T0 + 40 * MINUTE
    for later in (measured(9, 9, 9, 9, first=40), [control(40, [order(1, force=True, made_ts=now)], ts=now)]):
        found = come_to([*measured(9, 9, value, value), off, *later])
        last = found.alarms[-1]
        assert last.event in ("recovered", "reset")
        assert last.limit == 0.0
        assert Alarm.from_json(last.to_json()) == last
