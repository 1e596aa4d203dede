"""The rules in a Bytewax dataflow: a keyed stateful step, its state in the recovery store, an epoch a second.

It reads to the end of the topic and ends. Bytewax keeps its offsets in the recovery store and commits none, so its end,
after the last snapshot, is when it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from bytewax import operators as op
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir

from benchmarks.peers.given import (
    COMMIT_INTERVAL_S,
    DONE,
    LARGEST_BYTES,
    LINGER_MS,
    Beginning,
    PeerConfig,
    given,
    say,
)
from benchmarks.peers.records import Rejected, Source, read
from benchmarks.peers.rules import PeerDevice, PeerDevices, PeerEvent, Report, key_of

SourcedReport = tuple[Report, int, int, int]
"""A report, the offset and index of its record, the time of its arrival."""


class DeviceLogic(StatefulBatchLogic):
    """One device; Bytewax makes one for each key, and shows it what a batch holds for it."""

    def __init__(self, devices: PeerDevices, state: bytes | None) -> None:
        self._devices = devices
        self._device: PeerDevice | None = None if state is None else devices.restored(state)

    def on_batch(self, values: list[SourcedReport]) -> tuple[Iterable[PeerEvent], bool]:
        """Take the reports in."""
        device = self._device
        if device is None:
            device = self._device = self._devices.make(values[0][0])
        events: list[PeerEvent] = []
        for report, offset, index, ingest_ts in values:
            events += device.take(report, offset, index, ingest_ts)
        return events, StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The device at the end of an epoch."""
        return b"" if self._device is None else self._device.dump()


class ReadReports:
    """From batches of records to keyed reports and rejects."""

    def __init__(self) -> None:
        self._beginning = Beginning()

    def __call__(
        self, messages: list[KafkaSourceMessage[Any, Any]]
    ) -> Iterable[tuple[str, SourcedReport] | KafkaSinkMessage]:
        if messages:
            self._beginning.note()
        for message in messages:
            ingest_ts = message.timestamp[1]
            source = Source(message.topic, message.partition, message.offset, ingest_ts)
            good, rejects = read(source, message.key, message.value)
            for index, report in good:
                yield key_of(report), (report, message.offset, index, ingest_ts)
            for reject in rejects:
                yield _message_of(message.key, reject)


def _message_of(key: bytes | None, reject: Rejected) -> KafkaSinkMessage:
    return KafkaSinkMessage(key=key, value=reject.value, headers=reject.headers)


def _is_reject(item: tuple[str, SourcedReport] | KafkaSinkMessage) -> bool:
    return type(item) is KafkaSinkMessage


def make_flow(given: PeerConfig) -> Dataflow:
    """Read, judge, key, detect, send."""
    brokers, devices = [given.kafka], given.devices()
    producing = {"linger.ms": LINGER_MS, "message.max.bytes": LARGEST_BYTES}
    flow = Dataflow("detect")
    telemetry = kop.input(
        "telemetry", flow, brokers=brokers, topics=[given.telemetry], tail=False, add_config={"fetch.wait.max.ms": 50}
    )
    found = op.flat_map_batch("read", telemetry.oks, ReadReports())
    judged = op.branch("judge", found, _is_reject)
    events = op.stateful_batch("detect", judged.falses, lambda state: DeviceLogic(devices, state))

    def outgoing(keyed: tuple[str, PeerEvent]) -> KafkaSinkMessage:
        event = keyed[1]
        return KafkaSinkMessage(key=event.device_id.encode(), value=event.to_json(), topic=given.topic_of(event))

    op.output("events", op.map("encode", events, outgoing), KafkaSink(brokers, None, producing))
    op.output("rejects", judged.trues, KafkaSink(brokers, given.outputs[2], producing))
    return flow


def run(given: PeerConfig) -> None:
    """Run it as `python -m bytewax.run` does, with one worker: more would share one interpreter lock."""
    recovery = None
    if given.state:
        store = given.folder / "recovery"
        store.mkdir()
        init_db_dir(store, 1)
        recovery = RecoveryConfig(store, timedelta())
    flow = make_flow(given)
    cli_main(flow, epoch_interval=timedelta(seconds=COMMIT_INTERVAL_S), recovery_config=recovery)
    say(DONE)


if __name__ == "__main__":
    run(given())
