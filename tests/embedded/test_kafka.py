"""Apache Kafka, as we run it, keeps what it acknowledged, and its brokers can be made to fail."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import RequestTimedOutError, UnknownError

from embedded.kafka import LARGEST_BATCH_BYTES, Cluster
from embedded.processes import StartFailedError, running_kafka
from schemas.topics import REJECTS, TELEMETRY
from tests.support.apache_kafka import kafka_for_tests
from tests.support.batches_by_hand import batch, with_records
from tests.support.kafka_outside import Kafka
from tests.support.processes import until

_PARENT = """
import signal, sys
from pathlib import Path
from embedded.kafka import Broker
broker = Broker(1, "127.0.0.1", 0, ["sleep", "60"], Path(sys.argv[1]))
broker.launch()
print(broker.pid, flush=True)
signal.pause()
"""

needs_kafka = pytest.mark.usefixtures("tools")


@pytest.fixture(scope="module")
def tools() -> Iterator[None]:
    """Java and Maven."""
    with kafka_for_tests():
        yield


@pytest.fixture(scope="module")
def _three(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("kafka")
    with running_kafka(folder / "data", folder / "logs", brokers=3) as cluster:
        yield cluster


@pytest.fixture
def three(_three: Cluster) -> Cluster:
    """Three brokers, all of them up, whatever the test before did to them."""
    _three.start()
    return _three


@pytest.fixture(scope="module")
def one_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kafka-one")


def _producer(cluster: Cluster, request_timeout_ms: int = 40_000) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=cluster.bootstrap,
        acks="all",
        request_timeout_ms=request_timeout_ms,
        max_request_size=LARGEST_BATCH_BYTES,
    )


async def _create(cluster: Cluster, topic: str, **settings: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        made = NewTopic(topic, 1, len(cluster.brokers), topic_configs=settings)
        response = await admin.create_topics([made])
        assert [error for _, error, *_ in response.topic_errors] == [0]
    finally:
        await admin.close()


async def _produce(cluster: Cluster, topic: str, values: Sequence[bytes]) -> None:
    async with _producer(cluster) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def _read_all(bootstrap: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        values = []
        while await consumer.position(partition) < end:
            values.append((await consumer.getone()).value)
        return values
    finally:
        await consumer.stop()


async def _min_in_sync(cluster: Cluster, topic: str) -> str:
    """The setting as it works, whether the topic says it or the cluster does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return str(next(entry[1] for entry in response.resources[0][4] if entry[0] == "min.insync.replicas"))
    finally:
        await admin.close()


@needs_kafka
def test_one_broker_does_not_answer_while_paused(one_folder: Path) -> None:
    async def scenario(cluster: Cluster) -> None:
        (broker,) = cluster.brokers
        await _create(cluster, "paused")
        async with _producer(cluster) as producer:
            await producer.partitions_for("paused")  # so that what waits below is the broker's answer
            broker.pause()
            sent = asyncio.ensure_future(producer.send_and_wait("paused", b"late", partition=0))
            # That nothing comes is no event to wait for.
            done, _ = await asyncio.wait({sent}, timeout=0.5)
            assert not done
            broker.resume()
            await sent

    with running_kafka(one_folder, one_folder / "logs", brokers=1) as cluster:
        asyncio.run(scenario(cluster))
        in_use = running_kafka(one_folder, one_folder / "logs", brokers=1)
        with pytest.raises(StartFailedError, match="in use by another Kafka"), in_use:
            pass
        taken = running_kafka(one_folder / "other", one_folder / "logs", brokers=1, port=cluster.brokers[0].port)
        with pytest.raises(StartFailedError, match="Address already in use"), taken:
            pass
    other_size = running_kafka(one_folder, one_folder / "logs", brokers=3)
    with pytest.raises(StartFailedError, match="holds a cluster of 1"), other_size:
        pass


