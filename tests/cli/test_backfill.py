"""Backfill over what real workers stored: unchanged limits find exactly the live alarms, lower ones more."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
import pytest
from clickhouse_driver import Client

from cli.backfill.comparing import compare
from cli.backfill.plan import Plan
from cli.backfill.reading import batches, stored_partitions, widened
from common.errors import OperatorError
from common.times import now_ms
from detectors.process import process
from detectors.state import PartitionState
from embedded.processes import Running
from schemas.records import Records
from schemas.registry import ChangeNumber, DeviceEntry
from schemas.report_fields import Marks
from schemas.report_rules import Reason
from schemas.reports import Reports, decode
from schemas.topics import ALARMS, COMMANDS, CONTROL_OUTCOMES, REGISTRY, TELEMETRY
from sinks.clickhouse.rows import telemetry_block
from streams.partitioner import partition_of
from streams.storage import asking, make_sink, run_migrations
from tests.support.control import command, sent
from tests.support.kafka_outside import ProducerRecord
from tests.support.platform import PARTITIONS, Platform, quick_settings
from tests.support.processes import Ended, run, until

DEVICES: Final = 8
REPORTS: Final = 300
IN_RECORD: Final = 10
STEP_MS: Final = 30_000
BEGINNING: Final = "2020-01-01T00:00Z"
COLUMNS: Final = (
    "alarm_id, event, severity, severity_label, kind, device_id, device_kind, quantity, component, episode, event_ts, "
    "onset_ts, ingest_ts, by_arrival, late, value, `limit`, peak, baseline, limit_from, test, message, source_offset, "
    "source_ordinal, severity_highest, active, maintenance, `by`, why, limit_by, unit_name, place"
)


def _reports(device: str, rng: random.Random) -> list[dict[str, Any]]:
    """Hours of one device that now and then reaches every limit, with what is awkward in reports."""
    begin = now_ms() - REPORTS * STEP_MS
    level = 30.0
    found: list[dict[str, Any]] = []
    for number in range(REPORTS):
        level = min(max(level + rng.choice([-2.3, -0.1, 0.1, 2.7]), 20), 90)
        leakage = 61.3 + (rng.choice([0, 150.1, 250.7]) if number > 150 else 0)
        report: dict[str, Any] = {
            "v": 1,
            "device_id": device,
            "device_kind": "charging_pile" if device.endswith("7") else "electrical_monitor",
            "event_ts": begin + number * STEP_MS - (90_000 if number % 41 == 0 else 0),
            "temperature_c": [round(level, 1), -200.0, round(level + 7.7, 2)][: rng.choice([1, 3, 3])],
            "residual_current_ma": [round(leakage, 2)],
            "arc_half_cycles": [rng.choice([0, 0, 0, 14, 17])],
        }
        if number % 3:
            report["seq"] = number
        if number % 17 == 0:
            report["faults"] = ["sensor_open"]
        if device.endswith("3"):
            report["test"] = True
        if number % 7 == 0:
            report["temperature_c"][0] = 85.0
        if number % 23 == 0:
            report |= {"current_a": [-3.5, 99_999.0, "NaN", "x"], "temperature_c": [-127.0, None], "humidity_pct": [1]}
        if device.endswith("5") and number % 13 == 0:
            report |= {"event_ts": rng.choice([0, 2**61, None]), "seq": 2**64 - 1 - number}
        if device.endswith("6") and number % 19 == 0:
            del report["device_kind"]
        found.append(report)
    return found


@pytest.fixture(scope="module")
def stored(platform: Platform) -> Platform:
    """The platform once it has stored the reports of devices BF-… and the alarms that follow."""
    rng = random.Random(5)
    sends: list[ProducerRecord] = []
    for number in range(DEVICES):
        reports = _reports(f"BF-{number}", rng)
        arrays = [reports[first : first + IN_RECORD] for first in range(0, REPORTS, IN_RECORD)]
        sends += [ProducerRecord(home(f"BF-{number}"), f"BF-{number}".encode(), orjson.dumps(one)) for one in arrays]
    rng.shuffle(sends)  # so that reports come late, and devices are mixed
    kafka, group = platform.kafka, platform.settings.group
    half = len(sends) // 2
    kafka.send([*sends[:half], sends[3]])
    until(lambda: kafka.committed(f"{group}-detect") == kafka.ends(TELEMETRY.name), "half of it detected")
    _order(platform)
    kafka.send(sends[half:])
    until(lambda: kafka.committed(f"{group}-detect") == kafka.ends(TELEMETRY.name), "all detected")
    for topic in (TELEMETRY.name, ALARMS.name, CONTROL_OUTCOMES.name):
        until(lambda topic=topic: kafka.committed(f"{group}-sink", topic) == kafka.ends(topic), f"{topic} stored")  # type: ignore[misc]
    assert platform.query("SELECT count() FROM telemetry WHERE startsWith(device_id, 'BF-')") == [
        (DEVICES * REPORTS + IN_RECORD,)
    ]
    return platform


def home(device: str) -> int:
    return partition_of(device.encode(), PARTITIONS)


def _order(platform: Platform) -> None:
    """Devices are registered, with limits of their own, and things are ordered of them; return once that was told."""
    level = {"alarm": {"value": 61.4, "from": "insurer", "by": "王工", "since_ts": 1_790_000_000_000}, "warning": {}}
    entries = [
        DeviceEntry(
            1, "BF-1", unit_id="U-1", unit_name="国贸大厦", name="3层配电箱", limits={"residual_current": level}
        ),
        DeviceEntry(1, "BF-4", kind="charging_pile", unit_name="充电场所"),
    ]
    headers = [ChangeNumber("registry", 1, number).to_headers() for number in range(1, 9)]
    platform.kafka.send(
        [
            ProducerRecord(home(one.device_id), one.device_id.encode(), one.to_json(), header)
            for one, header in zip(entries, headers, strict=False)
        ],
        REGISTRY.name,
    )
    orders = [
        *(command(f"BF-{number}", force=True) for number in (0, 1, 5)),
        command("BF-2", kind="replace"),
        command("BF-6", kind="maintenance", until_ts=now_ms() + 600_000),
        command("BF-7", kind="accept_rise"),
        command("BF-7"),
    ]
    platform.kafka.send([sent(one, number, PARTITIONS) for number, one in enumerate(orders, start=11)], COMMANDS.name)
    told = "SELECT count() FROM control_records WHERE startsWith(device_id, 'BF-') AND outcome != 'repeated'"
    until(lambda: platform.query(told) == [(len(entries) + len(orders),)], "what became of all orders stored")
    assert platform.query(f"{told} AND outcome = 'applied'")[0][0] >= 6


def _backfill(platform: Platform, *arguments: str) -> Ended:
    return run("backfill", *arguments, "--devices", "BF-*", settings=platform.settings)


def test_unchanged_limits_find_exactly_the_live_alarms(stored: Platform) -> None:
    ended = _backfill(stored, "--from", BEGINNING, "--to", "now", "--json")
    assert ended.status == 0, ended.err
    outcome = orjson.loads(ended.out)
    live = stored.query(f"SELECT {COLUMNS} FROM alarm_events WHERE startsWith(device_id, 'BF-')")  # noqa: S608
    found = stored.query(f"SELECT {COLUMNS} FROM backfill_alarms WHERE run_id = %(run)s", run=outcome["run_id"])  # noqa: S608
    key = COLUMNS.split(", ").index("source_offset")
    assert sorted(found, key=lambda row: (row[5], row[key:])) == sorted(live, key=lambda row: (row[5], row[key:]))
    assert len({row[4] for row in live}) >= 4, "the reports are to reach most kinds of limits"
    assert {"opened", "recovered", "reset", "closed"} <= {row[1] for row in live}
    assert {"王工", ""} <= {row[COLUMNS.split(", ").index("limit_by")] for row in live}
    alarms = [row for row in live if row[1] in ("opened", "confirmed")]  # a provisional alone is no alarm
    assert outcome["same"] == len({(row[4], row[5], row[8], row[20]) for row in alarms})
    assert (outcome["only_live"], outcome["only_backfill"], outcome["other_severity"]) == (0, 0, 0)
    assert (outcome["not_compared"], outcome["same_at_another_time"], outcome["differences"]) == (0, 0, [])
    assert outcome["reports"] == DEVICES * REPORTS + IN_RECORD


def test_lower_limits_find_more_and_say_so(stored: Platform, tmp_path: Path) -> None:
    limits = tmp_path / "lower.toml"
    # 61.3 mA and no more was measured before: exactly at the limit counts.
    limits.write_text("[default.residual_current]\nwarning = 61.3\n")
    arguments = ["--from", BEGINNING, "--to", "now", "--limits", str(limits)]
    outcome = orjson.loads(_backfill(stored, *arguments, "--json").out)
    current = outcome["by_kind"]["residual_current"]
    assert current.get("only_live", 0) == 0
    assert outcome["limits_file"] == str(limits)
    earlier = sum(current.values()) - current.get("not_compared", 0)
    assert earlier == DEVICES
    assert outcome["same_at_another_time"] + outcome["only_backfill"] + outcome["other_severity"] > 0

    told = _backfill(stored, *arguments)
    assert told.status == 0, told.err
    assert "only backfill" in told.out
    assert "residual_current" in told.out
    listed = run("backfill", "--list", settings=stored.settings).out.splitlines()
    assert str(limits) in listed[1]
    assert "unfinished" not in listed[1]
    assert stored.query("SELECT count() FROM alarm_events WHERE `limit` = 61.3") == [(0,)]


def test_what_opened_before_the_period_is_not_compared(stored: Platform) -> None:
    rows = stored.query("SELECT toUnixTimestamp64Milli(max(ingest_ts)) + 1 FROM telemetry")
    ((device,),) = stored.query("SELECT device_id FROM alarm_events WHERE startsWith(device_id, 'BF-') LIMIT 1")
    again = [report | {"temperature_c": [99.0]} for report in _reports(device, random.Random(1))[-20:]]
    for later_ms, report in enumerate(again):
        report["event_ts"] = now_ms() + later_ms
    stored.kafka.send([ProducerRecord(home(device), device.encode(), orjson.dumps(again))])
    count = "SELECT count() FROM telemetry WHERE device_id = %(device)s AND ingest_ts >= toDateTime64(%(at)s / 1000, 3)"
    until(lambda: stored.query(count, device=device, at=rows[0][0]) == [(20,)], "the new reports stored")
    outcome = orjson.loads(_backfill(stored, "--from", str(rows[0][0]), "--to", "now", "--json").out)
    assert outcome["reports"] == 20
    assert outcome["reports_warm_up"] == DEVICES * REPORTS + IN_RECORD
    assert outcome["only_backfill"] == 0


def test_a_provisional_is_not_compared_and_its_confirmation_opens_an_alarm(clickhouse: Running) -> None:
    settings = replace(quick_settings("127.0.0.1:1", clickhouse.address), clickhouse_database="backfill_comparing")
    run_migrations(settings)
    run_id, at = UUID(int=9), now_ms() - 1_000
    lives = {
        "same": (["provisional", "confirmed"], ["provisional", "confirmed"]),
        "sooner": (["provisional", "confirmed", "recovered"], ["opened"]),
        "withdrawn": (["provisional", "withdrawn"], ["provisional"]),
        "only-live": (["provisional", "confirmed"], ["provisional", "withdrawn"]),
        "only-backfill": (["provisional"], ["opened"]),
    }
    with Client(clickhouse.host, clickhouse.port, database=settings.clickhouse_database) as client:
        for device, life in lives.items():
            for table, events in zip(("alarm_events", "backfill_alarms"), life, strict=True):
                about = {
                    "device_id": device,
                    "kind": "temperature",
                    "severity": 1,
                    "onset_ts": at / 1000,
                    "detected_ts": at / 1000,
                }
                about |= {"run_id": str(run_id)} if table == "backfill_alarms" else {}
                rows = [
                    orjson.dumps(about | {"event": one, "ingest_ts": (at + n) / 1000}) for n, one in enumerate(events)
                ]
                client.execute(f"INSERT INTO {table} FORMAT JSONEachRow {b' '.join(rows).decode()}")
    with asking(settings) as service:
        found = compare(service, Plan.of(settings, BEGINNING, "now", None, "", "0"), run_id)
    assert found.counts == {"temperature": {"same": 2, "only_live": 1, "only_backfill": 1}}
    assert {(one.device_id, one.category) for one in found.differences} == {
        ("only-live", "only_live"), ("only-backfill", "only_backfill"),
    }  # fmt: skip


def test_batches_of_any_size_give_the_same_reports(stored: Platform) -> None:
    plan = Plan.of(stored.settings, BEGINNING, "now", None, "BF-1,BF-2,BF-3*", "0")
    with asking(stored.settings) as service:
        for partition in stored_partitions(service, plan):
            many = list(batches(service, plan, partition, 1_001))
            (whole,) = batches(service, plan, partition)
            assert sum(map(len, many)) == len(whole) == partition.rows
            assert np.array_equal(np.concatenate([part.offset for part in many]), whole.offset)
            edges = [set(part.offset.tolist()) for part in many]
            assert all(not one & other for one, other in pairwise(edges))


def test_what_is_stored_comes_back_as_it_was_read(clickhouse: Running) -> None:
    settings = replace(quick_settings("127.0.0.1:1", clickhouse.address), clickhouse_database="backfill_reading")
    run_migrations(settings)
    rng, began = random.Random(7), now_ms()
    values = [orjson.dumps(report) for number in range(DEVICES) for report in _reports(f"BR-{number}", rng)]
    rng.shuffle(values)
    count = len(values)
    records = Records(
        topic=TELEMETRY.name,
        partition=1,
        offsets=np.arange(count) * 3,
        timestamps=began - count * 100 + np.arange(count) * 100,
        keys=[b"key"] * count,
        values=values,
        headers=[()] * count,
    )
    sink = make_sink(settings)
    sink.write(telemetry_block(records, UUID(int=7)))
    sink.close()
    read, _ = decode(records)
    marks = Marks._make(column[read.marks.reason != Reason.NOT_FITTED] for column in read.marks)
    assert set(marks.reason.tolist()) == set(Reason) - {Reason.NOT_FITTED}
    plan = Plan.of(settings, BEGINNING, "now", None, "", "0")
    with asking(settings) as service:
        (partition,) = stored_partitions(service, plan)
        (back,) = batches(service, plan, partition)
    for name in (one.name for one in fields(Reports) if one.name not in ("marks", "quantities")):
        np.testing.assert_equal(getattr(back, name), getattr(read, name), name)
    for found, wanted in zip(back.marks, marks, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert back.quantities.keys() == read.quantities.keys()
    for name, ragged in read.quantities.items():
        np.testing.assert_array_equal(back.quantities[name].starts, ragged.starts)
        np.testing.assert_array_equal(back.quantities[name].values, ragged.values)
    told = [process(reports, PartitionState(), plan.limits, 0).alarms for reports in (back, read)]
    assert told[0] == told[1]
    assert {alarm.late for alarm in told[0]} == {alarm.by_arrival for alarm in told[0]} == {False, True}


def test_a_number_of_six_digits_comes_back_as_it_was_written() -> None:
    rng = random.Random(3)
    written = [round(rng.uniform(-1, 1) * 10**whole, 5 - whole) for whole in range(6) for _ in range(2_000)]
    written += [0.0, -0.0, 0.1, 61.3, 99_999.9, 0.000012, 229.13, 1e7]
    back = widened(np.array(written, np.float32))
    assert back.tolist() == written
    assert np.isnan(widened(np.array([np.nan], np.float32))).all()


def test_a_run_that_breaks_off_is_marked_unfinished(stored: Platform) -> None:
    settings = stored.settings
    host, port = settings.clickhouse.split(":")
    small = ["--from", BEGINNING, "--to", "now"]
    environment = settings.to_environment() | {"EMBERLINE_DEVICES_MOST": "1"}
    ended = run("backfill", *small, "--devices", "BF-*", settings=environment)
    assert "EMBERLINE_DEVICES_MOST" in ended.refusal
    with Client(host, port, database=settings.clickhouse_database) as client:
        newest = client.execute("SELECT finished_at, from_ts FROM backfill_runs ORDER BY started_at DESC LIMIT 1")
    assert newest[0][0] is None
    assert "unfinished" in run("backfill", "--list", settings=settings).out.splitlines()[1]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"begin": None}, "give --from and --to"),
        ({"begin": "yesterday"}, "--from: 'yesterday' is no time"),
        ({"begin": "2026-01-02", "end": "2026-01-01"}, "--from must lie before --to"),
        ({"devices": "LY-*,*"}, r"'\*' is neither an id nor a prefix"),
        ({"devices": "L*Y"}, r"'L\*Y' is neither an id nor a prefix"),
        ({"warm_up": "long"}, "--warm-up: 'long' is no duration"),
        ({"limits": Path("no-such.toml")}, "cannot read the limits file"),
    ],
)
def test_what_cannot_be_backfilled_is_refused(changed: dict[str, Any], sentence: str) -> None:
    good: dict[str, Any] = {"begin": BEGINNING, "end": "now", "limits": None, "devices": "", "warm_up": "2h"}
    with pytest.raises(OperatorError, match=sentence):
        Plan.of(quick_settings("127.0.0.1:1"), **(good | changed))


def test_bad_arguments_are_one_sentence() -> None:
    assert "give --from and --to" in run("backfill", settings=quick_settings("127.0.0.1:1")).refusal


def test_a_period_without_telemetry_is_said(platform: Platform) -> None:
    ended = run("backfill", "--from", "2021-01-01", "--to", "2021-01-02", settings=platform.settings)
    assert "no telemetry" in ended.refusal
