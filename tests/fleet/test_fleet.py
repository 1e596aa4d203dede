"""The fleet says of itself what is true: the same bytes for one seed, good records good, bad ones bad, faults exact."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from detectors.limits import load_limits
from detectors.twin.oracle import Oracle
from fleet import Fleet, FleetConfig, Send
from fleet.bad import CASES
from fleet.faults import KINDS, MONITORS_ONLY, PILES_TOO
from schemas.alarm_kinds import AlarmKind
from schemas.events import Severity
from schemas.records import Records
from schemas.report_rejects import Reject
from schemas.report_rules import Reason
from schemas.reports import Reports, decode
from tests.fleet.fleet_oracle import Key, alarms

START_TS = 1_790_000_000_000
DEMO = FleetConfig(
    seed=7,
    devices=300,
    rate=500,
    seconds=60,
    start_ts=START_TS,
    rise_window_s=30,
    bad_records=len(CASES),
    share_late=0.1,
)


def everything(fleet: Fleet) -> list[Send]:
    return fleet.due(fleet.config.start_ts, fleet.config.end_ts)


def in_windows(fleet: Fleet, width_ms: int) -> list[Send]:
    begins = range(fleet.config.start_ts, fleet.config.end_ts, width_ms)
    return [send for begin in begins for send in fleet.due(begin, begin + width_ms)]


def decoded(sends: Sequence[Send]) -> tuple[Reports, list[Reject]]:
    return decode(
        Records(
            topic="emberline.telemetry",
            partition=0,
            offsets=np.arange(len(sends), dtype=np.int64),
            timestamps=np.array([send.scheduled_ts for send in sends], dtype=np.int64),
            keys=[send.key for send in sends],
            values=[send.value for send in sends],
            headers=[()] * len(sends),
        )
    )


def own(fleet: Fleet, sends: Sequence[Send]) -> list[Send]:
    """Those of the fleet's devices, without the bad records."""
    keys = {device_id.encode() for device_id in fleet.device_ids}
    return [send for send in sends if send.key in keys and not send.rejected]


