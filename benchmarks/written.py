"""What a rival wrote, read from its topics, against what it should have written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from benchmarks.peers.given import LARGEST_BYTES
from benchmarks.workload import Wanted, comparable
from schemas.rejects import RejectEvent

SHOWN: Final = 2
SHOWN_CHARACTERS: Final = 400


class Written(NamedTuple):
    """What was found on the topics, repeats dropped, and when the last record of the last partition was on them."""

    found: Wanted
    records: int
    last_ms: int


async def written(kafka: str, outputs: Sequence[str]) -> Written:
    """Read the topics of alarms, aggregates and rejects."""
    alarms, aggregates, rejects = [await _read(kafka, name) for name in outputs]
    found = Wanted(
        frozenset(comparable(record.value) for record in alarms),
        frozenset(comparable(record.value) for record in aggregates),
        frozenset(map(_reject_of, rejects)),
    )
    all_of_them = [*alarms, *aggregates, *rejects]
    return Written(found, len(all_of_them), max((record.timestamp for record in all_of_them), default=0))


def differences(found: Wanted, wanted: Wanted) -> list[str]:
    """What is missing or too much, by topic; empty where all is equal."""
    pairs = {
        "alarms": (found.alarms, wanted.alarms),
        "aggregates": (found.aggregates, wanted.aggregates),
        "rejects": (found.rejects, wanted.rejects),
    }
    return [
        f"{name}: {len(here - there)} too much {_some(here - there)}, {len(there - here)} missing {_some(there - here)}"
        for name, (here, there) in pairs.items()
        if here != there
    ]


def _some(events: Iterable[object]) -> list[str]:
    """A few of them, begun."""
    return sorted(str(event)[:SHOWN_CHARACTERS] for event in events)[:SHOWN]


def _reject_of(record: ConsumerRecord) -> tuple[int, int, int, str]:
    event = RejectEvent.from_headers(record.headers)
    return event.source_partition, event.source_offset, event.source_index, event.reason


async def _read(kafka: str, topic: str) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=LARGEST_BYTES,
    )
    found: list[ConsumerRecord] = []
    async with consumer:
        # Of no group, it has all partitions.
        ends = await consumer.end_offsets(consumer.assignment())
        while missing := [tp for tp in ends if await consumer.position(tp) < ends[tp]]:
            for records in (await consumer.getmany(*missing, timeout_ms=1_000)).values():
                found += records
    return found
