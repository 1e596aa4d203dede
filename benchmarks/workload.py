"""The topic that all rivals read: a fleet of fixed seed, what it means by the slow twin, and topics to write to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from common.settings import Settings
from detectors.limits import load_limits
from detectors.twin.oracle import Oracle
from fleet import Fleet, FleetConfig, Send
from schemas.events import Aggregate, Alarm
from schemas.records import Records
from schemas.reports import decode
from schemas.topics import CHECKPOINTS, MAX_REJECT_BYTES, OUTPUTS, TELEMETRY
from streams.partitioner import partition_of
from streams.topics import make_topics

PARTITIONS: Final = 4
SEED: Final = 11
START_TS: Final = 1_790_000_000_000
FLEET_S: Final = 150.0
"""Long enough for two minutes to be closed; a larger run has the devices report oftener."""
RISE_WINDOW_S: Final = 30
"""Within which rises of leakage are judged."""
ARRIVES_MS: Final = 5
TOPICS_S: Final = 30.0


class SentRecord(NamedTuple):
    """A record of the telemetry topic; its offset is its place in its partition's list."""

    arrival_ts: int
    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every rival must find."""

    alarms: frozenset[bytes]
    aggregates: frozenset[bytes]
    rejects: frozenset[tuple[int, int, int, str]]

    @property
    def hash(self) -> str:
        """Changes only if what is found changes."""
        said = [*sorted(self.alarms), *sorted(self.aggregates), *(repr(one).encode() for one in sorted(self.rejects))]
        return hash_of(said)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {"alarms": len(self.alarms), "aggregates": len(self.aggregates), "rejects": len(self.rejects)}


def hash_of(found: Iterable[bytes]) -> str:
    """Of what was found, in its order; 16 hexadecimal digits."""
    return blake2b(b"\n".join(found), digest_size=8).hexdigest()


def limits_file(folder: Path) -> Path:
    """Limits by which rises of leakage are judged within seconds, so that one can be found."""
    path = folder / "limits.toml"
    path.write_text(f"[default.residual_current_rise]\nwindow_s = {RISE_WINDOW_S}\n", encoding="utf-8")
    return path


def fleet_of(reports: int, devices: int) -> Fleet:
    """Electrical monitors of 13 components with late batches, repeats, faults and bad records, at a fixed time."""
    return Fleet(
        FleetConfig(
            seed=SEED,
            devices=devices,
            rate=reports / FLEET_S,
            seconds=FLEET_S,
            start_ts=START_TS,
            share_piles=0.0,
            faults_per_kind=max(1, devices // 100),
            bad_records=max(25, reports // 1_000),
            rise_window_s=RISE_WINDOW_S,
        )
    )


def partitioned(fleet: Fleet, count: int = PARTITIONS) -> list[list[SentRecord]]:
    """The fleet's records, by partition as Kafka's clients choose it; the last of each is a bad one.

    So the last reject of a partition shows when its last record had been worked on.
    """
    partitions: list[list[SentRecord]] = [[] for _ in range(count)]
    for one in fleet.due(fleet.config.start_ts, fleet.config.end_ts):
        number = 0 if one.key is None else partition_of(one.key, count)
        partitions[number].append(arrived(one))
    for records in partitions:
        records.append(SentRecord(fleet.config.end_ts, b"last", b"the last one"))
    return partitions


def arrived(send: Send) -> SentRecord:
    """What a device sends, as it lies on the topic."""
    return SentRecord(send.scheduled_ts + ARRIVES_MS, send.key, send.value)


def records_of(sent: Sequence[SentRecord], first: int = 0) -> Records:
    """Consecutive records of a partition, from the offset `first` on, as columns."""
    return Records(
        topic=TELEMETRY.name,
        partition=0,
        offsets=np.arange(first, first + len(sent)),
        timestamps=np.array([one.arrival_ts for one in sent], dtype=np.int64),
        keys=[one.key for one in sent],
        values=[one.value for one in sent],
        headers=[()] * len(sent),
    )


def wanted_of(partitions: Sequence[Sequence[SentRecord]], limits: Path) -> Wanted:
    """What the records mean, by the slow twin."""
    alarms: set[bytes] = set()
    aggregates: set[bytes] = set()
    rejects: set[tuple[int, int, int, str]] = set()
    table = load_limits(limits)
    for number, records in enumerate(partitions):
        oracle = Oracle(table)
        for offset, record in enumerate(records):
            oracle.feed(offset, record.arrival_ts, record.value, record.key)
        alarms |= {comparable(alarm.to_json()) for alarm in oracle.told.alarms}
        aggregates |= {comparable(minute.to_json()) for minute in oracle.told.aggregates}
        rejects |= {(number, *reject) for reject in oracle.told.rejects}
    return Wanted(frozenset(alarms), frozenset(aggregates), frozenset(rejects))


def comparable(value: bytes) -> bytes:
    """An event less what runs may differ in: when it was detected, and the order of its fields."""
    fields: Any = orjson.loads(value)
    (Alarm if "alarm_id" in fields else Aggregate).from_json(value)
    # Neither when it was found nor by whom.
    for name in ("detected_ts", "generation", "source_topic_id"):
        fields.pop(name, None)
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def good_reports(partitions: Sequence[Sequence[SentRecord]]) -> int:
    """How many reports the records hold that are no rejects, those that come again among them."""
    return sum(len(decode(records_of(records))[0].good) for records in partitions)


async def fill(kafka: str, partitions: Sequence[Sequence[SentRecord]]) -> None:
    """Make the telemetry topic and write the records to it, with the fleet's times as those of arrival."""
    kept = TELEMETRY.settings | {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    await _make(kafka, [NewTopic(TELEMETRY.name, len(partitions), 1, topic_configs=kept)])
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        enable_idempotence=True,  # a batch sent again must not come after its successor: an offset is a place in a list
        linger_ms=20,
        max_batch_size=262_144,
        max_request_size=MAX_REJECT_BYTES,
    )
    async with producer:
        for number, records in enumerate(partitions):
            for one in records:
                await producer.send(TELEMETRY.name, one.value, one.key, partition=number, timestamp_ms=one.arrival_ts)
        await producer.flush()
    # Workers refuse a topic on which senders say when a record arrived; those that are there keep their times.
    resource = ConfigResource(ConfigResourceType.TOPIC, TELEMETRY.name, TELEMETRY.settings | {"retention.ms": "-1"})
    await _with_admin(kafka, lambda admin: admin.alter_configs([resource]))


