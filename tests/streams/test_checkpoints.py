"""The checkpoints of a partition on Apache Kafka: whatever lies on the topic, the good rows are restored, and each bad
one costs its own device what was kept of it."""

from __future__ import annotations

import asyncio
import base64
import copy
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from common.errors import OperatorError
from common.kafka.reading import Readers
from common.settings import Settings
from detectors.checkpoints.encode import encode
from detectors.checkpoints.layout import OWN, TEXT, beginning_of, described, key_of
from detectors.limits import load_limits
from detectors.state import PartitionState
from embedded.processes import running_kafka
from schemas.topics import CHECKPOINTS, TELEMETRY
from streams.checkpoints import LINES, TOPIC_IDS, Checkpoint, CheckpointWriter, Incarnation, read_checkpoint
from streams.seals import EPOCH_MOST, sealed
from streams.topics import make_topics, topic_ids
from tests.detectors.given_reports import T0, contents, record, report, run
from tests.detectors.rows_by_hand import device, layout_of, value_of
from tests.support.apache_kafka import kafka_for_tests
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import until

PARTITIONS: Final = 64
"""Each test has one of its own."""
RECORDS: Final = 5
"""Of telemetry in each."""
RELEASES: Final = Path(__file__).parents[1] / "detectors" / "releases"
_numbers = itertools.count()
RowRecord = tuple[bytes, bytes | None]


@dataclass(frozen=True)
class FreshPartition:
    """A partition of the topic that nobody has used yet, and clients of it."""

    settings: Settings
    kafka: Kafka
    incarnation: Incarnation
    partition: int

    def write(self, *checkpoints: Sequence[RowRecord], epoch: int = 1) -> None:
        """Write checkpoints as a worker does that has the partition."""

        async def written() -> None:
            writer = await CheckpointWriter.start(self.settings, self.partition, self.incarnation)
            writer.epoch = epoch
            for rows in checkpoints:
                await writer.write(rows)
            await writer.stop()

        asyncio.run(written())

    def put(self, key: bytes, value: bytes | None, topic_ids: bytes | None = None) -> None:
        """Write a record as anybody may who has the right to write."""
        headers = [] if topic_ids is None else [(TOPIC_IDS, topic_ids)]
        self.kafka.send([ProducerRecord(self.partition, key, value, headers)], CHECKPOINTS.name)

    def forge(self, key: bytes, value: bytes, epoch: int = 1) -> None:
        """Write a record that a worker might have written."""
        self.put(key, sealed(key, value, self.topic_ids, epoch), self.topic_ids)

    def read(self) -> Checkpoint:
        """What a successor reads: it claims the partition first, and is answered once what was written can be seen."""

        async def found() -> Checkpoint:
            successor = await CheckpointWriter.start(self.settings, self.partition, self.incarnation)
            try:
                async with Readers(self.settings) as readers:
                    return await read_checkpoint(readers, self.partition, self.incarnation, PartitionState())
            finally:
                await successor.stop()

        return asyncio.run(found())

    @property
    def topic_ids(self) -> bytes:
        return bytes(self.incarnation)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Kafka, Incarnation]]:
    folder = tmp_path_factory.mktemp("checkpoints")
    with kafka_for_tests(), running_kafka(folder / "data", folder / "logs", brokers=1) as running:
        settings = Settings(kafka=running.bootstrap, partitions=PARTITIONS, fencing=True)
        asyncio.run(make_topics(settings))
        # Brokers answer that topics are made before all of them know it.
        until(lambda: len(ids_of(settings)) == 2, "topics", 120)
        ids = ids_of(settings)
        with Kafka(settings.kafka, PARTITIONS) as kafka:
            kafka.send(ProducerRecord(number, b"key", b"value") for number in range(PARTITIONS) for _ in range(RECORDS))
            yield settings, kafka, Incarnation.of(ids)


def ids_of(settings: Settings) -> dict[str, UUID]:
    try:
        return asyncio.run(topic_ids(settings, [TELEMETRY.name, CHECKPOINTS.name]))
    except UnknownTopicOrPartitionError:
        return {}


@pytest.fixture
def fresh(cluster: tuple[Settings, Kafka, Incarnation]) -> FreshPartition:
    return FreshPartition(*cluster, next(_numbers))


def fleet(*devices: str, offset: int = 3, value: float = 90) -> PartitionState:
    """The state of devices that have each reported a temperature."""
    state = PartitionState()
    for number, device_id in enumerate(devices):
        run([record(offset, report(T0 + number, device_id, temperature_c=[value]))], state, load_limits())
    return state


