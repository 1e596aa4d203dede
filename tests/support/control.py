"""Orders for tests: commands and entries as records of their topics, a broker of their own, and the twin of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiokafka import ConsumerRecord

from common.settings import Settings
from common.times import now_ms
from detectors.limits import load_limits
from detectors.twin.oracle import ControlSettings, Oracle, Told
from embedded.processes import running_kafka
from schemas.commands import VERSION, Command, CommandKind
from schemas.registry import LIMITS_KEY, ChangeNumber, DeviceEntry, LimitsEntry
from schemas.topics import TELEMETRY
from streams.control import keys_of
from streams.partitioner import is_misplaced, partition_of
from streams.topics import make_topics, topic_ids
from tests.support.apache_kafka import kafka_for_tests
from tests.support.control_keys import keys_file
from tests.support.fleet_sends import fed, quick_limits
from tests.support.kafka_outside import ProducerRecord
from tests.support.platform import quick_settings


def command(device_id: str, **fields: Any) -> Command:
    """A reset of a device, given now."""
    given: dict[str, Any] = {"v": VERSION, "kind": CommandKind.RESET, "by": "李工", "why": "已现场检查"}
    return Command(**given | {"device_id": device_id, "made_ts": now_ms()} | fields)


def sent(order: Command, number: int, partitions: int, source: str = "registry", epoch: int = 1) -> ProducerRecord:
    """A command as it is published."""
    key = order.device_id.encode()
    headers = ChangeNumber(source, epoch, number).to_headers()
    return ProducerRecord(partition_of(key, partitions), key, order.to_json(), headers)


def registered(entry: DeviceEntry | LimitsEntry, number: int, partitions: int, epoch: int = 1) -> list[ProducerRecord]:
    """An entry as it is published: that of a device to its partition, limits of many devices to every one."""
    headers = ChangeNumber("registry", epoch, number).to_headers()
    if isinstance(entry, LimitsEntry):
        return [ProducerRecord(each, LIMITS_KEY, entry.to_json(), headers) for each in range(partitions)]
    key = entry.device_id.encode()
    return [ProducerRecord(partition_of(key, partitions), key, entry.to_json(), headers)]


@contextmanager
def controlled(folder: Path) -> Iterator[Settings]:
    """Settings of a worker with keys, on Apache Kafka for the block alone, where topics are."""
    with kafka_for_tests(), running_kafka(folder / "kafka", folder / "logs", brokers=1) as cluster:
        settings = replace(
            quick_settings(cluster.bootstrap),
            fencing=True,
            limits_file=str(quick_limits(folder)),
            control_keys_file=str(keys_file(folder)),
        )
        asyncio.run(make_topics(settings))
        yield settings


def control_settings(settings: Settings) -> list[ControlSettings]:
    """What the twin of each partition is to know of control records."""
    keys = keys_of(settings)
    telemetry_id = asyncio.run(topic_ids(settings, [TELEMETRY.name]))[TELEMETRY.name]

    def of_partition(number: int) -> ControlSettings:
        return ControlSettings(
            keys, telemetry_id, number, lambda key, partitions: is_misplaced(key, number, partitions)
        )

    return [of_partition(number) for number in range(settings.partitions)]


def twin_of(settings: Settings, records: Iterable[ConsumerRecord], number: int) -> Told:
    """What one partition of telemetry means by the twin, orders included."""
    oracle = Oracle(
        load_limits(settings.limits_path),
        misplaced=lambda key: is_misplaced(key, number, settings.partitions),
        control=control_settings(settings)[number],
    )
    return fed(oracle, records)
