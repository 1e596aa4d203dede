"""The risk of components, units and areas after a run: each part from where it comes, and what of it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pytest
from msgspec import structs

from cli.hourly.ratings import Ratings
from cli.hourly.storage import insert
from early_warning.calendar import DAY_HOURS, SHANGHAI_HOURS, day_of
from early_warning.normal import OVER
from early_warning.risk import load_risk
from early_warning.state import ComponentKey, LearnedState, empty_states
from early_warning.table import LEAKAGE, TEMPERATURE
from schemas.registry import VERSION, DeviceEntry
from sinks.clickhouse.service import Service
from tests.cli.hourly.given import FIRST

CLOSED: Final = FIRST + 10
"""Ten hours into a day in Shanghai."""
TODAY: Final = day_of(CLOSED)
RISK: Final = load_risk()


def entry(device: str, unit: str = "U-1", area: str = "350481001002", **more: Any) -> DeviceEntry:
    told = {"kind": "electrical_monitor", "unit_id": unit, "unit_name": f"单位{unit}", "area": area}
    return DeviceEntry(v=VERSION, device_id=device, **(told | more))


def learned(*components: tuple[str, str, int]) -> dict[str, LearnedState]:
    """What is learned of components, by device, quantity and component, for three months."""
    states = empty_states()
    for device, quantity, number in components:
        (row,) = states[quantity].rows_of([ComponentKey(device, number)])
        states[quantity].fields["first"][row] = FIRST - 90 * DAY_HOURS
    return states


def store_hour(service: Service, device: str, quantity: str, mean: float, hour: int = CLOSED - 1, **more: Any) -> None:
    row = {"hour_ts": hour * 3_600, "device_id": device, "quantity": quantity, "component": 0, "count": 60, "made": 1}
    row |= {"min": mean, "max": mean, "mean": mean} | more
    insert(service, "aggregates_1h", {name: [value] for name, value in row.items()})


def store_days(service: Service, device: str, quantity: str, hours: int, days: int = 30) -> None:
    """So many hours with a value on each of the days before today."""
    at = [date(1970, 1, 1) + timedelta(days=TODAY - back) for back in range(1, days + 1)]
    same = {"device_id": device, "quantity": quantity, "component": 0, "hours": hours, "count": hours, "made": 1}
    insert(service, "aggregates_1d", {"day": at} | {name: [value] * days for name, value in same.items()})


def rate(
    service: Service,
    states: Mapping[str, LearnedState],
    entries: list[DeviceEntry],
    closed: int = CLOSED,
    risk: Any = RISK,
) -> None:
    ratings = Ratings(service, risk, closed)
    known = {one.device_id: one for one in entries}
    devices = {key.device_id for state in states.values() for key in state.keys}
    ratings.rate(states, devices, known)
    ratings.finish()


def parts(service: Service, device: str) -> dict[str, Any]:
    """The parts of a device's only component that are above 0."""
    names = ("exceedance", "trend", "alarms", "rectification", "gaps", "age")
    ((*found,),) = service.query(
        f"SELECT {', '.join(names)} FROM risk_components WHERE device_id = %(device)s",  # noqa: S608
        {"device": device},
    )
    return {name: pytest.approx(value, abs=1e-4) for name, value in zip(names, found, strict=True) if value}


def index(service: Service, device: str) -> float:
    ((found,),) = service.query("SELECT `index` FROM risk_components WHERE device_id = %(device)s", {"device": device})
    return float(found)


def test_what_is_well_is_at_a_hundred_but_for_what_is_not_known(service: Service) -> None:
    store_days(service, "W-1", LEAKAGE, 24)
    store_hour(service, "W-1", LEAKAGE, 50.0)
    rate(service, learned(("W-1", LEAKAGE, 0)), [entry("W-1")])
    assert parts(service, "W-1") == {}
    assert index(service, "W-1") == 100.0