def rows(state: PartitionState) -> list[RowRecord]:
    return [*contents(state)]


def row(device_id: str, offset: int = 3, value: float = 90) -> bytes:
    ((_, encoded),) = encode(fleet(device_id, offset=offset, value=value), [0])
    return encoded


def test_what_is_written_is_read_and_the_next_writer_has_the_next_epoch(fresh: FreshPartition) -> None:
    state = fleet("LY-1", "LY-2")
    fresh.write(rows(state), [(b"partition", b'{"generation":1}')], epoch=4)
    checkpoint = fresh.read()
    assert contents(checkpoint.state) == contents(state)
    assert dict(checkpoint.records) == {b"partition": b'{"generation":1}'}
    assert (checkpoint.epoch, checkpoint.next_epoch, dict(checkpoint.aside)) == (4, 5, {})


def test_nothing_is_read_where_nothing_was_written(fresh: FreshPartition) -> None:
    checkpoint = fresh.read()
    assert (len(checkpoint.state), checkpoint.records, checkpoint.next_epoch, checkpoint.aside) == (0, {}, 1, {})


def test_each_writer_tells_its_layout_once_before_its_rows(fresh: FreshPartition) -> None:
    fresh.write(rows(fleet("LY-1")), rows(fleet("LY-2")))
    fresh.write(rows(fleet("LY-3")), epoch=2)
    found = [(one.key, one.value) for one in fresh.kafka.read(CHECKPOINTS.name)[fresh.partition]]
    assert [key for key, _ in found] == [key_of(OWN.beginning), b"0LY-1", b"0LY-2", key_of(OWN.beginning), b"0LY-3"]
    assert found[0][1] == TEXT


def damaged(fresh: FreshPartition, value: bytes) -> None:
    whole = bytearray(sealed(b"0LY-2", value, fresh.topic_ids, 1))
    whole[40] ^= 1
    fresh.put(b"0LY-2", bytes(whole), fresh.topic_ids)


def cut(fresh: FreshPartition, value: bytes) -> None:
    fresh.put(b"0LY-2", sealed(b"0LY-2", value, fresh.topic_ids, 1)[:-30], fresh.topic_ids)


def of_another_device(fresh: FreshPartition, value: bytes) -> None:
    fresh.put(b"0LY-2", sealed(b"0LY-1", value, fresh.topic_ids, 1), fresh.topic_ids)


def of_no_layout(fresh: FreshPartition, value: bytes) -> None:
    fresh.forge(b"0LY-2", value[:1] + b"nolayout" + value[9:])


def of_a_later_form(fresh: FreshPartition, value: bytes) -> None:
    fresh.forge(b"0LY-2", b"\x09" + value[1:])


def not_a_row(fresh: FreshPartition, value: bytes) -> None:
    fresh.forge(b"0LY-2", value + b"and more")


def beyond_the_end(fresh: FreshPartition, value: bytes) -> None:
    fresh.forge(b"0LY-2", row("LY-2", offset=RECORDS))


def far_beyond_the_end(fresh: FreshPartition, value: bytes) -> None:
    fresh.forge(b"0LY-2", row("LY-2", offset=2**62))


def of_an_older_writer(fresh: FreshPartition, value: bytes) -> None:
    fresh.forge(b"0LY-2", value, epoch=0)


def of_an_old_release(fresh: FreshPartition, value: bytes) -> None:
    fresh.put(b"0LY-2", b"\x03\x51\x8e\x75\x45" + bytes(400), fresh.topic_ids)


def of_a_stranger(fresh: FreshPartition, value: bytes) -> None:
    fresh.put(b"0LY-2", value)


def of_other_topics(fresh: FreshPartition, value: bytes) -> None:
    other = bytes(fresh.incarnation._replace(checkpoints=UUID(int=7)))
    fresh.put(b"0LY-2", sealed(b"0LY-2", value, other, 9), other)


def of_another_telemetry(fresh: FreshPartition, value: bytes) -> None:
    other = bytes(fresh.incarnation._replace(telemetry=UUID(int=7)))
    fresh.put(b"0LY-2", sealed(b"0LY-2", value, other, 9), other)


