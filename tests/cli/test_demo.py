"""The demo accounts for everything, and leaves nothing behind, however it ends."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson
import pytest
from msgspec import structs

from cli.demo.account import Live, demo_config, note_alarm, quick_limits, shown_message
from cli.demo.registry import DevicePlace, is_well_named
from common.settings import Settings
from detectors.limits import load_limits
from detectors.messages import alarm_message, named
from detectors.registered import KnownDevice, whereabouts
from detectors.twin.oracle import Oracle
from fleet import Fleet
from schemas.alarm_kinds import AlarmKind
from schemas.events import Alarm, AlarmEvent, Severity
from tests.cli.stacks import started
from tests.support.apache_kafka import kafka_for_tests
from tests.support.platform import quick_settings
from tests.support.processes import alive, children_of, environment_of, run, until

SIZE: Final = ["--devices", "60", "--rate", "100", "--json"]
KEYS: Final = {
    "reports_sent",
    "reports_stored",
    "reports_rejected",
    "reports_lost",
    "reports_duplicated",
    "rate_per_second",
    "alarms_expected",
    "alarms_raised",
    "alarms_missed",
    "alarms_false",
    "alarms_provisional",
    "alarms_withdrawn",
    "devices_registered",
    "devices_reporting",
    "devices_unregistered",
    "alarms_named",
    "alarms_misnamed",
    "alarms_unregistered",
    "unregistered",
    "registry_ms",
    "reset_ms",
    "message",
    "response_ms_p50",
    "response_ms_p99",
    "response_ms_max",
    "clickhouse_visible_ms_p99",
}


def test_the_limits_of_the_demo_change_nothing_of_what_alarms_and_show_recoveries(tmp_path: Path) -> None:
    fleet = Fleet(demo_config(seconds=60, devices=60, rate=60, seed=1, faults=1))
    oracle = Oracle(load_limits(quick_limits(tmp_path)))
    for offset, send in enumerate(fleet.due(fleet.config.start_ts, fleet.config.end_ts)):
        oracle.feed(offset, send.scheduled_ts, send.value, send.key)
    found: dict[tuple[str, int, str], int] = {}
    for alarm in oracle.told.alarms:
        about = alarm.device_id, alarm.component, alarm.kind
        found[about] = max(found.get(about, 0), alarm.severity)
    assert found == {(one.device_id, one.component, str(one.kind)): int(one.severity) for one in fleet.expected}
    assert any(alarm.event == AlarmEvent.RECOVERED for alarm in oracle.told.alarms)


@pytest.fixture
def opened() -> Alarm:
    """An alarm of a device that is registered where it says."""
    known = KnownDevice("LY-000123", unit_id="U1", unit_name="翠湖小区", place="1号楼表箱", area="511102")
    told = named(known.device_id, known)
    message = alarm_message(
        *(AlarmKind.ARC_FAULT, AlarmEvent.OPENED, Severity.ALARM, told, 0, 15, 14, None),
        test=False,
    )
    about = {
        "alarm_id": "0" * 32,
        "event": AlarmEvent.OPENED,
        "kind": AlarmKind.ARC_FAULT,
        "device_id": known.device_id,
    }
    measured = {"quantity": "arc_half_cycles", "component": 0, "value": 15, "limit": 14, "peak": 15, "baseline": None}
    rest = {
        **dict.fromkeys(("episode", "event_ts", "onset_ts", "ingest_ts", "detected_ts"), 1),
        **dict.fromkeys(("source_offset", "source_ordinal"), 0),
        **dict.fromkeys(("by_arrival", "late", "test"), False),
        **dict.fromkeys(("device_kind", "limit_from", "severity_label"), ""),
    }
    fields = {"v": 1, "severity": 2, "message": message, **about, **measured, **rest, **whereabouts(known)}
    return Alarm.from_json(orjson.dumps(fields))


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, False),
        ({"unit_name": ""}, True),
        ({"place": "2号楼表箱"}, True),
        ({"area": ""}, True),
        ({"message": "【紧急】LY-000123 第1路 故障电弧：当前 15个，限值 14个"}, True),
    ],
)
def test_an_alarm_that_does_not_name_its_place_does_not_balance(
    opened: Alarm, changed: dict[str, str], wrong: bool
) -> None:
    places = {opened.device_id: DevicePlace("U1", "翠湖小区", "1号楼表箱", "511102")}
    assert is_well_named(structs.replace(opened, **changed), places) is not wrong


def test_an_alarm_of_a_device_that_is_not_registered_names_no_place(opened: Alarm) -> None:
    assert not is_well_named(opened, {})
    assert is_well_named(structs.replace(opened, unit_id="", unit_name="", place="", area=""), {})


@pytest.mark.parametrize(
    ("events", "raised", "answers"),
    [
        ([AlarmEvent.OPENED], True, 1),
        ([AlarmEvent.PROVISIONAL, AlarmEvent.CONFIRMED, AlarmEvent.RECOVERED], True, 1),
        ([AlarmEvent.PROVISIONAL, AlarmEvent.WITHDRAWN], False, 0),
        ([AlarmEvent.PROVISIONAL], False, 0),
    ],
)
def test_a_provisional_is_raised_once_it_is_confirmed(
    opened: Alarm, events: list[AlarmEvent], raised: bool, answers: int
) -> None:
    live = Live()
    for event in events:
        note_alarm(structs.replace(opened, event=event), live)
    assert (bool(live.alarms), len(live.responses_ms), bool(shown_message(live))) == (raised, answers, raised)


def _demo(settings: Settings, seconds: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return started(["demo", "--seconds", str(seconds), *SIZE], environment_of(settings))


def test_a_demo_stops_whole_at_ctrl_c_and_another_on_its_data_balances(tmp_path: Path) -> None:
    # Where settings are those of a secured cluster, the demo's own servers are plain all the same.
    settings = replace(
        quick_settings("127.0.0.1:9092", "127.0.0.1:9000"),
        data_dir=str(tmp_path / "data"),
        kafka_tls=True,
        clickhouse_tls=True,
    )
    with _demo(settings, 120) as process:
        log = tmp_path / "data" / "demo" / "logs" / "sink.log"
        until(lambda: log.is_file() and "working on" in log.read_text(), "a sink worker at work", 60)
        children = children_of(process.pid)
        assert len(children) >= 4
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 130, err
        assert b"Traceback" not in err
        assert out == b""
        assert not alive(children)

    with _demo(settings, 12) as process:
        seen: set[int] = set()

        def ended() -> bool:
            seen.update(children_of(process.pid))
            return process.poll() is not None

        until(ended, "the end of the demo", 100)
        out, err = process.communicate()
        account = orjson.loads(out)
        assert process.returncode == 0, (account, err)
        assert len(seen) >= 4
        assert not alive(list(seen))
    assert account.keys() >= KEYS
    assert account["ok"] is True
    assert account["reports_sent"] == account["reports_stored"] + account["reports_rejected"]
    assert (account["reports_lost"], account["reports_duplicated"]) == (0, 0)
    assert (account["alarms_missed"], account["alarms_false"]) == (0, 0)
    assert account["alarms_raised"] == account["alarms_expected"] > 0
    assert account["reports_sent"] >= 1_200
    assert (account["devices"], account["devices_registered"]) == (60, 58)
    assert account["devices_reporting"] == account["devices_registered"] + account["devices_unregistered"] >= 60
    assert account["devices_unregistered"] == account["devices_unregistered_expected"] == len(account["unregistered"])
    assert (account["alarms_misnamed"], account["alarms_unregistered"]) == (0, 1)
    assert account["alarms_named"] == account["alarms_raised"] - 1
    assert re.match(r"【.+】\S+ \S+ [A-Z]{2}-\d{6} 第1路 ", account["message"])
    assert account["registry_ms"] > 0
    assert 0 < account["reset_ms"] < 20_000
    assert account["reset_lost"] is False
    assert 0 < account["response_ms_p50"] <= account["response_ms_p99"] <= account["response_ms_max"]
    assert account["clickhouse_visible_ms_p99"] > 0


def test_a_demo_on_kafka_begins_without_the_records_of_the_one_before(tmp_path: Path) -> None:
    settings = {"EMBERLINE_DATA_DIR": str(tmp_path)}
    with kafka_for_tests():
        for _ in range(2):
            ended = run("demo", "--broker", "kafka", "--seconds", "5", *SIZE, settings=settings, seconds=120)
            account = orjson.loads(ended.out)
            assert ended.status == 0, (account, ended.err)
            assert account["reports_sent"] == account["reports_stored"] + account["reports_rejected"] < 1_000
