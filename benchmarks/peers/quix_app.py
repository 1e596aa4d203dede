"""The rules in a Quix Streams application: one stateful step, its state in RocksDB and on a changelog topic."""

from __future__ import annotations

from typing import Any, NamedTuple

from quixstreams import Application, State, message_context
from quixstreams.models import Serializer

from benchmarks.peers.given import COMMIT_INTERVAL_S, LARGEST_BYTES, LINGER_MS, Beginning, PeerConfig, given
from benchmarks.peers.records import Source, read
from benchmarks.peers.rules import PeerDevice, PeerDevices, Report, key_of

QuixHeaders = list[tuple[str, bytes]]


class QuixRecord(NamedTuple):
    """One record to be produced."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: QuixHeaders


class Payload(Serializer):
    """The bytes of an outgoing record as they are."""

    def __call__(self, value: QuixRecord, ctx: Any) -> bytes:
        return value.value or b""


class QuixDetect:
    """The step's function, with state and without."""

    def __init__(self, given: PeerConfig) -> None:
        self._given = given
        self._devices: PeerDevices = given.devices()
        self._memory: dict[str, PeerDevice] = {}
        self._beginning = Beginning()

    def stored(self, value: bytes, key: bytes | None, ingest_ts: int, headers: Any, state: State) -> list[QuixRecord]:
        """With the state store: a device is read from it before a report and written to it after."""
        good, outgoing, offset = self._read(value, key, ingest_ts)
        for index, report in good:
            name = key_of(report)
            held = state.get_bytes(name)
            device = self._devices.make(report) if held is None else self._devices.restored(held)
            self._take(device, report, offset, index, ingest_ts, outgoing)
            state.set_bytes(name, device.dump())
        return outgoing

    def remembered(self, value: bytes, key: bytes | None, ingest_ts: int, headers: Any) -> list[QuixRecord]:
        """Without: the devices live in the process and die with it."""
        good, outgoing, offset = self._read(value, key, ingest_ts)
        for index, report in good:
            name = key_of(report)
            device = self._memory.get(name)
            if device is None:
                device = self._memory[name] = self._devices.make(report)
            self._take(device, report, offset, index, ingest_ts, outgoing)
        return outgoing

    def _read(
        self, value: bytes, key: bytes | None, ingest_ts: int
    ) -> tuple[list[tuple[int, Report]], list[QuixRecord], int]:
        self._beginning.note()
        context = message_context()
        good, rejects = read(Source(context.topic, context.partition, context.offset, ingest_ts), key, value)
        topic = self._given.outputs[2]
        return good, [QuixRecord(topic, key, reject.value, reject.headers) for reject in rejects], context.offset

    def _take(
        self, device: PeerDevice, report: Report, offset: int, index: int, ingest_ts: int, outgoing: list[QuixRecord]
    ) -> None:
        outgoing += [
            QuixRecord(self._given.topic_of(event), device.device_id.encode(), event.to_json(), [])
            for event in device.take(report, offset, index, ingest_ts)
        ]


def make_app(given: PeerConfig) -> Application:
    """The application with its one pipeline."""
    app = Application(
        broker_address=given.kafka,
        consumer_group=given.group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_INTERVAL_S,
        processing_guarantee="at-least-once",
        state_dir=given.folder,
        consumer_extra_config={"fetch.wait.max.ms": 50},
        producer_extra_config={"linger.ms": LINGER_MS, "message.max.bytes": LARGEST_BYTES},
        loglevel="WARNING",
    )
    telemetry = app.topic(given.telemetry, key_deserializer="bytes", value_deserializer="bytes")
    outputs = {name: app.topic(name, key_serializer="bytes", value_serializer=Payload()) for name in given.outputs}
    detect = QuixDetect(given)
    sdf = app.dataframe(telemetry)
    if given.state:
        sdf = sdf.apply(detect.stored, stateful=True, expand=True, metadata=True)
    else:
        sdf = sdf.apply(detect.remembered, expand=True, metadata=True)
    sdf = sdf.set_headers(lambda value, key, timestamp, headers: value.headers)
    sdf.to_topic(lambda value, key, timestamp, headers: outputs[value.topic], key=lambda value: value.key)
    return app


if __name__ == "__main__":
    make_app(given()).run()