BAD: Final[Mapping[Callable[[FreshPartition, bytes], None], str]] = {
    damaged: "damaged", cut: "damaged", of_another_device: "damaged", not_a_row: "damaged",
    of_no_layout: "unknown_layout", of_a_later_form: "unknown_layout",
    beyond_the_end: "beyond_the_end", far_beyond_the_end: "beyond_the_end",
    of_an_older_writer: "older_writer", of_an_old_release: "older_writer",
    of_a_stranger: "stranger", of_other_topics: "stranger", of_another_telemetry: "stranger",
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.__name__)
def test_a_bad_record_is_set_aside_and_the_row_before_it_is_used(
    fresh: FreshPartition, bad: Callable[[FreshPartition, bytes], None], caplog: pytest.LogCaptureFixture
) -> None:
    state = fleet("LY-1", "LY-2", "LY-3")
    fresh.write(rows(state))
    bad(fresh, row("LY-2", offset=4, value=20))
    with caplog.at_level(logging.WARNING):
        checkpoint = fresh.read()
    assert contents(checkpoint.state) == contents(state)
    assert (dict(checkpoint.aside), checkpoint.epoch) == ({BAD[bad]: 1}, 1)
    (said,) = [line.getMessage() for line in caplog.records]
    assert said.startswith(f"partition {fresh.partition}: a checkpoint record is set aside, '0LY-2': ")


def test_a_bad_row_without_one_before_it_costs_its_device_alone(fresh: FreshPartition) -> None:
    fresh.write(rows(fleet("LY-1", "LY-3")))
    beyond_the_end(fresh, b"")
    checkpoint = fresh.read()
    assert contents(checkpoint.state) == contents(fleet("LY-1", "LY-3"))
    assert dict(checkpoint.aside) == {"beyond_the_end": 1}


@pytest.mark.parametrize("key", [b"", b"2LY-2", b"layout/zz", b"0", b"0\xff", b"partition"])
def test_a_record_under_a_key_of_nobody_is_set_aside(fresh: FreshPartition, key: bytes) -> None:
    fresh.write(rows(fleet("LY-1")))
    fresh.put(key, b"\x04whatever it is, it is long enough", fresh.topic_ids)
    checkpoint = fresh.read()
    assert contents(checkpoint.state) == contents(fleet("LY-1"))
    assert (dict(checkpoint.aside), checkpoint.records) == ({"damaged": 1}, {})


def test_a_tombstone_clears_whoever_wrote_it(fresh: FreshPartition) -> None:
    fresh.write(rows(fleet("LY-1", "LY-2")))
    fresh.forge(b"0LY-2", row("LY-2"), epoch=EPOCH_MOST)
    fresh.put(b"0LY-2", None)
    fresh.forge(b"0LY-2", row("LY-2", offset=4), epoch=2)
    checkpoint = fresh.read()
    assert dict(checkpoint.aside) == {}
    (held,) = checkpoint.state.find(["LY-2"], checkpoint.state.rows["test"][:1] > 0)
    assert checkpoint.state.rows["offset"][held] == 4
    fresh.put(b"0LY-2", None)
    assert contents(fresh.read().state) == contents(fleet("LY-1"))


def test_a_forged_epoch_costs_its_device_alone_and_no_writer_runs_out_of_epochs(fresh: FreshPartition) -> None:
    fresh.write(rows(fleet("LY-1", "LY-2")))
    fresh.forge(b"0LY-2", row("LY-2"), epoch=EPOCH_MOST)
    fresh.write(rows(fleet("LY-1", "LY-2", offset=4)), epoch=2)
    checkpoint = fresh.read()
    assert dict(checkpoint.aside) == {"older_writer": 1}
    assert checkpoint.state.rows["offset"][:2].tolist() == [4, 3]
    assert checkpoint.next_epoch == EPOCH_MOST
    fresh.write(rows(fleet("LY-1", "LY-2", offset=4)), epoch=checkpoint.next_epoch)
    assert dict(fresh.read().aside) == {"older_writer": 1}
    assert fresh.read().state.rows["offset"][:2].tolist() == [4, 4]


def test_rows_of_another_release_are_read_by_the_layout_on_the_topic(
    fresh: FreshPartition, caplog: pytest.LogCaptureFixture
) -> None:
    other = copy.deepcopy(described())
    other["quantities"] = ["pressure_pa", *other["quantities"][::-1]]
    other["row"] = [*other["row"], "mood <i4"]
    layout, state = layout_of(other), fleet("LY-1", "LY-2")
    fresh.forge(b"0LY-1", value_of(layout, device(state, 0)), epoch=9)
    fresh.put(key_of(layout.beginning), orjson.dumps(other))
    fresh.write([rows(state)[1]], epoch=10)
    # Nobody clears a layout that rows are read by.
    fresh.put(key_of(layout.beginning), None)
    with caplog.at_level(logging.WARNING):
        checkpoint = fresh.read()
    assert contents(checkpoint.state) == contents(state)
    assert dict(checkpoint.aside) == {}
    assert [line.getMessage() for line in caplog.records] == [
        f"partition {fresh.partition}: rows of layout {layout.beginning[1:].hex()}: dropped row.mood, pressure_pa"
    ]


