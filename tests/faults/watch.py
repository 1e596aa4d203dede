"""Looks, again and again while the load runs, at what the groups have committed and what covers it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as ClickHouseError

from common.settings import Settings, host_port
from schemas.topics import (
    AGGREGATES,
    ALARM_ACTIONS,
    ALARMS,
    CHARGING_SESSIONS,
    CHECKPOINTS,
    CONTROL_OUTCOMES,
    DEVICE_REQUESTS,
    DEVICE_STATUS,
    REGISTRY,
    REJECTS,
    TELEMETRY,
)
from streams.topics import topic_ids
from tests.faults.beside import Beside

T = TypeVar("T")
Place = tuple[str, int]
"""Topic and partition."""

INTERVAL_S: Final = 0.25
STORED_INTERVAL_S: Final = 1.0
"""Asking ClickHouse what it holds counts all rows there are, which is dear in a long run."""
LOOK_S: Final = 10.0
"""For one look, brokers that are away included; what takes longer is given up, and the next look begins anew."""
TABLES: Final = {
    TELEMETRY.name: "telemetry",
    ALARMS.name: "alarm_events",
    AGGREGATES.name: "aggregates_1m",
    DEVICE_STATUS.name: "device_status_events",
    REJECTS.name: "rejects",
    CONTROL_OUTCOMES.name: "control_records",
    DEVICE_REQUESTS.name: "device_requests",
    CHARGING_SESSIONS.name: "charging_sessions",
    REGISTRY.name: "registry_history",
    ALARM_ACTIONS.name: "alarm_actions",
}


class Stored(NamedTuple):
    """What ClickHouse holds of a partition."""

    last: int
    rows: int


class Look(NamedTuple):
    """One look. What is committed was asked first, so what covers it may only be further."""

    at: float
    detect: Mapping[int, int]
    sink: Mapping[Place, int]
    checkpoints: Mapping[int, int]
    rejects: Mapping[int, int]
    ends: Mapping[Place, int]
    stored: Mapping[Place, Stored] | None
    """None where ClickHouse was not asked, or did not answer."""

    @property
    def telemetry_ends(self) -> dict[int, int]:
        """Where the partitions of telemetry end."""
        return {number: end for (topic, number), end in self.ends.items() if topic == TELEMETRY.name}

    @property
    def detect_lag(self) -> int:
        """Records of telemetry that detect has not committed."""
        return sum(end - self.detect.get(number, 0) for number, end in self.telemetry_ends.items())

    @property
    def sink_lag(self) -> int:
        """Records of all topics that sink has not committed."""
        return sum(end - self.sink.get(place, 0) for place, end in self.ends.items())

    def holds(self, before: Look) -> bool:
        """Whether ClickHouse holds as much as at a look before; not where it was not asked."""
        return self.stored is not None and all(
            place in self.stored and self.stored[place].last >= held.last
            for place, held in (before.stored or {}).items()
        )


class Watch(Beside):
    """Looks for as long as the block lasts. `looks` holds all of them."""

    def __init__(self, settings: Settings, clickhouse: str) -> None:
        super().__init__("watch")
        self.looks: list[Look] = []
        self.failed: list[str] = []
        self.partitions = settings.partitions
        """How many are looked at, from the next look on."""
        self._taken_away: list[tuple[Look, float]] = []
        self._settings = settings
        self._host, self._port = host_port(clickhouse)

    def until(self, seen: Callable[[Look], bool], what: str, seconds: float) -> Look:
        """The first look from now on that shows it. Fails, with the last look, if none does in time."""
        deadline = time.monotonic() + seconds
        with self.changed:
            after = len(self.looks)
            while True:
                for look in self.looks[after:]:
                    if seen(look):
                        return look
                after = len(self.looks)
                left = deadline - time.monotonic()
                last = self.looks[-1:], self.failed[-1:]
                assert left > 0, f"not within {seconds:g} s: {what}; the last look was {last}"
                self.changed.wait(left)

    def excuse(self, before: Look) -> None:
        """From that look on, and by now, rows that were committed were taken away from ClickHouse."""
        self._taken_away.append((before, time.monotonic()))

    def excused(self) -> list[Look]:
        """All looks, without what ClickHouse held from when rows were taken away until it held as much again: more was
        committed than was stored, which no sink could prevent."""
        looks = list(self.looks)
        for before, gone_at in self._taken_away:
            again = next((one.at for one in looks if one.at > gone_at and one.holds(before)), math.inf)
            looks = [one._replace(stored=None) if before.at < one.at < again else one for one in looks]
        return looks

    async def work(self) -> None:
        """Look until told to stop or a look fails."""
        eyes = _Eyes(self._settings, self._host, self._port)
        try:
            await _within(LOOK_S, eyes.open())
            while not self.stopping.is_set():
                look = await _within(LOOK_S, eyes.look(range(self.partitions)))
                with self.changed:
                    self.looks.append(look)
                    self.changed.notify_all()
                await asyncio.sleep(INTERVAL_S)
        except (KafkaError, TimeoutError) as error:
            self.failed.append(repr(error))
            raise
        finally:
            with contextlib.suppress(KafkaError, TimeoutError):
                await _within(LOOK_S, eyes.close())


async def _within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    return await asyncio.wait_for(work, seconds)


class _Eyes:
    """The clients that look."""

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        self._settings = settings
        self._group = settings.group
        self._admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
        self._clickhouse = Client(
            host,
            port,
            settings.clickhouse_database,
            password=settings.clickhouse_password,
            connect_timeout=2,
            send_receive_timeout=5,
            sync_request_timeout=1,
        )
        self._stored_at = -math.inf
        # All that is done with it is done here: a look that is given up still runs when the eyes close.
        self._clickhouse_thread = ThreadPoolExecutor(1, thread_name_prefix="clickhouse")

    async def open(self) -> None:
        await self._admin.start()
        await self._consumer.start()
        self._topic_ids = await topic_ids(self._settings, list(TABLES))

    async def close(self) -> None:
        self._clickhouse_thread.submit(self._clickhouse.disconnect)
        self._clickhouse_thread.shutdown(wait=False)
        await self._consumer.stop()
        await self._admin.close()

    async def look(self, partitions: range) -> Look:
        at = time.monotonic()
        detect = await self._offsets("detect")
        sink = await self._offsets("sink")
        rejects = await self._consumer.end_offsets(_tps(REJECTS.name, partitions))
        # With what transactions have not ended: one that has is seen to have only when its markers are there, which is
        # after its writer was told, though before a successor's claim is answered. Rows of one that is aborted are read
        # by nobody; a worker that commits offsets while its transaction is open is seen only if it dies just then.
        checkpoints = await self._consumer.end_offsets(_tps(CHECKPOINTS.name, partitions))
        stored = None
        if at >= self._stored_at + STORED_INTERVAL_S:
            self._stored_at = at
            stored = await asyncio.get_running_loop().run_in_executor(self._clickhouse_thread, self._stored)
        ends = await self._consumer.end_offsets([tp for topic in TABLES for tp in _tps(topic, partitions)])
        return Look(
            at,
            {number: offset for (_, number), offset in detect.items()},
            sink,
            {tp.partition: end for tp, end in checkpoints.items()},
            {tp.partition: end for tp, end in rejects.items()},
            {(tp.topic, tp.partition): end for tp, end in ends.items()},
            stored,
        )

    async def _offsets(self, role: str) -> dict[Place, int]:
        """Less what was committed of topics that were deleted since, which means nothing."""
        listed = await self._admin.list_consumer_group_offsets(f"{self._group}-{role}")
        return {
            (tp.topic, tp.partition): max(0, one.offset)
            for tp, one in listed.items()
            if one.metadata == self._topic_ids[tp.topic].hex
        }

    def _stored(self) -> dict[Place, Stored] | None:
        """None while ClickHouse does not answer."""
        of_table = "SELECT topic, `partition`, max(`offset`), count() FROM {} GROUP BY topic, `partition`"
        try:
            rows = self._clickhouse.execute(" UNION ALL ".join(of_table.format(table) for table in TABLES.values()))
        except (ClickHouseError, OSError, EOFError):
            self._clickhouse.disconnect()
            return None
        return {(topic, number): Stored(last, count) for topic, number, last, count in rows}


def _tps(topic: str, partitions: range) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in partitions]
