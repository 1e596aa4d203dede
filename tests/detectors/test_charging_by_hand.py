"""Ports of charging piles: charges put together of what piles say, and alarms of what ports must not do.

Each record is judged by the twin as well, so the two are held alike where hardly any drawn report comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from detectors.limits import load_limits
from detectors.state import PartitionState
from detectors.twin.oracle import Record, Told, timeless
from schemas.alarm_kinds import AlarmKind
from schemas.charging import PORT_STATES, STOP_REASONS, StopSort, stop_sort
from schemas.events import Alarm
from tests.detectors.given_reports import T0, never_still, record, report, slowly, told

LIMITS = load_limits()
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
PileFields = dict[str, Any]


def pile(*reports: tuple[float, PileFields], arrived: dict[int, int] | None = None) -> list[Record]:
    """A pile's reports, each at so many minutes; `arrived` are later arrivals, by number, in minutes."""
    found = []
    for number, (minutes, fields) in enumerate(reports):
        one = report(T0 + round(minutes * MINUTE_MS), "CD-1", "charging_pile", **fields)
        late = (arrived or {}).get(number)
        found.append(record(number, one, ingest_ts=None if late is None else T0 + late * MINUTE_MS))
    return found


def judged(records: Sequence[Record]) -> Told:
    """What it comes to, as the twin says as well, in one chunk and one by one."""
    slow = slowly(records, LIMITS)
    for chunks in ([records], [[one] for one in records]):
        fast = told(chunks, PartitionState(), LIMITS)
        assert (fast.sessions, fast.alarms, fast.statuses) == (slow.sessions, timeless(slow.alarms), slow.statuses)
    return slow


def charging(watts: float = 200.0, state: int = 1, **more: Any) -> PileFields:
    return {"port_state": [state], "power_w": [watts], **more}


def each(minutes: float, until: float, fields: PileFields, begin: float = 0.0) -> list[tuple[float, PileFields]]:
    return [(begin + n * minutes, fields) for n in range(round((until - begin) / minutes))]


def kinds(found: Told) -> list[tuple[str, str]]:
    return [(alarm.kind, alarm.event) for alarm in found.alarms]


def opened(found: Told, kind: AlarmKind) -> list[Alarm]:
    return [alarm for alarm in found.alarms if alarm.kind == kind and alarm.event in ("opened", "confirmed")]


IDLE: PileFields = {"port_state": [0], "power_w": [0.0]}


def test_a_charge_with_its_settlement_is_one_event() -> None:
    (charge,) = judged(
        pile(
            (0, IDLE), *each(5, 60, charging(), begin=5),
            (61, {"stop_reason": [1], "charge_s": [3_360], "charge_wh": [186.5]}), (65, IDLE), (70, IDLE),
        )
    ).sessions  # fmt: skip
    assert (charge.began_ts, charge.ended_ts) == (T0 + 5 * MINUTE_MS, T0 + 61 * MINUTE_MS)
    assert (charge.energy_wh, charge.power_w_max, charge.stop_reason) == (186.5, 200.0, 1)
    assert (charge.ended_as, charge.settled, charge.amended) == ("ordinary", True, False)


def test_energy_is_what_its_power_comes_to_where_the_pile_does_not_count_it() -> None:
    (charge,) = judged(pile((0, IDLE), *each(5, 65, charging(120.0), begin=5), (66, IDLE), (70, IDLE))).sessions
    assert charge.energy_wh == pytest.approx(120.0 * 61 / 60)
    assert (charge.stop_reason, charge.ended_as, charge.settled) == (0, "unknown", False)
    assert charge.ended_ts == T0 + 66 * MINUTE_MS


def test_a_charge_began_as_much_earlier_as_its_pile_counts() -> None:
    (charge,) = judged(
        pile((30, charging(charge_s=[1_500])), (35, charging(charge_s=[1_800])), (40, IDLE), (45, IDLE))
    ).sessions
    assert charge.began_ts == T0 + 5 * MINUTE_MS