async def make_outputs(kafka: str, names: Sequence[str]) -> None:
    """Fresh topics; the broker's times on them, since a peer may pass on the times of its input."""
    kept = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MAX_REJECT_BYTES + 65_536)}
    await _make(kafka, [NewTopic(name, PARTITIONS, 1, topic_configs=kept) for name in names])


async def make_emberline_anew(settings: Settings) -> None:
    """emberline's own topics but telemetry, empty: their names are fixed."""
    names = [topic.name for topic in (*OUTPUTS, CHECKPOINTS)]
    await _with_admin(settings.kafka, lambda admin: _delete(admin, names))

    async def made() -> bool:
        await make_topics(settings)
        return bool(await _with_admin(settings.kafka, lambda admin: _are_there(admin, names, settings.partitions)))

    # A broker forgets a topic a little after it has agreed to: what is not made yet is asked for until it is.
    await _until(made)


async def forget(kafka: str, topic: str) -> None:
    """Delete a topic if it is there, and wait until the broker has forgotten it."""
    await _with_admin(kafka, lambda admin: _delete(admin, [topic]))

    async def gone() -> bool:
        return topic not in await _with_admin(kafka, lambda admin: admin.list_topics())

    await _until(gone)


async def _make(kafka: str, topics: Sequence[NewTopic]) -> None:
    names = [topic.name for topic in topics]
    await _with_admin(kafka, lambda admin: admin.create_topics(list(topics)))
    await _until(lambda: _with_admin(kafka, lambda admin: _are_there(admin, names, topics[0].num_partitions)))


async def _delete(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    if there := sorted(set(names) & set(await admin.list_topics())):
        await admin.delete_topics(there)


async def _are_there(admin: AIOKafkaAdminClient, names: Sequence[str], partitions: int) -> bool:
    described = await admin.describe_topics(list(names))
    return len(described) == len(names) and all(
        not one["error_code"]
        and len(one["partitions"]) == partitions
        and all(partition["leader"] >= 0 for partition in one["partitions"])
        for one in described
    )


async def _with_admin(kafka: str, ask: Callable[[AIOKafkaAdminClient], Coroutine[Any, Any, Any]]) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        return await ask(admin)
    finally:
        await admin.close()


async def _until(seen: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(TOPICS_S):
        while True:
            try:
                if await seen():
                    return
            except KafkaError:
                pass  # on its way
            await asyncio.sleep(0.05)