def reports_of(sends: Sequence[Send]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for send in sends:
        parsed = orjson.loads(send.value)
        found.extend(parsed if type(parsed) is list else [parsed])
    return found


def truth(fleet: Fleet) -> dict[Key, Severity]:
    return {(alarm.device_id, alarm.component, alarm.kind): alarm.severity for alarm in fleet.expected}


@pytest.fixture(scope="module")
def demo() -> Fleet:
    return Fleet(DEMO)


@pytest.fixture(scope="module")
def sends(demo: Fleet) -> list[Send]:
    return everything(demo)


def test_one_seed_gives_the_same_bytes_and_another_gives_others(sends: list[Send]) -> None:
    assert everything(Fleet(DEMO)) == sends
    other = FleetConfig(seed=8, devices=300, rate=500, seconds=60, start_ts=START_TS)
    assert [send.value for send in everything(Fleet(other))][:100] != [send.value for send in sends][:100]


@pytest.mark.parametrize("width_ms", [100, 2_500, 59_999])
def test_many_small_windows_give_the_same_as_one_large_one(demo: Fleet, sends: list[Send], width_ms: int) -> None:
    assert in_windows(demo, width_ms) == sends


def test_windows_of_a_millisecond_give_the_same_too() -> None:
    config = FleetConfig(devices=40, rate=400, seconds=4, share_late=0.5, share_repeated=0.2, share_swapped=0.3)
    assert in_windows(Fleet(config), 1) == everything(Fleet(config))


def test_nothing_leaves_outside_the_run_and_all_in_order(demo: Fleet, sends: list[Send]) -> None:
    assert demo.due(DEMO.start_ts - 10_000, DEMO.start_ts) == []
    assert demo.due(DEMO.end_ts, DEMO.end_ts + 10_000) == []
    times = [send.scheduled_ts for send in sends]
    assert times == sorted(times)
    assert DEMO.start_ts <= times[0]
    assert times[-1] < DEMO.end_ts


def test_every_report_leaves_and_none_before_it_was_made(demo: Fleet, sends: list[Send]) -> None:
    whole = own(demo, sends)
    assert len({(report["device_id"], report["seq"]) for report in reports_of(whole)}) == demo.reports == 30_000
    for send in whole:
        assert max(report["event_ts"] for report in reports_of([send])) <= send.scheduled_ts


def test_good_records_pass_and_bad_ones_give_exactly_their_reasons(demo: Fleet, sends: list[Send]) -> None:
    reports, rejects = decoded(sends)
    assert len(reports.good) == sum(send.reports for send in sends)
    assert Counter(reject.fault.reason for reject in rejects) == demo.bad
    assert Counter(reject.offset for reject in rejects) == {
        offset: send.rejected for offset, send in enumerate(sends) if send.rejected
    }


def test_every_reject_reason_there_is_occurs(demo: Fleet) -> None:
    assert set(demo.bad) == {
        *("not_json", "wrong_type", "missing_field", "unknown_version", "null_key", "empty_record", "not_a_report"),
        *("too_many_reports", "record_too_large", "bad_device_id"),
    }


def test_what_is_odd_is_kept_with_what_is_wrong_with_it(sends: list[Send]) -> None:
    odd = [send for send in sends if send.reports and (send.key or b"")[:4] == b"LY-X" and not send.rejected]
    reports, rejects = decoded(odd)
    assert rejects == []
    assert len(reports) == sum(case.reason == "" for case in CASES) == len(odd)
    noted = {row for row in range(len(reports)) if row in reports.notes or row in reports.marks.report.tolist()}
    assert noted == set(range(len(reports)))
    assert set(reports.marks.reason.tolist()) == set(Reason)
    assert reports.by_arrival.sum() == 3


def by_the_twin(fleet: Fleet, sends: Sequence[Send], folder: Path) -> tuple[dict[Key, Severity], Oracle]:
    """The highest severity of all that is told of each alarm, provisionals among it."""
    limits = folder / "limits.toml"
    limits.write_text(f"[default.residual_current_rise]\nwindow_s = {fleet.config.rise_window_s}\n")
    oracle = Oracle(load_limits(limits))
    for offset, send in enumerate(sends):
        oracle.feed(offset, send.scheduled_ts, send.value, send.key)
    found: dict[Key, Severity] = {}
    for alarm in oracle.told.alarms:
        key = alarm.device_id, alarm.component, AlarmKind(alarm.kind)
        found[key] = max(found.get(key, Severity.NOTICE), Severity(alarm.severity))
    return found, oracle


def test_the_oracle_shown_all_that_is_sent_finds_exactly_what_was_planted(
    demo: Fleet, sends: list[Send], tmp_path: Path
) -> None:
    found, oracle = by_the_twin(demo, sends, tmp_path)
    assert found == truth(demo)
    assert Counter(reason for *_, reason in oracle.told.rejects) == demo.bad


def test_a_huge_record_comes_only_when_asked_for() -> None:
    config = FleetConfig(devices=10, rate=10, seconds=10, faults_per_kind=0, huge_record_bytes=10_000_000)
    huge = [send for send in everything(Fleet(config)) if len(send.value) >= 10_000_000]
    assert [send.rejected for send in huge] == [1]
    assert Fleet(config).bad == {"record_too_large": 1}


def test_repeats_are_equal_byte_for_byte_and_swaps_and_late_arrays_occur(demo: Fleet, sends: list[Send]) -> None:
    bytes_of: dict[tuple[str, int], set[bytes]] = defaultdict(set)
    newest: dict[str, int] = {}
    copies: Counter[bytes] = Counter()
    swapped = late = 0
    for send in own(demo, sends):
        late += send.reports > 1
        copies[send.value] += 1
        for report in reports_of([send]):
            device, seq = report["device_id"], report["seq"]
            known = bytes_of[device, seq]
            swapped += not known and seq == newest.get(device, -1) - 1
            known.add(orjson.dumps(report))
            newest[device] = max(seq, newest.get(device, -1))
    assert all(len(forms) == 1 for forms in bytes_of.values())
    assert {1, 2, 3} <= set(copies.values())
    assert swapped > 50
    assert late > 10


@pytest.mark.parametrize(
    ("seed", "devices", "rate", "seconds", "rise_window_s"),
    [
        (1, 300, 500, 60, 30),
        (2, 300, 500, 60, 1_800),
        (3, 100, 20, 200, 30),
        (4, 100, 20, 200, 90),
        (5, 120, 400, 20, 30),
        (6, 120, 400, 20, 1_800),
        (7, 90, 4, 900, 180),
        (8, 64, 64, 90, 30),
    ],
)
def test_a_slow_reading_of_the_rules_finds_exactly_what_was_planted(
    seed: int, devices: int, rate: float, seconds: float, rise_window_s: float
) -> None:
    config = FleetConfig(
        seed=seed, devices=devices, rate=rate, seconds=seconds, rise_window_s=rise_window_s, share_late=0.1
    )
    check_by_a_slow_reading(Fleet(config))


def check_by_a_slow_reading(fleet: Fleet) -> None:
    found = alarms(reports_of(everything(fleet)), fleet.config.rise_window_s)
    assert {key: severity for key, (severity, _) in found.items()} == truth(fleet)
    for alarm in fleet.expected:
        assert found[alarm.device_id, alarm.component, alarm.kind][1] >= alarm.after_ts


@pytest.mark.parametrize("rise_window_s", [60, 1_800])
@pytest.mark.parametrize("interval_s", [0.2, 10, 11, 30, 120, 121, 300, 600, 1_000, 1_800, 21_600])
def test_the_truth_holds_however_often_devices_report(interval_s: float, rise_window_s: float, tmp_path: Path) -> None:
    fleet = Fleet(
        FleetConfig(
            seed=int(interval_s),
            devices=60,
            rate=60 / interval_s,
            seconds=max(20, 40 * interval_s),
            share_piles=0.3,
            rise_window_s=rise_window_s,
        )
    )
    check_by_a_slow_reading(fleet)
    assert by_the_twin(fleet, everything(fleet), tmp_path)[0] == truth(fleet)
    assert len(fleet.expected) >= 4


def test_everything_is_planted_in_a_minute(demo: Fleet) -> None:
    assert {planted.name for planted in demo.planted} == {recipe.__name__ for recipe in (*MONITORS_ONLY, *PILES_TOO)}
    assert {alarm.kind for alarm in demo.expected} == set(KINDS)
    assert {alarm.severity for alarm in demo.expected} == {Severity.WARNING, Severity.ALARM}
    assert len({planted.device for planted in demo.planted}) == len(demo.planted)


def test_a_short_run_plants_only_what_can_confirm_in_it() -> None:
    fleet = Fleet(FleetConfig(devices=300, rate=500, seconds=20))
    kinds = {alarm.kind for alarm in fleet.expected}
    assert kinds == {AlarmKind.ARC_FAULT, AlarmKind.RESIDUAL_CURRENT, AlarmKind.TEMPERATURE}


def test_too_few_devices_for_the_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        Fleet(FleetConfig(devices=12, rate=20, seconds=60))


@pytest.mark.parametrize(("rate", "says"), [(1_001, "10 ms at most"), (10 / 21_601, "6 h at least")])
def test_intervals_that_no_device_of_the_field_has_are_refused(rate: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        FleetConfig(devices=10, rate=rate, seconds=60)


@pytest.mark.parametrize("seed", range(3))
def test_healthy_devices_keep_their_distance_from_every_limit_all_day(seed: int) -> None:
    config = FleetConfig(seed=seed, devices=400, rate=4, seconds=86_400, faults_per_kind=0, start_ts=START_TS)
    fleet = Fleet(config)
    hours = [START_TS + hour * 3_600_000 for hour in range(24)]
    sampled = [send for hour_ts in hours for send in fleet.due(hour_ts, hour_ts + 110_000)]
    ranges: dict[tuple[str, str], list[float]] = defaultdict(list)
    for report in reports_of(sampled):
        for quantity in ("residual_current_ma", "temperature_c", "arc_half_cycles", "voltage_v", "power_w"):
            ranges[report["device_kind"], quantity] += [value for value in report.get(quantity, ()) if value != -200]
        if len(phases := report["current_a"]) == 3:
            mean = sum(phases) / 3
            ranges["electrical_monitor", "unbalance"].append(max(abs(one - mean) for one in phases) / mean)
    assert min(ranges["electrical_monitor", "residual_current_ma"]) > 15
    assert max(ranges["electrical_monitor", "residual_current_ma"]) < 145
    assert max(ranges["charging_pile", "residual_current_ma"]) < 12
    assert max(ranges["electrical_monitor", "temperature_c"]) < 50
    assert max(ranges["charging_pile", "temperature_c"]) < 50
    assert max(ranges["electrical_monitor", "arc_half_cycles"]) <= 8
    assert min(ranges["electrical_monitor", "voltage_v"]) > 215
    assert max(ranges["electrical_monitor", "voltage_v"]) < 234
    assert max(ranges["electrical_monitor", "unbalance"]) < 0.3
    assert max(ranges["charging_pile", "power_w"]) < 500


def test_healthy_values_swing_and_heat_gently_all_day() -> None:
    config = FleetConfig(devices=16, rate=0.5, seconds=86_400, faults_per_kind=0, share_late=0, share_swapped=0)
    residual: dict[str, list[float]] = defaultdict(list)
    hottest: dict[tuple[str, int], tuple[int, float]] = {}
    for report in reports_of(everything(Fleet(config))):
        device = report["device_id"]
        residual[device] += report["residual_current_ma"]
        for component, value in enumerate(report["temperature_c"]):
            ts, before = hottest.get((device, component), (0, value))
            if report["event_ts"] > ts:
                assert (value - before) / max(report["event_ts"] - ts, 1) * 60_000 < 2.5
                hottest[device, component] = (report["event_ts"], value)
    assert max(max(values) - min(values) for values in residual.values()) < 50