def test_exceedance_is_the_highest_hour_of_the_last_day_against_the_limit(service: Service) -> None:
    store_days(service, "X-1", LEAKAGE, 24)
    store_hour(service, "X-1", LEAKAGE, 30.0)
    store_hour(service, "X-1", LEAKAGE, 150.0, hour=CLOSED - 20)
    store_hour(service, "X-1", LEAKAGE, 900.0, hour=CLOSED - 25)
    # A wild sample moves it no more than it moves a rule.
    store_hour(service, "X-1", LEAKAGE, 40.0, hour=CLOSED - 3, max=1_000.0, min=20.0)
    store_hour(service, "X-1", LEAKAGE, 900.0, hour=CLOSED - 2, test=True)
    rate(service, learned(("X-1", LEAKAGE, 0)), [entry("X-1")])
    # 150 of 200 mA: halfway from half of the limit to all of it.
    assert parts(service, "X-1") == {"exceedance": 0.5}
    assert index(service, "X-1") == pytest.approx(100 - 0.35 * 50)


def test_trend_is_what_stands_of_what_was_told(service: Service) -> None:
    states = learned(("T-1", LEAKAGE, 0))
    states[LEAKAGE].fields["told_hour"][0, OVER], states[LEAKAGE].fields["told_excess"][0, OVER] = FIRST - 9, 30
    store_days(service, "T-1", LEAKAGE, 24)
    rate(service, states, [entry("T-1")])
    assert parts(service, "T-1") == {"trend": 0.5}


def test_gaps_are_hours_that_should_have_a_value(service: Service) -> None:
    devices = {"G-1": (18, 30), "G-2": (4, 30), "G-3": (24, 2)}
    for device, (hours, days) in devices.items():
        store_days(service, device, TEMPERATURE, hours, days)
    entries = [entry("G-1"), entry("G-2", interval_s=21_600), entry("G-3"), entry("G-4"), entry("G-5")]
    states = learned(*((one.device_id, TEMPERATURE, 0) for one in entries))
    states[TEMPERATURE].fields["first"][4] = CLOSED - 2
    rate(service, states, entries)
    # A quarter is missing; four a day are all where it reports every six hours; nothing before it was first heard.
    assert parts(service, "G-1") == {"gaps": 0.5}
    assert (parts(service, "G-2"), parts(service, "G-3")) == ({}, {})
    # One that was never heard within 30 days, and one that was first heard today.
    assert (parts(service, "G-4"), parts(service, "G-5")) == ({"gaps": 1.0}, {})


def test_age_is_since_the_device_was_installed(service: Service) -> None:
    installed = (date(1970, 1, 1) + timedelta(days=TODAY - 1_826)).isoformat()
    store_days(service, "A-1", LEAKAGE, 24)
    rate(service, learned(("A-1", LEAKAGE, 0)), [entry("A-1", installed_on=installed)])
    assert parts(service, "A-1") == {"age": pytest.approx(0.5, abs=0.001)}


def test_alarms_count_until_somebody_has_judged_them(service: Service) -> None:
    opened = (
        ("R-1", LEAKAGE, 0, "residual_current", False),
        ("R-2", LEAKAGE, 1, "residual_current", False),
        ("R-3", LEAKAGE, 0, "residual_current", True),
        ("R-4", "voltage_v", 0, "over_voltage", False),
        ("R-5", LEAKAGE, 0, "residual_current", False),
    )
    for number, (device, quantity, component, kind, test) in enumerate(opened):
        about: dict[str, Any] = {
            "alarm_id": f"{number:032x}", "event": "opened", "severity": 2, "kind": kind, "device_id": device,
            "quantity": quantity, "component": component, "test": test, "source_offset": number, "offset": number,
            "ingest_ts": CLOSED * 3_600_000, "event_ts": CLOSED * 3_600_000,
        }  # fmt: skip
        insert(service, "alarm_events", {name: [value] for name, value in about.items()})
        mark = {"device_id": device, "alarm_id": about["alarm_id"], "sign": 1}
        insert(service, "alarm_marks", {name: [value] for name, value in mark.items()})
    judged = {"device_id": "R-5", "alarm_id": f"{4:032x}", "kind": "verdict", "by": "x", "verdict": "true", "number": 1}
    judged |= {"ingest_ts": CLOSED * 3_600_000}
    insert(service, "alarm_actions", {name: [value] for name, value in judged.items()})
    for device, *_ in opened:
        store_days(service, device, LEAKAGE, 24)
    rate(service, learned(*((device, LEAKAGE, 0) for device, *_ in opened)), [])
    alone = {f"R-{n}": parts(service, f"R-{n}") for n in range(1, 6)}
    # Voltage is not rated itself, so what it raises is its device's.
    assert alone == {"R-1": {"alarms": 1.0}, "R-2": {}, "R-3": {}, "R-4": {"alarms": 1.0}, "R-5": {}}


