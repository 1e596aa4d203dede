"""The embedded broker serves real Kafka clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from embedded.processes import Running, StartFailedError, running_broker


async def _produce(address: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for value in values:
            await producer.send_and_wait("emberline.test", value, partition=0)


async def _consume(address: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(
        "emberline.test",
        bootstrap_servers=address,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    ) as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def _cluster_id(address: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


def test_what_is_produced_is_consumed_in_order(broker: Running) -> None:
    values = [b"%d" % n for n in range(20)]
    asyncio.run(_produce(broker.address, values))
    assert asyncio.run(_consume(broker.address, 20)) == values


def test_a_taken_port_is_said_in_one_sentence(broker: Running, tmp_path: Path) -> None:
    refused = running_broker(log=tmp_path / "log", port=broker.port)
    with pytest.raises(StartFailedError, match="Address already in use"), refused:
        pass
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_every_start_has_a_cluster_id_of_its_own(broker: Running, tmp_path: Path) -> None:
    with running_broker(log=tmp_path / "log") as other:
        ids = {asyncio.run(_cluster_id(running.address)) for running in (broker, other)}
    assert len(ids) == 2