@needs_kafka
def test_the_command_serves_the_same_data_on_another_port_and_stops_when_told(one_folder: Path) -> None:
    arguments = ["--brokers", "1", "--port", "0", "--data-dir", str(one_folder)]
    command = [sys.executable, "-m", "embedded.kafka", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout
        assert server.stderr
        line = server.stdout.readline().decode()
        found = re.search(r"Kafka \d[.\d]+ broker 1 listening on (127\.0\.0\.1:\d+), data in", line)
        assert found, server.stderr.read()
        assert asyncio.run(_read_all(found[1], "paused")) == [b"late"]
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.stderr.read() == b""


def test_a_broker_ends_with_a_parent_that_is_killed_even_if_paused(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    until(lambda: not _exists(pid), "the broker's end")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@needs_kafka
@pytest.mark.parametrize("missing", ["java", "mvn"])
def test_what_is_missing_is_said_in_one_sentence(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in {"java", "mvn"} - {missing}:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("KAFKA_JARS_CACHE", str(tmp_path / "empty"))
    refused = running_kafka(tmp_path / "data", tmp_path / "logs", brokers=1)
    with pytest.raises(StartFailedError, match=f"no {missing} in the PATH"), refused:
        pass


def test_an_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_412\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    refused = running_kafka(tmp_path / "data", tmp_path / "logs", brokers=1)
    with pytest.raises(StartFailedError, match=r"needs Java 17 or newer, and .* is 8;"), refused:
        pass


def test_what_three_acknowledged_outlives_all_of_them(three: Cluster) -> None:
    values = [b"%d" % n for n in range(20)]
    asyncio.run(_create(three, "kept"))
    asyncio.run(_produce(three, "kept", values))
    assert three.stop() == [], "a broker had to be killed"
    three.start()
    assert asyncio.run(_read_all(three.bootstrap, "kept")) == values


def test_topics_want_two_of_three_in_sync_without_saying_so(three: Cluster) -> None:
    asyncio.run(_create(three, "silent"))
    assert asyncio.run(_min_in_sync(three, "silent")) == "2"


def test_the_largest_reject_fits(three: Cluster) -> None:
    limit = REJECTS.settings["max.message.bytes"]
    value = os.urandom(int(limit) - 1024)
    asyncio.run(_create(three, "large", **{"max.message.bytes": limit}))
    asyncio.run(_produce(three, "large", [value]))
    assert asyncio.run(_read_all(three.bootstrap, "large")) == [value]


def test_a_batch_that_says_it_is_huge_is_refused_and_ends_no_broker(three: Cluster) -> None:
    """836 MB by its first bytes, which is more than the heap."""
    asyncio.run(_create(three, TELEMETRY.name))
    with Kafka(three.bootstrap, 1) as kafka:
        huge = with_records(batch([(b"LY-1", b"{}", [])]), b"\xb9\xd4\x88\x8e\x03" + bytes(40), codec=2)
        with pytest.raises(UnknownError):
            kafka.send_batch(0, huge, 1)
    assert all(broker.running for broker in three.brokers)


def test_one_may_fail_but_not_two(three: Cluster) -> None:
    first, *_ = three.brokers

    async def scenario() -> None:
        await _create(three, "failing", **{"min.insync.replicas": "2"})
        async with _producer(three) as producer:
            await producer.send_and_wait("failing", b"all", partition=0)
            first.kill()
            await producer.send_and_wait("failing", b"two", partition=0)
        async with _producer(three, request_timeout_ms=3000) as producer:
            await producer.send_and_wait("failing", b"still two", partition=0)
            leader = producer.client.cluster.leader_for_partition(TopicPartition("failing", 0))
            (follower,) = (broker for broker in three.brokers[1:] if broker.node_id != leader)
            follower.kill()
            with pytest.raises(RequestTimedOutError):
                await producer.send_and_wait("failing", b"one", partition=0)
        await asyncio.to_thread(follower.start)
        await _produce(three, "failing", [b"two again"])
        acknowledged = [b"all", b"two", b"still two", b"two again"]
        assert [value for value in await _read_all(three.bootstrap, "failing") if value != b"one"] == acknowledged

    asyncio.run(scenario())