def test_a_settlement_that_comes_after_the_end_was_told_amends_it() -> None:
    settled = (40, {"stop_reason": [11], "charge_s": [2_400], "charge_wh": [99.0]})
    reports = pile((0, charging()), (40, IDLE), (45, IDLE), (50, IDLE), settled, (120, IDLE), arrived={4: 100})
    before, amended = judged(reports).sessions
    assert before.session_id == amended.session_id
    assert (before.stop_reason, before.amended) == (0, False)
    assert (amended.stop_reason, amended.ended_as, amended.energy_wh, amended.amended) == (11, "safety", 99.0, True)


def test_a_settlement_that_is_sent_again_is_no_other_charge() -> None:
    settled: PileFields = {"stop_reason": [5], "charge_s": [1_800]}
    again = [(30.0 + moved, settled | {"seq": number}) for number, moved in enumerate((0, 0, 0.25, 3))]
    assert len(judged(pile((0, charging()), *again, (35, IDLE), (40, IDLE))).sessions) == 1


def test_a_settlement_that_counts_nothing_is_said_again_until_the_next_charge() -> None:
    again = each(1, 60, IDLE | {"stop_reason": [5]}, begin=31)
    assert len(judged(pile((0, charging()), (30, {"stop_reason": [5]}), *again)).sessions) == 1


def test_stop_reason_0_is_no_settlement() -> None:
    found = judged(pile(*each(1, 11 * 60, charging(45.0, stop_reason=[0]))))
    assert found.sessions == []
    assert [one.kind for one in opened(found, AlarmKind.LONG_CHARGE)] == ["long_charge"]


def test_a_settlement_of_no_charge_that_is_known_is_one_by_itself() -> None:
    (charge,) = judged(pile((0, IDLE), (90, {"stop_reason": [3], "charge_s": [3_600]}), (95, IDLE))).sessions
    assert (charge.began_ts, charge.ended_ts) == (T0 + 30 * MINUTE_MS, T0 + 90 * MINUTE_MS)
    assert (charge.energy_wh, charge.power_w_max) == (None, None)


def test_a_full_port_whose_settlement_is_missing_ends_as_full() -> None:
    (charge,) = judged(pile((0, charging()), (5, charging(2.0, 3)), (10, charging(2.0, 3)), (15, IDLE))).sessions
    assert (charge.stop_reason, charge.settled, charge.ended_ts) == (1, False, T0 + 5 * MINUTE_MS)


def test_a_charge_that_nobody_saw_end_ends_when_it_was_last_seen() -> None:
    first, second = judged(
        pile(*each(5, 30, charging()), (13 * 60, charging()), (13 * 60 + 5, IDLE), (13 * 60 + 10, IDLE))
    ).sessions
    assert (first.ended_ts, first.ended_as) == (T0 + 25 * MINUTE_MS, "unknown")
    assert second.began_ts == T0 + 13 * HOUR_MS


def test_a_pile_that_counts_anew_charges_another_battery() -> None:
    first, second = judged(
        pile(
            (0, charging(charge_s=[0])), (5, charging(charge_s=[300])), (10, charging(charge_s=[60])), (15, IDLE),
            (20, IDLE),
        )
    ).sessions  # fmt: skip
    assert first.ended_ts == T0 + 5 * MINUTE_MS
    assert second.began_ts == T0 + 9 * MINUTE_MS


def test_a_port_that_never_tells_its_state_has_no_charges() -> None:
    assert judged(pile(*each(5, 60, {"power_w": [200.0]}))).sessions == []


def test_power_alone_begins_a_charge_of_a_port_that_told_its_state() -> None:
    (charge,) = judged(pile((0, IDLE), (5, {"power_w": [200.0]}), (8, charging()), (11, IDLE), (15, IDLE))).sessions
    assert charge.began_ts == T0 + 5 * MINUTE_MS


def test_ports_charge_without_each_other() -> None:
    states: list[PileFields] = [
        {"port_state": [1, 0, 1], "power_w": [180.0, 0.0, 90.0]},
        {"port_state": [0, 1, 1], "power_w": [0, 70, 90]},
    ]
    found = judged(
        pile(
            (0, states[0]),
            (5, states[1]),
            (10, states[1]),
            (15, {"port_state": [0, 0, 0]}),
            (20, {"port_state": [0, 0, 0]}),
        )
    )
    assert [(one.port, one.began_ts - T0) for one in found.sessions] == [(0, 0), (1, 5 * MINUTE_MS), (2, 0)]


