"""A detect worker that is killed again and again says what the slow twin says, and commits what it has checkpointed."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from faust.types import TP

from common.settings import Settings
from detectors.checkpoints.restore import restore_all
from detectors.limits import load_limits
from detectors.state import PartitionState
from detectors.twin.oracle import Told, timeless
from schemas.events import Aggregate, Alarm, DeviceStatus
from schemas.records import Records
from schemas.reports import decode
from schemas.topics import AGGREGATES, ALARMS, CHECKPOINTS, DEVICE_STATUS, OUTPUTS, REJECTS, TELEMETRY
from streams.transport import to_records
from tests.support.fleet_sends import fleet_sends, oracle_of, parts, quick_limits, rejects_of, without_repeats
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.platform import PARTITIONS, quick_settings
from tests.support.processes import working

GROUP = "emberline-detect"
DeviceKey = tuple[str, bool]


@pytest.fixture
def settings(kafka: Kafka, tmp_path: Path) -> Settings:
    """For a worker that needs no ClickHouse."""
    return replace(quick_settings(kafka.address), limits_file=str(quick_limits(tmp_path)))


class PartitionLook(NamedTuple):
    """Of one partition at one moment: what was committed, and after that which offset each device's row held."""

    committed: int
    rows: dict[DeviceKey, int]
    rejected: int


def _look(kafka: Kafka) -> list[PartitionLook]:
    committed = kafka.committed(GROUP)  # first, for a checkpoint may only be ahead of it
    rejected = [max((offset for offset, *_ in rejects_of(records)), default=-1) for records in kafka.read(REJECTS.name)]
    return [
        PartitionLook(*one) for one in zip(committed, map(_rows, kafka.newest_checkpoints()), rejected, strict=True)
    ]


def _rows(newest: dict[bytes, bytes]) -> dict[DeviceKey, int]:
    state = PartitionState()
    assert not restore_all(state, newest).aside
    tests, offsets = (state.rows[name][: len(state)].tolist() for name in ("test", "offset"))
    return {(device, bool(test)): offset for device, test, offset in zip(state.device_ids, tests, offsets, strict=True)}


def _said(kafka: Kafka) -> int:
    return sum(sum(kafka.ends(topic.name)) for topic in (*OUTPUTS, CHECKPOINTS))


def _telemetry(kafka: Kafka) -> list[Records]:
    return [
        to_records(TP(TELEMETRY.name, number), records) for number, records in enumerate(kafka.read(TELEMETRY.name))
    ]


def _oracles(kafka: Kafka, settings: Settings) -> list[Told]:
    limits = load_limits(settings.limits_path)
    return [oracle_of(records, limits) for records in kafka.read(TELEMETRY.name)]


def _check_look(look: PartitionLook, records: Records) -> None:
    """Whatever lies below the committed offset is in the checkpoint or among the rejects."""
    decoded, rejects = decode(records)
    reports = decoded.good
    newest: dict[DeviceKey, int] = {}
    for device, test, offset in zip(reports.device_id, reports.test.tolist(), reports.offset.tolist(), strict=True):
        if offset < look.committed:
            newest[device, test] = offset
    behind = {device: offset for device, offset in newest.items() if look.rows.get(device, -1) < offset}
    assert not behind
    assert max((one.offset for one in rejects if one.offset < look.committed), default=-1) <= look.rejected