@pytest.mark.parametrize("release", ["1f5b90e", "666a82c"])
def test_rows_of_releases_without_seals_are_read_and_go_on_as_rows_of_this_one(
    fresh: FreshPartition, release: str
) -> None:
    fixture = json.loads((RELEASES / f"{release}.json").read_text(encoding="utf-8"))
    written = {base64.b64decode(key): base64.b64decode(value) for key, value in fixture["rows"].items()}
    fresh.kafka.send([ProducerRecord(fresh.partition, b"key", b"value")] * fixture["then"][0][0], TELEMETRY.name)
    for key, value in written.items():
        fresh.put(key, value, fresh.topic_ids)
    checkpoint = fresh.read()
    assert (len(checkpoint.state), dict(checkpoint.aside), checkpoint.next_epoch) == (len(written), {}, 1)
    fresh.write(rows(checkpoint.state)[:3], epoch=checkpoint.next_epoch)
    assert contents(fresh.read().state) == contents(checkpoint.state)


@pytest.mark.parametrize("text", [b"{}", b"nothing", TEXT.replace(b"severity", b"sternness")])
def test_a_layout_that_is_none_costs_the_devices_whose_rows_need_it(fresh: FreshPartition, text: bytes) -> None:
    beginning = beginning_of(text)
    fresh.put(key_of(beginning), text)
    fresh.forge(b"0LY-2", beginning + row("LY-2")[len(beginning) :])
    fresh.write(rows(fleet("LY-1")))
    checkpoint = fresh.read()
    assert contents(checkpoint.state) == contents(fleet("LY-1"))
    assert dict(checkpoint.aside) == {"damaged": 1, "unknown_layout": 1}


def test_a_layout_under_the_key_of_another_is_set_aside(fresh: FreshPartition) -> None:
    fresh.put(key_of(OWN.beginning), TEXT + b" ")
    fresh.write(rows(fleet("LY-1")))
    checkpoint = fresh.read()
    assert (len(checkpoint.state), dict(checkpoint.aside)) == (1, {"damaged": 1})


def test_where_all_there_is_reflects_another_telemetry_it_is_refused(fresh: FreshPartition) -> None:
    of_another_telemetry(fresh, row("LY-2"))
    with pytest.raises(OperatorError, match=f"reflects another {TELEMETRY.name}, deleted since"):
        fresh.read()


def test_many_bad_records_are_told_in_few_lines(fresh: FreshPartition, caplog: pytest.LogCaptureFixture) -> None:
    fresh.kafka.send([ProducerRecord(fresh.partition, b"0LY-%d" % n, b"junk") for n in range(100)], CHECKPOINTS.name)
    with caplog.at_level(logging.WARNING):
        checkpoint = fresh.read()
    assert dict(checkpoint.aside) == {"stranger": 100}
    assert len(caplog.records) == LINES + 1
    assert caplog.records[-1].getMessage() == f"partition {fresh.partition}: 90 more checkpoint records are set aside"


def test_where_a_brokers_ends_may_lie_before_the_end_no_row_lies_beyond(fresh: FreshPartition) -> None:
    beyond_the_end(fresh, b"")
    checkpoint = replace(fresh, settings=replace(fresh.settings, fencing=False)).read()
    assert checkpoint.state.rows["offset"][0] == RECORDS


def test_an_open_transaction_on_telemetry_ends_nothing_early(fresh: FreshPartition) -> None:
    async def read_meanwhile() -> Checkpoint:
        sender = AIOKafkaProducer(bootstrap_servers=fresh.settings.kafka, transactional_id="gateway")
        await sender.start()
        await sender.begin_transaction()
        await sender.send_and_wait(TELEMETRY.name, b"value", b"key", partition=fresh.partition)
        async with Readers(fresh.settings) as readers:
            found = await read_checkpoint(readers, fresh.partition, fresh.incarnation, PartitionState())
        await sender.abort_transaction()
        await sender.stop()
        return found

    # It reflects the record of the transaction.
    fresh.write(rows(fleet("LY-1", offset=RECORDS)))
    assert len(asyncio.run(read_meanwhile()).state) == 1