@pytest.mark.parametrize(
    ("code", "sort"),
    [(0, "unknown"), (1, "ordinary"), (13, "ordinary"), (10, "safety"), (14, "abnormal"), (99, "abnormal")],
)
def test_a_stop_reason_is_of_a_sort(code: int, sort: str) -> None:
    assert stop_sort(code) == sort


def test_the_tables_are_those_of_the_documents() -> None:
    safety = {0x06, 0x08, 0x0A, 0x0B, 0x0C, 0x10, 0x11, 0x12, 0x18, 0x1A, 0x1B}
    ordinary = {1, 2, 3, 4, 5, 7, 9, 0x0D}
    assert {code for code, one in STOP_REASONS.items() if one.sort is StopSort.SAFETY} == safety
    assert {code for code, one in STOP_REASONS.items() if one.sort is StopSort.ORDINARY} == ordinary
    # Each safety event is an alarm of one kind; each state is charging, off, a fault or an alarm. Two of those are off.
    alarms = [code for kind in AlarmKind if kind.quantity == "stop_reason" for code in kind.about.codes]
    assert sorted(alarms) == sorted(safety)
    states = [code for kind in AlarmKind if kind.quantity == "port_state" for code in kind.about.codes]
    sorts = {code: (one.charges, one.off, one.fault, code in states) for code, one in PORT_STATES.items()}
    assert {code: sort for code, sort in sorts.items() if sort.count(True) != 1} == {
        0x0B: (False, True, True, False),
        0x0D: (False, True, False, True),
    }


AFTER: list[tuple[AlarmKind, PileFields, PileFields]] = [
    (AlarmKind.IDLE_POWER, {"stop_reason": [2]}, charging(80.0, 0)),
    (AlarmKind.UNPLUGGED_POWER, {"stop_reason": [5]}, charging(80.0, 0)),
    (AlarmKind.FULL_POWER, {"stop_reason": [1]}, charging(80.0, 3)),
    (AlarmKind.ABNORMAL_POWER, {"stop_reason": [14]}, charging(80.0, 2)),
]


@pytest.mark.parametrize(
    ("kind", "settled", "then"), AFTER, ids=lambda one: str(one) if isinstance(one, AlarmKind) else ""
)
@pytest.mark.parametrize("minutes", [1 / 60, 1, 5])
def test_power_at_a_port_that_is_off_alarms_by_why_it_is(
    kind: AlarmKind, settled: PileFields, then: PileFields, minutes: float
) -> None:
    begun = each(minutes, 12, charging())
    found = judged(pile(*begun, (12, settled), *each(minutes, 12 + 8 * max(minutes, 1), then, begin=12 + minutes)))
    (alarm,) = opened(found, kind)
    assert {alarm.kind for alarm in found.alarms} == {kind}
    assert (alarm.value, alarm.component, alarm.severity) == (80.0, 0, 2)
    assert alarm.message.startswith(f"【紧急】CD-1 1号口 {kind.label}")


def test_float_and_trickle_are_no_power_after_full() -> None:
    steady, falls = each(5, 180, charging(300.0)), [(180 + 5 * n, charging(300.0 - 40.0 * n)) for n in range(7)]
    floats = each(5, 400, charging(14.0, 5), begin=215)
    full = each(5, 500, charging(3.0, 3), begin=400)
    assert judged(pile(*steady, *falls, *floats, *full)).alarms == []


def test_a_state_that_is_told_apart_from_power_says_nothing_of_it_after_ten_seconds() -> None:
    apart = [part for n in range(12) for part in ((5.0 * n, {"port_state": [0]}), (5.0 * n + 1, {"power_w": [25.0]}))]
    assert judged(pile(*apart)).alarms == []


def test_a_state_of_hours_later_says_nothing_of_power_in_history() -> None:
    history = [(60 + 5.0 * n, charging(200.0, port_voltage_v=[226.0])) for n in range(24)]
    kept = dict.fromkeys(range(1, 25), 241)
    found = judged(pile((240, {"port_state": [0]}), *history, (245, {"port_state": [0]}), arrived=kept))
    assert found.alarms == []