def test_after_crashes_alarms_minutes_and_rejects_equal_the_twins_and_commits_stay_behind_checkpoints(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    rng = random.Random(20)
    looks: list[list[PartitionLook]] = []
    *early, last = parts(fleet_sends(seed=4, seconds=200), 4)

    for number, part in enumerate(early):
        with working("detect", settings, tmp_path / "detect") as worker:
            enough, before = _said(kafka) + rng.randrange(1, 150), sum(kafka.committed(GROUP))

            def seen(enough: int = enough, before: int = before, commits: bool = number == 1) -> bool:
                looks.append(_look(kafka))
                return _said(kafka) >= enough and (not commits or sum(kafka.committed(GROUP)) > before)

            # Killed soon after some output; the second time not before it has committed something.
            kafka.send(part)
            worker.until(seen, f"{enough} records of output")
            worker.kill()
            looks.append(_look(kafka))
    with working("detect", settings, tmp_path / "detect") as worker:
        kafka.send(last)
        # One of these is where its key belongs.
        kafka.send(
            [
                ProducerRecord(number, b"elsewhere", b'{"v": 1, "device_id": "elsewhere"}')
                for number in range(PARTITIONS)
            ]
        )
        worker.until(lambda: kafka.committed(GROUP) == kafka.ends(TELEMETRY.name), "all committed")
        assert worker.stop() == 0, worker.said
    looks.append(_look(kafka))

    telemetry = _telemetry(kafka)
    for each in looks:
        for number, look in enumerate(each):
            _check_look(look, telemetry[number])
    assert any(
        0 < look.committed < len(telemetry[number].offsets) for each in looks for number, look in enumerate(each)
    )

    oracles = _oracles(kafka, settings)
    found = [kafka.read(topic.name) for topic in (ALARMS, AGGREGATES, DEVICE_STATUS, REJECTS)]
    for number, told in enumerate(oracles):
        alarms, aggregates, statuses, rejects = (topic[number] for topic in found)
        assert timeless(without_repeats(Alarm.from_json(one.value) for one in alarms)) == timeless(told.alarms)
        assert without_repeats(Aggregate.from_json(one.value) for one in aggregates) == told.aggregates
        assert rejects_of(rejects) == told.rejects
        # A silent device's status has an offset of its own; here all are heard.
        assert without_repeats(DeviceStatus.from_json(one.value) for one in statuses) == told.statuses
        assert told.alarms
        assert told.aggregates
        assert told.rejects
    misplaced = [sum("misplaced" in status.faults for status in told.statuses) for told in oracles]
    assert sorted(misplaced) == [0] * (PARTITIONS - 1) + [1]


def test_a_worker_told_to_stop_leaves_within_ten_seconds_and_commits_all_it_has_done(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    # Checkpoints hardly ever: what is committed is committed because it was told to stop.
    settings = replace(settings, checkpoint_interval_s=300)
    with working("detect", settings, tmp_path / "detect") as worker:
        kafka.send(fleet_sends(seed=5, seconds=100))
        worker.until(lambda: _said(kafka) > 0, "some output")
        assert kafka.committed(GROUP) == [0] * PARTITIONS
        assert worker.stop() == 0, worker.said
    assert "Traceback" not in worker.said
    committed = kafka.committed(GROUP)
    done = [set(rows.values()) for rows in map(_rows, kafka.newest_checkpoints())]
    done = [
        offsets | {offset for offset, *_ in rejects_of(records)}
        for offsets, records in zip(done, kafka.read(REJECTS.name), strict=True)
    ]
    assert sum(committed) > 0, worker.said
    assert [max(offsets, default=-1) + 1 for offsets in done] == committed


def test_bad_checkpoint_records_end_no_worker_and_are_counted(kafka: Kafka, settings: Settings, tmp_path: Path) -> None:
    kafka.send([ProducerRecord(number, b"0LY-1", b"junk") for number in range(PARTITIONS)], CHECKPOINTS.name)
    with working("detect", settings, tmp_path / "detect") as worker:
        kafka.send(fleet_sends(seed=5, seconds=5))
        counted = f'emberline_bad_checkpoint_records_total{{reason="stranger"}} {PARTITIONS:.1f}'
        worker.until(lambda: counted in worker.ask("/metrics")[1], "all of them counted")
        worker.until(lambda: kafka.committed(GROUP) == kafka.ends(TELEMETRY.name), "all committed")
        assert worker.stop() == 0, worker.said
    assert worker.said.count("a checkpoint record is set aside, '0LY-1': it is cut off") == PARTITIONS
