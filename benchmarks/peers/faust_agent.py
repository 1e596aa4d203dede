"""The rules in a stock Faust agent: one record at a time, or lists of them by `stream.take_events`.

What is known of a device lies in a Faust table as bytes. The table is held in memory and every change goes to its
changelog topic, from which a successor restores it. Beside it live the devices that were used, so that reading the
table costs nothing; they are forgotten when partitions move.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import faust

from benchmarks.peers.given import COMMIT_INTERVAL_S, LARGEST_BYTES, LINGER_MS, Beginning, PeerConfig, given
from benchmarks.peers.records import Source, read
from benchmarks.peers.rules import PeerDevice, Report, key_of
from benchmarks.workload import PARTITIONS

TAKEN: Final = 1_000
TAKEN_WITHIN_S: Final = 0.1

Changed = tuple[bool, bytes, PeerDevice]
"""Of test data or not, the key in the table, and the device."""


class FaustDetect:
    """What the agent does with records."""

    def __init__(self, app: Any, given: PeerConfig) -> None:
        self._given = given
        self._devices = given.devices()
        self._live: dict[str, PeerDevice] = {}
        self._beginning = Beginning()
        self._topics = {name: bytes_topic(app, name) for name in given.outputs}
        self._tables = [self._table(app, "devices"), self._table(app, "test-devices")] if given.state else []

    def _table(self, app: Any, name: str) -> Any:
        # In a list of events no single event says the partition; the key does, as it did for the telemetry.
        by_key = self._given.form == "take"
        return app.Table(name, key_type=bytes, value_type=bytes, partitions=PARTITIONS, use_partitioner=by_key)

    async def one_by_one(self, stream: Any) -> None:
        """The agent as Faust's documentation begins."""
        async for event in stream.events():
            self._store(await self._take(event))

    async def in_lists(self, stream: Any) -> None:
        """The same by the list: a device that changed several times in it goes to the changelog once."""
        async for events in stream.take_events(TAKEN, within=TAKEN_WITHIN_S):
            changed: list[Changed] = []
            for event in events:
                changed += await self._take(event)
            self._store({one[:2]: one for one in changed}.values())

    def forget(self) -> None:
        """Partitions move: what others change meanwhile will be in the table only."""
        if self._tables:
            self._live.clear()

    def _store(self, changed: Iterable[Changed]) -> None:
        if self._tables:
            for test, key, device in changed:
                self._tables[test][key] = device.dump()

    async def _take(self, event: Any) -> list[Changed]:
        """Take one record in, send what follows from it, and return what changed."""
        self._beginning.note()
        message = event.message
        partition, offset, ingest_ts = message.partition, message.offset, round(message.timestamp * 1_000)
        good, rejects = read(Source(self._given.telemetry, partition, offset, ingest_ts), event.key, event.value)
        changed = []
        for index, report in good:
            test, key = report.get("test") is True, report["device_id"].encode()
            device = self._device(report, test, key)
            for found in device.take(report, offset, index, ingest_ts):
                topic = self._topics[self._given.topic_of(found)]
                await topic.send(key=key, value=found.to_json(), partition=partition)
            changed.append((test, key, device))
        for reject in rejects:
            topic = self._topics[self._given.outputs[2]]
            await topic.send(key=event.key, value=reject.value, partition=partition, headers=reject.headers)
        return changed

    def _device(self, report: Report, test: bool, key: bytes) -> PeerDevice:
        name = key_of(report)
        device = self._live.get(name)
        if device is None:
            held = self._tables[test].get(key) if self._tables else None
            device = self._live[name] = self._devices.restored(held) if held else self._devices.make(report)
        return device


def bytes_topic(app: Any, name: str) -> Any:
    """A topic whose keys and values are left as they are."""
    return app.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
    )


def make_app(given: PeerConfig) -> Any:
    """The worker's app."""
    app = faust.App(
        given.group,
        broker=f"kafka://{given.kafka}",
        datadir=str(given.folder),
        store="memory://",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=LARGEST_BYTES,
        broker_commit_interval=COMMIT_INTERVAL_S,
        producer_linger=LINGER_MS / 1_000,
        producer_max_batch_size=131_072,
        producer_max_request_size=LARGEST_BYTES,
    )
    detect = FaustDetect(app, given)

    async def forget(*args: object, **kwargs: object) -> None:
        detect.forget()

    app.on_partitions_revoked.connect(forget)
    agent = detect.in_lists if given.form == "take" else detect.one_by_one
    app.agent(bytes_topic(app, given.telemetry), name="detect")(agent)
    return app


if __name__ == "__main__":
    # From WARNING on Faust shows a spinner, for which it has every logger build its debug records: 3 a report.
    faust.Worker(make_app(given()), loglevel=logging.INFO).execute_from_commandline()