def test_units_are_their_worst_component_blended_with_the_mean_and_areas_their_units(service: Service) -> None:
    for device, hours in (("U-A", 24), ("U-B", 12), ("U-C", 24), ("U-D", 24)):
        store_days(service, device, LEAKAGE, hours)
    entries = [entry("U-A"), entry("U-B"), entry("U-E", "")]
    entries += [entry("U-C", "U-2", "350481001009"), entry("U-D", "U-3", "350481")]
    rate(service, learned(*((one.device_id, LEAKAGE, 0) for one in entries)), entries)
    units = service.query(
        "SELECT unit_id, unit_name, `index`, colour, worst, mean, components FROM risk_units ORDER BY 1"
    )
    blended = 0.6 * 90 + 0.4 * 95
    assert [tuple(np.round(value, 3) if isinstance(value, float) else value for value in row) for row in units] == [
        ("U-1", "单位U-1", blended, "green", 90.0, 95.0, 2),
        ("U-2", "单位U-2", 100.0, "green", 100.0, 100.0, 1),
        ("U-3", "单位U-3", 100.0, "green", 100.0, 100.0, 1),
    ]
    street = 0.6 * blended + 0.4 * (blended + 100) / 2
    county = 0.6 * blended + 0.4 * (blended + 200) / 3
    areas = service.query("SELECT area, `index`, units FROM risk_areas ORDER BY area")
    assert [(area, round(value, 3), count) for area, value, count in areas] == [
        ("350481", round(county, 3), 3),
        ("350481001", round(street, 3), 2),
        ("350481001002", round(blended, 3), 1),
        ("350481001009", 100.0, 1),
    ]


def test_a_rating_is_stored_when_it_changes_and_once_a_day(service: Service) -> None:
    store_days(service, "H-1", LEAKAGE, 24)
    states, entries = learned(("H-1", LEAKAGE, 0)), [entry("H-1")]
    for closed in (CLOSED, CLOSED, CLOSED + 1):
        rate(service, states, entries, closed)
    store_hour(service, "H-1", LEAKAGE, 180.0, hour=CLOSED + 1)
    rate(service, states, entries, CLOSED + 2)
    rate(service, states, entries, CLOSED + 3)
    tomorrow = (TODAY + 1) * DAY_HOURS - SHANGHAI_HOURS
    rate(service, states, entries, tomorrow + 1)
    stored = "SELECT intDiv(toUnixTimestamp(rated_ts), 3600), round(`index`) FROM {} ORDER BY 1"
    # By then today is a day of which it has no hour.
    wanted = [(CLOSED, 100), (CLOSED + 2, 72), (tomorrow + 1, 71)]
    for view in ("risk_component_history", "risk_unit_history"):
        assert service.query(stored.format(view)) == wanted
    assert len(service.query(stored.format("risk_area_history"))) == 9
    assert index(service, "H-1") == pytest.approx(72 - 10 / 30 * 2)


def test_weights_of_ones_own_are_stored_beside_what_they_rate(service: Service) -> None:
    store_days(service, "P-1", LEAKAGE, 12)
    states, entries = learned(("P-1", LEAKAGE, 0)), [structs.replace(entry("P-1"), unit_id="")]
    rate(service, states, entries)
    other = {**RISK, "weights": {**RISK["weights"], "gaps": 0.9}, "colours": {"red": 60, "yellow": 95}}
    rate(service, states, entries, CLOSED + 1, other)
    rows = service.query(
        "SELECT round(`index`, 2), colour_label, weights['gaps'] FROM risk_component_history ORDER BY rated_ts"
    )
    assert rows == [(90.0, "绿", 0.1), (50.0, "红", 0.9)]
    assert service.query("SELECT count() FROM risk_parameters") == [(2,)]
