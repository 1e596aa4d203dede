"""Steady load of known content: a simulated fleet's reports, with faults, late batches, repeats and bad records; and
what is ordered of its devices and registered of them (`tests.support.load_orders`)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from common.settings import Settings
from fleet import Fleet, FleetConfig, Send
from fleet.faults import ExpectedAlarm
from schemas.topics import TELEMETRY
from streams.partitioner import partition_of
from tests.support.fleet_sends import RISE_WINDOW_S
from tests.support.load_orders import LoadOrders, PublishedOrder

WINDOW_S: Final = 0.05
EPISODE_S: Final = 30.0
"""A fleet reports for this long; then the next, of the next seed, goes on. So a run may last as long as it likes."""
SPEED: Final = 4.0
"""Event time runs faster than ours, so that an episode has room for faults that take a minute to confirm."""
LED: Final = 4
"""So many of a fleet's devices are led through alarms by their limits."""
PATIENCE_MS: Final = 120_000
"""For a record to be acknowledged: more than any test lets brokers be away."""


@dataclass(frozen=True, slots=True)
class LoadShape:
    """What the load is like; `rate` is in reports a second of our time."""

    seed: int
    devices: int = 60
    rate: float = 150.0
    bad: int = 12


class Load:
    """Sends in a thread of its own until it is stopped. `acknowledged` counts what the brokers took, by partition, and
    `ordered` are the orders that they took, by source, number and partition."""

    def __init__(self, settings: Settings, shape: LoadShape) -> None:
        self.acknowledged = [0] * settings.partitions
        self.ordered: set[tuple[str, int, int]] = set()
        self._orders = LoadOrders(shape.seed, settings.partitions)
        self._settings = settings
        self._shape = shape
        self._failures: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop, and return once every record is acknowledged. Raises what kept one from it."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._failures:
            raise self._failures[0]

    def add(self, other: Load) -> None:
        """Stop another load, and count what it sent with this one's."""
        other.stop()
        for number, count in enumerate(other.acknowledged):
            self.acknowledged[number] += count
        self.ordered |= other.ordered

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._send_all())
        except Exception as error:  # told by `stop`
            self._failures.append(error)
        finally:
            self._loop.close()

    async def _send_all(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=PATIENCE_MS,
            # A broker that is gone is asked about soon.
            metadata_max_age_ms=5_000,
        )
        await producer.start()
        try:
            for due, sends, raised, led in self._windows():
                await self._until(due)
                if self._stopping.is_set():
                    return
                for one in sends:
                    await self._send(producer, one)
                # A release that knows no control records takes them for bad reports: there are no keys where it runs.
                if sends and self._settings.control_keys_file:
                    device_id = (sends[0].key or b"-").decode(errors="replace")
                    for published in self._orders.draw(device_id, raised, led):
                        await self._order(producer, published)
        finally:
            await producer.flush()
            await producer.stop()

    def _windows(self) -> Iterator[tuple[float, list[Send], list[ExpectedAlarm], list[str]]]:
        """Moments of the monotonic clock, what is due then, which alarms devices have reason for by then, and which
        devices are led."""
        begin = time.monotonic()
        for number in itertools.count():
            fleet = self._fleet(number)
            config, step = fleet.config, int(WINDOW_S * SPEED * 1_000)
            for from_ts in range(config.start_ts, config.end_ts, step):
                due = begin + number * EPISODE_S + (from_ts + step - config.start_ts) / SPEED / 1_000
                raised = [alarm for alarm in fleet.expected if alarm.after_ts <= from_ts]
                yield due, fleet.due(from_ts, from_ts + step), raised, fleet.device_ids[:LED]

    def _fleet(self, number: int) -> Fleet:
        seconds = EPISODE_S * SPEED
        return Fleet(
            FleetConfig(
                seed=self._shape.seed * 1_000 + number,
                devices=self._shape.devices,
                rate=self._shape.rate / SPEED,
                seconds=seconds,
                # It ends now: an event dated ahead of its arrival would be taken at its arrival.
                start_ts=time.time_ns() // 1_000_000 - int(seconds * 1_000),
                share_late=0.1,
                share_swapped=0.02,
                share_repeated=0.05,
                faults_per_kind=1,
                bad_records=self._shape.bad,
                rise_window_s=RISE_WINDOW_S,
            )
        )

    async def _until(self, due: float) -> None:
        wait = due - time.monotonic()
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _send(self, producer: AIOKafkaProducer, one: Send) -> None:
        partition = partition_of(one.key or b"", self._settings.partitions)
        future = await producer.send(TELEMETRY.name, one.value, one.key, partition=partition)
        future.add_done_callback(lambda done: self._answered(done, partition))

    async def _order(self, producer: AIOKafkaProducer, published: PublishedOrder) -> None:
        topic, number, record = published
        future = await producer.send(
            topic, record.value, record.key, partition=record.partition, headers=list(record.headers)
        )
        order = self._orders.source, number, record.partition
        future.add_done_callback(lambda done: self._took(done, order))

    def _took(self, done: asyncio.Future[Any], order: tuple[str, int, int]) -> None:
        if done.cancelled():
            self._failures.append(AssertionError("an order was given up"))
        elif error := done.exception():
            self._failures.append(error)
        else:
            self.ordered.add(order)

    def _answered(self, done: asyncio.Future[Any], partition: int) -> None:
        if done.cancelled():
            self._failures.append(AssertionError("a record was given up"))
        elif error := done.exception():
            self._failures.append(error)
        else:
            self.acknowledged[partition] += 1
