"""Every record of every topic is in ClickHouse once, whatever is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from faust.types import TP

from common.settings import Settings
from detectors.limits import load_limits
from detectors.process import process
from detectors.state import PartitionState
from embedded.processes import Running, running_clickhouse
from schemas.events import Aggregate, Alarm, DeviceStatus
from schemas.rejects import RejectEvent, event_of
from schemas.reports import decode
from schemas.topics import AGGREGATES, ALARMS, DEVICE_STATUS, OUTPUTS, REJECTS, TELEMETRY
from streams.storage import run_migrations
from streams.transport import to_records
from tests.support.fleet_sends import fleet_sends, parts
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.platform import PARTITIONS, Ask, asking, quick_settings
from tests.support.processes import Worker, last_words, until, working

GROUP = "emberline-sink"
MALFORMED = [b"", b"{}", b"\xff\xfe", b"[1]", b'{"v":1}', b"null", None]


class KilledClickHouse:
    """ClickHouse on one port and one folder, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.running: Running = self._start(0)

    def kill(self) -> None:
        os.kill(self.running.pid, signal.SIGKILL)
        self._stack.close()

    def start_again(self) -> None:
        self.running = self._start(self.running.port)

    def stop(self) -> None:
        self._stack.close()

    def _start(self, port: int) -> Running:
        running = running_clickhouse(self._folder / "data", log=self._folder / "log", port=port)
        return self._stack.enter_context(running)


@contextmanager
def _server(folder: Path) -> Iterator[KilledClickHouse]:
    server = KilledClickHouse(folder)
    try:
        yield server
    finally:
        server.stop()


def _publish_what_follows(kafka: Kafka, rng: random.Random) -> None:
    """What a detect worker says of the telemetry, some of it again, with records between that are no events."""
    limits = load_limits()
    for number, records in enumerate(kafka.read(TELEMETRY.name)):
        columns = to_records(TP(TELEMETRY.name, number), records)
        reports, rejects = decode(columns)
        result = process(reports, PartitionState(), limits, 1_795_000_000_000)
        events: dict[str, Sequence[Alarm | Aggregate | DeviceStatus]] = {
            ALARMS.name: result.alarms,
            AGGREGATES.name: result.aggregates,
            DEVICE_STATUS.name: result.statuses,
        }
        for topic, of_topic in events.items():
            sends = [ProducerRecord(number, event.device_id.encode(), event.to_json()) for event in of_topic]
            kafka.send(_troubled(sends, number, rng), topic)
        sends = [
            ProducerRecord(number, one.key, one.value, event_of(one, TELEMETRY.name, number).to_headers(one.headers))
            for one in rejects
        ]
        kafka.send(_troubled(sends, number, rng), REJECTS.name)


def _troubled(sends: list[ProducerRecord], partition: int, rng: random.Random) -> list[ProducerRecord]:
    """As after a crash: from some record on it comes again. And as after a mistake: with strangers among it."""
    assert sends
    again = rng.randrange(len(sends))
    sends = sends[: again + 20] + sends[again:]
    for value in MALFORMED:
        sends.insert(rng.randrange(len(sends)), ProducerRecord(partition, b"stranger", value))
    return sends


def _rows(query: Ask, table: str) -> int:
    return int(query(f"SELECT count() FROM {table}")[0][0])  # noqa: S608


def _read_events(
    records: Iterable[ConsumerRecord], read: Callable[[ConsumerRecord], tuple[int, ...]]
) -> list[tuple[int, ...]]:
    found = []
    for record in records:
        try:
            found.append(read(record))
        except (ValueError, TypeError, AttributeError):
            continue
    return found


def _positions(kafka: Kafka, topic: str) -> set[tuple[int, int, int]]:
    """Partition and position of every event on an output topic."""

    def read(record: ConsumerRecord) -> tuple[int, ...]:
        if topic == REJECTS.name:
            reject = RejectEvent.from_headers(record.headers)
            return reject.source_offset, reject.source_index
        kind = {ALARMS.name: Alarm, AGGREGATES.name: Aggregate, DEVICE_STATUS.name: DeviceStatus}[topic]
        event = kind.from_json(record.value)  # type: ignore[attr-defined]
        return event.source_offset, event.source_ordinal

    return {
        (partition, *position)  # type: ignore[misc]
        for partition, records in enumerate(kafka.read(topic))
        for position in _read_events(records, read)
    }


