"""The views that authorities ask for, on small known data: alarms by what they count by, supply areas, protectors."""

from __future__ import annotations

from datetime import date
from typing import Any

from schemas import topics
from schemas.actions import AlarmVerdict
from schemas.registry import UnitProtectors
from sinks.clickhouse.rows import BLOCKS
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.samples import NOON, TOPIC_ID, action, actions, alarm, alarms, entries, entry
from tests.support.platform import Ask

HOUR = 3_600_000
DAY = 24 * HOUR
TODAY = date(2026, 9, 21)


def register(sink: ClickHouseSink, *devices: dict[str, Any]) -> None:
    told = entries(*((entry(**fields), number) for number, fields in enumerate(devices, start=1)))
    sink.write(BLOCKS[topics.REGISTRY.name](told, TOPIC_ID))


def test_alarms_are_counted_by_day_place_kind_and_severity_with_how_they_were_handled(
    sink: ClickHouseSink, query: Ask
) -> None:
    register(
        sink, {"device_id": "LY-1"}, {"device_id": "LY-2", "unit_id": "U-2", "place_kind": "hotel", "area": "350481002"}
    )

    def event(name: str, device: str, event: str, ts: int, offset: int, **more: Any) -> Any:
        times = {"event_ts": ts, "ingest_ts": ts, "onset_ts": NOON, "episode": NOON}
        return alarm(alarm_id=name * 32, device_id=device, event=event, source_offset=offset, **(times | more))

    told = alarms(
        event("a", "LY-1", "opened", NOON, 1),
        event("a", "LY-1", "reset", NOON + HOUR, 2, active=False, severity=0),
        event("b", "LY-1", "opened", NOON, 3, component=1),
        event("c", "LY-1", "opened", NOON, 4, component=3, severity=2, severity_label="紧急"),
        event("d", "LY-2", "opened", NOON, 5, kind="residual_current"),
        event("e", "LY-2", "opened", NOON + DAY, 6, onset_ts=NOON + DAY, episode=NOON + DAY, component=4, test=True),
    )
    sink.write(BLOCKS[topics.ALARMS.name](told, TOPIC_ID))
    done = actions(
        (action("verdict", alarm_id="a" * 32, verdict=AlarmVerdict.TRUE), 1),
        (action("assign", alarm_id="b" * 32, to="李工"), 2),
        (action("verdict", alarm_id="d" * 32, device_id="LY-2", verdict=AlarmVerdict.FALSE, why="x"), 3),
    )
    sink.write(BLOCKS[topics.ALARM_ACTIONS.name](done, TOPIC_ID))
    found = query(
        "SELECT day, place_kind, unit_id, kind, severity_highest, test, alarms, devices, open, assigned, handled,"
        " true_alarms, false_alarms, handle_s_median FROM alarm_statistics"
        " ORDER BY day, unit_id, kind, severity_highest"
    )
    assert found == [
        (TODAY, "school", "U-1", "temperature", 1, False, 2, 1, 1, 1, 1, 1, 0, 3600),
        (TODAY, "school", "U-1", "temperature", 2, False, 1, 1, 1, 0, 0, 0, 0, None),
        (TODAY, "hotel", "U-2", "residual_current", 1, False, 1, 1, 1, 0, 0, 0, 1, None),
        (date(2026, 9, 22), "hotel", "U-2", "temperature", 1, True, 1, 1, 1, 0, 0, 0, 0, None),
    ]
    ((late, alone),) = query("SELECT sum(overdue), (SELECT countIf(overdue) FROM alarm_handling) FROM alarm_statistics")
    assert late == alone


def voltages(query: Ask, device: str, *hours: float, component: int = 0) -> None:
    """Hours of one phase from noon on."""
    for at, mean in enumerate(hours):
        query(
            "INSERT INTO aggregates_1h (hour_ts, device_id, quantity, component, count, min, max, mean, made) VALUES",
            [(NOON // 1_000 + at * 3_600, device, "voltage_v", component, 60, mean - 5, mean + 5, mean, 1)],
        )


def test_a_supply_area_with_low_hours_is_listed_with_how_many_and_how_low(sink: ClickHouseSink, query: Ask) -> None:
    low = {"supply_area": "1号台区", "nominal_voltage_v": 220.0}
    register(
        sink,
        {"device_id": "V-1", **low},
        {"device_id": "V-2", **low},
        {"device_id": "V-3", **low, "supply_area": "2号台区"},
        {"device_id": "V-4", **low, "supply_area": "3号台区", "nominal_voltage_v": 380.0},
        {"device_id": "V-5", **low, "supply_area": ""},
    )
    voltages(query, "V-1", 197.5, 198.5, 190.25)
    voltages(query, "V-1", 230, component=1)
    voltages(query, "V-2", 225, 40)
    voltages(query, "V-3", 220, 20)
    voltages(query, "V-4", 335)
    voltages(query, "V-5", 150)
    voltages(query, "V-6", 150)
    found = query(
        "SELECT day, supply_area, devices, low_devices, hours, low_hours, voltage_v_min FROM low_voltage_areas"
        " ORDER BY supply_area"
    )
    assert found == [(TODAY, "1号台区", 2, 1, 6, 2, 190.25), (TODAY, "3号台区", 1, 1, 1, 1, 335.0)]


def test_protectors_are_counted_once_a_unit_by_what_is_registered_last(sink: ClickHouseSink, query: Ask) -> None:
    old = UnitProtectors(household_due=10, household_installed=1, household_operating=1)
    school = UnitProtectors(
        household_due=120, household_installed=100, household_operating=95, main_due=2, main_installed=1
    )
    hotel = UnitProtectors(household_due=80, household_installed=80, household_operating=None)
    area = {"supply_area": "1号台区", "area": "350481001"}
    register(
        sink,
        {"device_id": "P-1", **area, "protectors": old},
        {"device_id": "P-1", **area, "protectors": school},
        {"device_id": "P-2", **area, "protectors": school},
        {"device_id": "P-3", **area, "unit_id": "U-2", "protectors": hotel},
        {"device_id": "P-4", "unit_id": "U-3", "area": "350481002"},
    )
    found = query("SELECT * EXCEPT area FROM protector_rates ORDER BY supply_area DESC")
    assert found == [
        # Of the hotel nobody knows how many are in operation.
        ("1号台区", 2, 200, 180, 95, 0.9, 0.95, 2, 1, None, 0.5, None),
        ("", 1, *[None] * 10),
    ]
