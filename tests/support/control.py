"""Orders for tests: a file of keys, commands as records of their topic, and the twin that takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from aiokafka import ConsumerRecord

from common.settings import Settings
from common.times import now_ms
from detectors.limits import load_limits
from detectors.twin.oracle import ControlSettings, Oracle, Told
from schemas.commands import VERSION, Command, CommandKind
from schemas.control_keys import ControlKeys
from schemas.registry import ChangeNumber
from schemas.topics import TELEMETRY
from streams.partitioner import is_misplaced, partition_of
from streams.topics import topic_ids
from tests.support.fleet_sends import fed
from tests.support.kafka_outside import ProducerRecord

KEYS: Final = f"k2 {'5a' * 32}\nk1 {'c3' * 32}  # the one before\n"


def keys_file(folder: Path, text: str = KEYS, name: str = "control-keys") -> Path:
    """A file of keys."""
    path = folder / name
    path.write_text(text)
    return path


def command(device_id: str, **fields: Any) -> Command:
    """A reset of a device, given now."""
    given: dict[str, Any] = {"v": VERSION, "kind": CommandKind.RESET, "by": "李工", "why": "已现场检查"}
    return Command(**given | {"device_id": device_id, "made_ts": now_ms()} | fields)


def sent(order: Command, number: int, partitions: int, source: str = "registry", epoch: int = 1) -> ProducerRecord:
    """A command as it is published."""
    key = order.device_id.encode()
    headers = ChangeNumber(source, epoch, number).to_headers()
    return ProducerRecord(partition_of(key, partitions), key, order.to_json(), headers)


def twin_of(settings: Settings, records: Iterable[ConsumerRecord], number: int) -> Told:
    """What one partition of telemetry means by the twin, orders included."""
    keys = ControlKeys.of(Path(settings.control_keys_file).read_text())
    telemetry_id = asyncio.run(topic_ids(settings, [TELEMETRY.name]))[TELEMETRY.name]
    control = ControlSettings(keys, telemetry_id, number, lambda key, partitions: is_misplaced(key, number, partitions))
    oracle = Oracle(
        load_limits(settings.limits_path),
        misplaced=lambda key: is_misplaced(key, number, settings.partitions),
        control=control,
    )
    return fed(oracle, records)
