"""Workers come with other limits after a crash that no checkpoint covers: nothing is lost as a repeat, or repeated."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clickhouse_driver import Client

from common.kafka.reading import reader
from common.settings import Settings, host_port
from common.times import now_ms
from schemas.events import Alarm
from schemas.positions import Repeats
from schemas.topics import ALARMS, REJECTS
from streams.generations import Generation, begun, sent_since
from tests.faults.arena import PARTITIONS, Arena
from tests.faults.conftest import Open
from tests.sinks import samples
from tests.support.fleet_sends import steady
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import until

NEVER_S: Final = 300.0
"""An interval of checkpoints that is longer than the test."""
LOWER: Final = "[default.residual_current]\nwarning = 100\nalarm = 120\nrecovery_margin = 20\n"


def _reports(began: int, quiet: bool, fire: str = "FIRE") -> Iterator[ProducerRecord]:
    """In each partition a device that burns, and one that does so only by lower limits."""
    for number in range(PARTITIONS):
        for device, current in ((f"{fire}-{number}", 800.0), (f"WARM-{number}", 20.0 if quiet else 150.0)):
            yield from steady(device, current, began, number)


def _alarms(kafka: Kafka) -> list[list[Alarm]]:
    return [[Alarm.from_json(record.value) for record in records] for records in kafka.read(ALARMS.name)]


def _opened(kafka: Kafka, name: str) -> bool:
    return all(
        any(alarm.device_id == f"{name}-{number}" for alarm in alarms) for number, alarms in enumerate(_alarms(kafka))
    )


def _events(alarms: Iterator[Alarm] | list[Alarm]) -> Counter[tuple[str, str, str]]:
    return Counter((alarm.device_id, alarm.kind, alarm.event) for alarm in alarms)


def _stored(ring: Arena) -> Counter[tuple[str, str, str]]:
    settings, (host, port) = ring.settings, host_port(ring.clickhouse.address)
    with Client(host, port, settings.clickhouse_database, password=settings.clickhouse_password) as client:
        return Counter(client.execute("SELECT device_id, kind, event FROM alarm_events"))


def test_after_a_crash_lower_limits_find_more_and_nothing_is_dropped_or_told_twice(arena: Open, tmp_path: Path) -> None:
    began = now_ms() - 30_000
    lower = tmp_path / "lower.toml"
    lower.write_text(LOWER)
    with arena(detect=1, sink=1, checkpoint_interval_s=NEVER_S) as old:
        with Kafka(old.settings.kafka, PARTITIONS) as kafka:
            kafka.send(_reports(began, quiet=False))
            until(lambda: _opened(kafka, "FIRE"), "alarms by the limits that are shipped", 60)
            assert not _opened(kafka, "WARM")
            before = _alarms(kafka)
        (post,) = old.crew.detect
        post._leaving.set()
        post.kill()
        with (
            arena(detect=1, sink=0, after=old, limits_file=str(lower), checkpoint_interval_s=0.5) as ring,
            Kafka(ring.settings.kafka, PARTITIONS) as kafka,
        ):
            until(lambda: _opened(kafka, "WARM"), f"alarms by the lower limits; {ring.told()}", 90)
            ring.settle()
            found = _alarms(kafka)
            repeats = Repeats()
            taken = [alarm for number, alarms in enumerate(found) for alarm in alarms if repeats.is_new(number, alarm)]
            stored = _stored(ring)
    once = _events([alarm for alarms in found for alarm in alarms])
    assert set(once.values()) == {1}, "an alarm was sent twice"
    assert _events(taken) == once, "a consumer drops an alarm"
    assert stored == once
    assert {name.split("-")[0] for name, *_ in once} == {"FIRE", "WARM"}
    for alarms, alarms_before in zip(found, before, strict=True):
        assert [alarm for alarm in alarms if alarm.generation == alarms_before[0].generation] == alarms_before
        assert len({alarm.source_topic_id for alarm in alarms}) == 1


def test_the_same_limits_go_on_in_the_generation_there_was(arena: Open) -> None:
    with arena(detect=1, sink=0) as ring, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        kafka.send(_reports(now_ms() - 30_000, quiet=True))
        until(lambda: _opened(kafka, "FIRE"), "alarms", 60)
        ring.watch.until(lambda look: look.detect_lag == 0, "everything covered", 60)
        (post,) = ring.crew.detect
        pid = post.process.pid
        post.kill()
        post.next_after(pid)
        kafka.send(_reports(now_ms() - 30_000, quiet=True, fire="NEXT"))
        until(lambda: _opened(kafka, "NEXT"), "more alarms", 60)
        generations = {alarm.generation for alarms in _alarms(kafka) for alarm in alarms}
    assert len(generations) == 1


def test_a_rebalance_before_the_first_checkpoint_takes_no_generation_back(arena: Open, tmp_path: Path) -> None:
    lower = tmp_path / "lower.toml"
    lower.write_text(LOWER)
    with arena(detect=1, sink=0, checkpoint_interval_s=0.5) as old, Kafka(old.settings.kafka, PARTITIONS) as kafka:
        kafka.send(_reports(now_ms() - 30_000, quiet=True))
        old.watch.until(lambda look: look.detect_lag == 0, "everything covered", 60)
        old.crew.scale(detect=0, sink=0)
        later = {"after": old, "limits_file": str(lower), "checkpoint_interval_s": NEVER_S}
        with arena(detect=1, sink=0, **later) as ring:
            (post,) = ring.crew.detect
            until(lambda: post.said.count("events of generation 2") == PARTITIONS, "another generation", 60)
            ring.crew.scale(detect=2, sink=0)
            until(lambda: post.said.count("devices kept") == PARTITIONS // 2, "partitions kept", 60)
            restored, begun = post.said.count("devices restored"), post.said.count("events of generation")
        with arena(detect=1, sink=0, **later) as ring:
            (post,) = ring.crew.detect
            until(lambda: post.said.count("devices restored") == restored + PARTITIONS, "partitions restored again", 60)
            assert post.said.count("events of generation") == begun


def test_what_was_sent_before_events_came_again_is_found_where_a_generation_begins(arena: Open) -> None:
    def reject(offset: int) -> ProducerRecord:
        return ProducerRecord(0, b"LY-1", b"{", tuple(samples.reject(source_offset=offset).to_headers([])))

    async def known(settings: Settings) -> set[tuple[int, int]]:
        """What a worker of other rules takes for sent, where a checkpoint covers the first of two records."""
        async with reader(settings) as outputs:
            generation = await begun(Generation(1, "rules before", covered=1), "rules of now", 1, 0, outputs)
            return (await sent_since(generation, 0, outputs)).sources[REJECTS.name]

    with arena(detect=0, sink=0) as ring, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        kafka.send([ProducerRecord(0, b"LY-1", b"{")] * 2)
        # Both rejects were sent, then the worker died, and its successor had sent the first one again when it died too.
        kafka.send([reject(0), reject(1), reject(0)], REJECTS.name)
        assert asyncio.run(known(ring.settings)) == {(1, samples.reject().source_index)}