@pytest.mark.parametrize("code", [0x0B, 0x0D])
def test_power_goes_on_though_a_port_says_that_its_relay_is_bad_or_its_load_short(code: int) -> None:
    stopped = (30, {"stop_reason": [0x0B], "port_state": [code]})
    found = judged(pile(*each(5, 30, charging()), stopped, *each(5, 70, charging(200.0, code), begin=35)))
    assert opened(found, AlarmKind.ABNORMAL_POWER)


@pytest.mark.parametrize("fields", [charging(-2_600.0, current_a=[-12.0]), charging(-2_600.0)])
def test_a_transformer_that_is_mounted_the_wrong_way_round_hides_nothing(fields: PileFields) -> None:
    assert opened(judged(pile(*each(1, 20, IDLE), *each(1, 40, fields, begin=20))), AlarmKind.PORT_POWER)


def test_voltage_at_an_idle_port_alarms() -> None:
    found = judged(pile(*each(5, 40, IDLE | {"port_voltage_v": [226.0]})))
    (alarm,) = opened(found, AlarmKind.IDLE_VOLTAGE)
    assert (alarm.value, alarm.limit) == (226.0, 50.0)
    assert judged(pile(*each(5, 40, charging() | {"port_voltage_v": [226.0]}))).alarms == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [(code, kind) for kind in AlarmKind if kind.quantity == "port_state" for code in kind.about.codes],
)
def test_a_state_that_is_an_alarm_opens_at_once_and_says_what_it_is(code: int, kind: AlarmKind) -> None:
    (alarm,) = judged(pile(*each(3, 9, IDLE), (9, {"port_state": [code]}), (12, {"port_state": [code]}))).alarms
    assert (alarm.kind, alarm.event, alarm.severity, alarm.value) == (kind, "opened", 2, code)
    assert alarm.ingest_ts == T0 + 9 * MINUTE_MS + 1_000
    assert alarm.message == f"【紧急】CD-1 1号口 {kind.label}：{PORT_STATES[code].label}"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(code, kind) for kind in AlarmKind if kind.quantity == "stop_reason" for code in kind.about.codes],
)
def test_a_safety_stop_is_an_alarm_of_its_kind(code: int, kind: AlarmKind) -> None:
    found = judged(pile((0, charging()), (3, charging()), (6, {"stop_reason": [code]})))
    assert [(one.kind, one.event) for one in found.alarms] == [(kind, "opened")]
    assert found.alarms[0].message.endswith(STOP_REASONS[code].label)
    assert [one.ended_as for one in found.sessions] == ["safety"]


def test_a_safety_stop_sounds_again_after_an_ordinary_charge() -> None:
    stops = [(number * 1_440.0 + 30, {"stop_reason": [code]}) for number, code in enumerate((0x10, 5, 0x10))]
    charges = [(number * 1_440.0, charging()) for number in range(3)]
    found = judged(pile(*sorted([*stops, *charges], key=lambda one: one[0])))
    assert [one.event for one in found.alarms] == ["opened", "recovered", "superseded", "opened"]


@pytest.mark.parametrize("code", [code for code, one in PORT_STATES.items() if one.fault])
def test_a_fault_of_a_port_is_a_fault_of_its_pile(code: int) -> None:
    found = judged(pile((0, {"port_state": [0, 0]}), (3, {"port_state": [0, code]}), (6, {"port_state": [0, code]})))
    assert [one.faults for one in found.statuses] == [[], [f"port_fault:1:{PORT_STATES[code].name}"]]
    assert found.alarms == []


def test_a_charge_that_is_too_long_alarms() -> None:
    found = judged(pile(*each(5, 10 * 60 + 20, charging(45.0))))
    (alarm,) = opened(found, AlarmKind.LONG_CHARGE)
    assert alarm.ingest_ts == T0 + 36_000_000 + 1_000
    assert {one.kind for one in found.alarms} == {"long_charge"}


def test_power_that_does_not_fall_is_told_after_eight_hours() -> None:
    found = judged(pile(*each(5, 8 * 60 + 20, charging(210.0))))
    assert [(kind, event) for kind, event in kinds(found)] == [("no_fall", "provisional"), ("no_fall", "confirmed")]
    assert found.alarms[1].severity == 1