def _check_telemetry(kafka: Kafka, query: Ask) -> None:
    stored = set(query("SELECT partition, offset, index FROM telemetry"))
    rejected = set(query("SELECT source_partition, source_offset, source_index FROM rejects"))
    for partition, records in enumerate(kafka.read(TELEMETRY.name)):
        decoded, rejects = decode(to_records(TP(TELEMETRY.name, partition), records))
        reports = decoded.good
        good = {
            (partition, *position) for position in zip(reports.offset.tolist(), reports.index.tolist(), strict=True)
        }
        assert {position for position in stored if position[0] == partition} == good
        bad = {(partition, one.offset, one.index) for one in rejects}
        assert {position for position in rejected if position[0] == partition} == bad
        # in = stored + rejected, and contiguously: no offset is missing
        assert {offset for _, offset, _ in good | bad} == set(range(len(records)))


def _check_once(query: Ask) -> None:
    for table in ("telemetry", "alarm_events", "aggregates_1m", "device_status_events", "rejects"):
        (count, positions, topics), *_ = query(
            f"SELECT count(), uniqExact(topic, topic_id, partition, offset, index), uniqExact(topic_id) FROM {table}"  # noqa: S608
        )
        assert (count, topics) == (positions, 1), table
        assert count > 0, table


def _check_outputs(kafka: Kafka, query: Ask) -> None:
    for topic, table, second in (
        (ALARMS.name, "alarm_events", "source_ordinal"),
        (AGGREGATES.name, "aggregates_1m", "source_ordinal"),
        (DEVICE_STATUS.name, "device_status_events", "source_ordinal"),
        (REJECTS.name, "rejects", "source_index"),
    ):
        rows = query(f"SELECT DISTINCT partition, source_offset, {second}, offset FROM {table}")  # noqa: S608
        assert {row[:3] for row in rows} == _positions(kafka, topic), topic
        assert len(rows) == len({row[:3] for row in rows}), f"{topic}: a repeat was stored"


def _all_committed(kafka: Kafka) -> bool:
    topics = [TELEMETRY.name, *(topic.name for topic in OUTPUTS)]
    return all(kafka.committed(GROUP, topic) == kafka.ends(topic) for topic in topics)


def _kill_after(rows: int, worker: Worker, query: Ask) -> None:
    until(lambda: _rows(query, "telemetry") >= rows, f"{rows} rows; the worker said {worker.said}", 45)
    worker.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KilledClickHouse]:
    with _server(tmp_path / "clickhouse") as server:
        yield server


def test_every_record_is_stored_once_though_workers_and_clickhouse_are_killed(
    kafka: Kafka, server: KilledClickHouse, tmp_path: Path
) -> None:
    settings = quick_settings(kafka.address, server.running.address)
    run_migrations(settings)
    query, rng = asking(settings), random.Random(21)
    first, second, third, fourth = parts(fleet_sends(seed=6, seconds=160), 4)

    with working("sink", settings, tmp_path / "sink") as worker:
        kafka.send(first)
        _kill_after(rng.randrange(1, 2_500), worker, query)
    with working("sink", settings, tmp_path / "sink") as worker:
        kafka.send(second)
        _kill_after(_rows(query, "telemetry") + rng.randrange(1, 2_500), worker, query)
    with working("sink", settings, tmp_path / "sink") as worker:
        kafka.send(third)
        enough = _rows(query, "telemetry") + rng.randrange(1, 2_500)
        until(lambda: _rows(query, "telemetry") >= enough, f"{enough} rows; it said {worker.said}")
        server.kill()
        kafka.send(fourth)
        _publish_what_follows(kafka, rng)
        server.start_again()
        until(lambda: _rows(query, "rejects") > 0, f"a reject; it said {worker.said}", 60)
        worker.kill()
    with working("sink", settings, tmp_path / "sink") as worker:
        until(lambda: _all_committed(kafka), f"everything stored; it said {worker.said}", 60)
        assert worker.process.poll() is None
        assert worker.stop() == 0
        assert "Traceback" not in worker.said

    _check_once(query)
    _check_telemetry(kafka, query)
    _check_outputs(kafka, query)


def test_a_worker_without_clickhouse_gives_up_after_its_deadline_and_loses_nothing(
    kafka: Kafka, settings: Settings, tmp_path: Path
) -> None:
    away = replace(settings, clickhouse="127.0.0.1:1", clickhouse_deadline_s=1)
    kafka.send(fleet_sends(seed=7, seconds=5, bad=0))
    with working("sink", away, tmp_path / "sink", ready=False) as worker:
        assert worker.process.wait(40) == 1
        assert "ClickHouse at 127.0.0.1:1 does not answer" in last_words(worker.said)
    assert kafka.committed(GROUP) == [0] * PARTITIONS
