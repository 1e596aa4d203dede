"""The fleet's registry says what the fleet's devices are, always the same, and leaves some of them out."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import orjson
import pytest

from fleet import Fleet, FleetConfig
from fleet.layout import MONITOR, PILE
from schemas.quantities import BY_NAME

CONFIG = FleetConfig(seed=3, devices=200, rate=100, seconds=60, rise_window_s=30)


def test_one_seed_gives_one_registry_whenever_the_run_begins_and_another_seed_another() -> None:
    registry = Fleet(CONFIG).registry
    assert Fleet(replace(CONFIG, start_ts=CONFIG.start_ts + 86_400_123)).registry == registry
    assert Fleet(replace(CONFIG, seed=4)).registry.units != registry.units


def test_the_registry_changes_nothing_of_what_is_sent() -> None:
    def sent(asked: FleetConfig) -> list[bytes]:
        fleet = Fleet(asked)
        assert fleet.registry.devices
        return [send.value for send in fleet.due(asked.start_ts, asked.end_ts)]

    assert sent(CONFIG) == sent(replace(CONFIG, share_unregistered=0.5))


def test_components_are_those_that_report_values_and_kinds_those_that_are_sent() -> None:
    fleet = Fleet(replace(CONFIG, faults_per_kind=0))
    reported: dict[str, set[tuple[str, int]]] = defaultdict(set)
    kinds = {}
    for send in fleet.due(CONFIG.start_ts, CONFIG.end_ts):
        found = orjson.loads(send.value)
        for report in found if isinstance(found, list) else [found]:
            kinds[report["device_id"]] = report["device_kind"]
            for name in report.keys() & BY_NAME.keys():
                absent = BY_NAME[name].absent
                numbers = {number for number, value in enumerate(report[name], start=1) if value != absent}
                reported[report["device_id"]] |= {(name, number) for number in numbers}
    registered: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for one in fleet.registry.components:
        registered[one.device_id].add((one.quantity, one.number))
    assert {one.id: one.kind for one in fleet.registry.devices} == {
        device_id: kind for device_id, kind in kinds.items() if device_id not in fleet.unregistered
    }
    assert set(kinds.values()) == {MONITOR.device_kind, PILE.device_kind}
    assert registered == {device_id: reported[device_id] for device_id in registered}


def test_rows_refer_to_each_other_and_every_unit_has_a_device_and_a_name_of_its_own() -> None:
    registry = Fleet(FleetConfig(seed=1, devices=3_000)).registry
    units = {one.id for one in registry.units}
    assert {one.unit_id for one in registry.devices} == units
    assert {one.organisation_id for one in registry.units} <= {one.id for one in registry.organisations}
    assert {one.device_id for one in registry.components} == {one.id for one in registry.devices}
    assert max(Counter(one.name for one in registry.units).values()) == 1
    assert max(Counter((one.unit_id, one.name) for one in registry.devices).values()) == 1
    assert max(Counter(one.id for one in registry.components).values()) == 1
    assert {one.area[:4] for one in registry.units} == {"5111"}


def test_a_small_share_is_not_registered_and_one_of_them_must_alarm() -> None:
    fleet = Fleet(replace(CONFIG, share_unregistered=0.02))
    registered = {one.id for one in fleet.registry.devices}
    assert len(fleet.unregistered) == 4
    assert registered == set(fleet.device_ids) - fleet.unregistered
    assert {one.device_id for one in fleet.expected} & fleet.unregistered
    assert {one.device_id for one in fleet.expected} & registered


@pytest.mark.parametrize(("devices", "share", "left_out"), [(1, 0.5, 0), (10, 0.0, 0), (10, 1.0, 9), (60, 0.02, 2)])
def test_at_least_one_device_is_registered(devices: int, share: float, left_out: int) -> None:
    fleet = Fleet(replace(CONFIG, devices=devices, faults_per_kind=0, share_unregistered=share))
    assert len(fleet.unregistered) == left_out
    assert len(fleet.registry.devices) == devices - left_out


@pytest.mark.parametrize(("rate", "interval_s"), [(400.0, 1), (100.0, 2), (200 / 21_600, 21_600)])
def test_an_interval_is_registered_in_whole_seconds(rate: float, interval_s: int) -> None:
    fleet = Fleet(replace(CONFIG, rate=rate, faults_per_kind=0))
    assert {one.interval_s for one in fleet.registry.devices} == {interval_s}