def test_a_float_is_no_power_that_does_not_fall_though_its_charge_was_not_seen() -> None:
    assert kinds(judged(pile(*each(5, 9 * 60 + 40, charging(66.0, 5))))) == []


def test_a_float_goes_on_after_an_outage() -> None:
    steady, floats = each(5, 180, charging(300.0)), each(5, 260, charging(66.0, 5), begin=180)
    assert kinds(judged(pile(*steady, *floats, *each(5, 260 + 180 + 9 * 60, charging(64.0, 5), begin=440)))) == []


def test_a_plateau_that_rises_alarms_and_a_battery_whose_voltage_rises_does_not() -> None:
    def climbs(share: float) -> Iterator[tuple[float, PileFields]]:
        yield from each(5, 60, charging(200.0))
        yield from ((60 + 5 * n, charging(200.0 * (1 + share * n / 24))) for n in range(25))

    assert judged(pile(*climbs(0.22))).alarms == []
    found = judged(pile(*climbs(1.2)))
    assert {one.kind for one in found.alarms} == {"rising_plateau"}
    assert found.alarms[-1].severity_highest == 2


def test_what_charges_again_after_it_was_full_is_told() -> None:
    steady, full = each(5, 120, charging(200.0)), each(5, 240, charging(10.0), begin=120)
    found = judged(pile(*steady, *full, *each(5, 300, charging(200.0), begin=240)))
    assert {one.kind for one in found.alarms} == {"restart_after_full"}


def test_one_wild_value_of_power_makes_no_alarm_of_shape() -> None:
    before, after = each(5, 120, charging(200.0)), each(5, 200, charging(200.0), begin=125)
    found = judged(pile(*before, (120, charging(90_000.0)), *after))
    assert {one.event for one in found.alarms} == {"provisional", "withdrawn"}
    assert {one.kind for one in found.alarms} == {"port_power"}


@pytest.mark.parametrize("wild", [charging(90_000.0, current_a=[0.9]), charging(200.0, current_a=[640.0])])
def test_a_wild_value_of_power_or_current_is_none_where_the_other_cannot_bear_it(wild: PileFields) -> None:
    calm = charging(200.0, current_a=[0.9])
    assert judged(pile(*each(5, 120, calm), (120, wild), *each(5, 200, calm, begin=125))).alarms == []


def test_limits_of_ports_are_of_piles_alone() -> None:
    watts = [record(n, report(T0 + n * 1_000, power_w=[7_000.0], current_a=[32.0])) for n in range(90)]
    assert judged(watts).alarms == []


def test_a_current_that_nothing_limits_is_urgent_once_it_has_stayed() -> None:
    calm, much = charging(1_000.0, current_a=[5.0]), charging(1_900.0, current_a=[13.0])
    found = judged(pile(*each(1 / 60, 1, calm), *each(1 / 60, 3, much, begin=1)))
    assert kinds(found) == [("port_current", "opened"), ("port_current", "escalated")]
    assert [one.severity for one in found.alarms] == [1, 2]


def test_a_pile_that_sends_power_only_while_it_charges_misses_nothing() -> None:
    quiet = each(3, 24 * 60, {"port_state": [0]}, begin=31)
    found = judged(never_still(pile(*each(5, 30, charging()), *quiet)))
    assert [one.faults for one in found.statuses] == [[]]


def test_the_clock_of_a_pile_that_was_set_back_harms_no_charge() -> None:
    before = pile(*each(3, 30, charging(seq=1)))
    back = [
        record(100 + n, report(T0 - HOUR_MS + (30 + 3 * n) * MINUTE_MS, "CD-1", "charging_pile", **charging()),
               ingest_ts=T0 + (30 + 3 * n) * MINUTE_MS + 1_000)
        for n in range(8)
    ]  # fmt: skip
    idle = [
        record(200 + n, report(T0 - HOUR_MS + (60 + 3 * n) * MINUTE_MS, "CD-1", "charging_pile", **IDLE),
               ingest_ts=T0 + (60 + 3 * n) * MINUTE_MS + 1_000)
        for n in range(3)
    ]  # fmt: skip
    (charge,) = judged([*before, *back, *idle]).sessions
    assert charge.ended_ts == T0
