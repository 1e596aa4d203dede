"""Orders for tests: commands as records of their topic, and the twin that takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import ConsumerRecord

from common.settings import Settings
from common.times import now_ms
from detectors.limits import load_limits
from detectors.twin.oracle import ControlSettings, Oracle, Told
from schemas.commands import VERSION, Command, CommandKind
from schemas.registry import ChangeNumber
from schemas.topics import TELEMETRY
from streams.control import keys_of
from streams.partitioner import is_misplaced, partition_of
from streams.topics import topic_ids
from tests.support.fleet_sends import fed
from tests.support.kafka_outside import ProducerRecord


def command(device_id: str, **fields: Any) -> Command:
    """A reset of a device, given now."""
    given: dict[str, Any] = {"v": VERSION, "kind": CommandKind.RESET, "by": "李工", "why": "已现场检查"}
    return Command(**given | {"device_id": device_id, "made_ts": now_ms()} | fields)


def sent(order: Command, number: int, partitions: int, source: str = "registry", epoch: int = 1) -> ProducerRecord:
    """A command as it is published."""
    key = order.device_id.encode()
    headers = ChangeNumber(source, epoch, number).to_headers()
    return ProducerRecord(partition_of(key, partitions), key, order.to_json(), headers)


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
