"""Topics that are made, widened or set otherwise under workers."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from common.settings import Settings
from schemas.events import Alarm
from schemas.topics import ALARMS, DAY_MS, OUTPUTS, TELEMETRY
from streams.partitioner import partition_of
from streams.topics import count_partitions, make_topics
from streams.watching.described import asking, described, nodes, settings_of
from tests.faults.altered.hasty import OFFLINE_AFTER_MS, hasty, hasty_worker
from tests.faults.arena import ALL_TOPICS, PARTITIONS, Servers, configure, delete, make_anew, settings_for, widen
from tests.faults.conftest import Open
from tests.faults.crew import Post
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import run, until, working

SENDERS_CLOCK: Final = TELEMETRY.settings | {"message.timestamp.type": "CreateTime"}
ARCS: Final = b'{"v": 1, "device_id": "arcs", "arc_half_cycles": [20]}'
MANY: Final = 64
TIMES: Final = 4


def test_a_worker_starts_on_topics_of_many_partitions_that_were_made_a_moment_before(
    servers: Servers, tmp_path: Path
) -> None:
    settings = settings_for(servers, tmp_path, partitions=MANY)
    for _ in range(TIMES):
        _make_anew(settings)
        with working("detect", settings, tmp_path / "fresh") as worker:
            assert worker.stop() == 0, worker.said
        assert "Traceback" not in worker.said


def test_partitions_are_counted_when_all_are_there(servers: Servers, tmp_path: Path) -> None:
    settings = settings_for(servers, tmp_path, partitions=MANY)
    for _ in range(TIMES):
        _make_anew(settings)
        assert asyncio.run(count_partitions(settings, TELEMETRY.name)) == MANY


def test_a_worker_refuses_topics_that_make_results_wrong_until_they_are_mended(
    servers: Servers, tmp_path: Path
) -> None:
    settings = settings_for(servers, tmp_path)
    make_anew(settings)
    configure(settings, TELEMETRY.name, SENDERS_CLOCK | {"segment.bytes": "1048576"})
    asyncio.run(widen(settings, TELEMETRY.name, PARTITIONS + 2))
    checked = run("topics", "--check", "--json", settings=settings)
    assert checked.status == 1
    weights = Counter(one["weight"] for one in json.loads(checked.out)["differences"])
    # Without enough partitions of replays, registry, commands, actions and notices devices are watched all the same.
    assert weights == {"wrong": 1, "partly": len(OUTPUTS) + 1, "risk": 5}
    for role in ("detect", "sink"):
        refusal = run("worker", role, settings=settings).refusal
        assert re.search(r"fires are missed .*; run `emberline topics --repair`$", refusal), refusal
    mended = run("topics", "--repair", settings=settings)
    assert (mended.status, mended.err) == (0, "")
    checked = run("topics", "--check", settings=settings)
    assert (checked.status, checked.out) == (0, "the topics are as they should be\n")
    # What others had set is still set.
    assert asyncio.run(_settings_of(settings, TELEMETRY.name))["segment.bytes"] == "1048576"
    with working("detect", settings, tmp_path / "mended") as worker:
        until(lambda: worker.ask("/readyz") == (200, "ready\n"), "a worker without a remark")


def test_topics_that_change_under_workers_are_told_of_while_they_work_and_when_they_are_mended(
    arena: Open,
) -> None:
    with arena(detect=1, sink=1) as ring:
        posts, telemetry = ring.crew.posts, TELEMETRY.settings
        configure(ring.settings, TELEMETRY.name, telemetry | {"retention.ms": str(DAY_MS)})
        for post in posts:
            _until_told(post, "/readyz", 200, "lost sooner")
            _until_told(post, "/metrics", 200, 'emberline_topic_differences{weight="risk"} 1.0')
        configure(ring.settings, TELEMETRY.name, SENDERS_CLOCK)
        for post in posts:
            _until_told(post, "/readyz", 503, "fires are missed")
        configure(ring.settings, TELEMETRY.name, telemetry)
        for post in posts:
            post.wait_ready()
            assert re.search("no longer so: .* fires are missed", post.said), post.said
    assert ring.crew.gave_up == []


def test_where_telemetry_alone_is_widened_the_devices_that_were_watched_still_are(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(201) as load:
        (post,) = ring.crew.detect
        ring.live()
        asyncio.run(widen(ring.settings, TELEMETRY.name, PARTITIONS + 2))
        _until_told(post, "/readyz", 503, "are not watched")
        ring.live()
        assert run("topics", "--repair", settings=ring.settings).status == 0
        post.wait_ready()
        verdict = ring.judge(load, widened=True)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def test_topics_widened_together_under_load_lose_nothing_and_new_partitions_are_watched(arena: Open) -> None:
    wide = PARTITIONS + 2
    new = range(PARTITIONS, wide)
    with arena(detect=2, sink=1) as ring, ring.load(202) as before:
        ring.live()
        widened = ring.widen(wide)
        assert (widened.status, widened.err) == (0, "")
        # Telemetry last, and telemetry of senders that have not heard of it yet goes on.
        assert widened.out.splitlines()[-1] == f"widened {TELEMETRY.name} from {PARTITIONS} to {wide} partitions"
        with ring.load(203) as load:
            with Kafka(ring.settings.kafka, wide) as kafka:
                kafka.send([ProducerRecord(number, b"arcs", ARCS) for number in new])
            ring.watch.until(lambda look: all(look.ends.get((ALARMS.name, one)) for one in new), "alarms", 120)
            ring.live()
            load.add(before)
            verdict = ring.judge(load, widened=True)
        said = ring.told()
    assert verdict.complaints == [], said
    assert all(load.acknowledged)
    assert ring.crew.gave_up == []


def test_what_is_known_of_a_device_comes_along_when_topics_are_widened(arena: Open, tmp_path: Path) -> None:
    wide = PARTITIONS + 2
    limits = tmp_path / "recovers-soon.toml"
    limits.write_text("[default.arc_fault]\nconfirm_recovery_s = 3\n", encoding="utf-8")
    devices = [_moving(PARTITIONS, wide, new) for new in (True, False)]
    with (
        hasty(),
        arena(detect=2, sink=1, command=hasty_worker, limits_file=str(limits)) as ring,
        ring.load(204) as load,
    ):
        with Kafka(ring.settings.kafka, PARTITIONS) as kafka:
            opening = [_arcs(device, 20, PARTITIONS) for device in devices]
            kafka.send(opening)
            ring.live()
            ring.widen(wide)
            # Senders hear of it a while later.
            kafka.send(opening)
            ring.live()
        with Kafka(ring.settings.kafka, wide) as kafka:
            for _ in range(2 * OFFLINE_AFTER_MS // 1_000):
                kafka.send(_arcs(device, 0, wide) for device in devices)
                ring.wait(1.0)
            ring.live()
            verdict = ring.judge(load, widened=True)
            alarms = [Alarm.from_json(record.value) for held in kafka.read(ALARMS.name) for record in held]
            kept = kafka.newest_checkpoints()
        said = ring.told()
    assert verdict.complaints == [], said
    for device in devices:
        key, life = device.encode(), {one.event: one.alarm_id for one in alarms if one.device_id == device}
        assert (set(life), len(set(life.values()))) == ({"opened", "recovered"}, 1), said
        assert [number for number, rows in enumerate(kept) if b"0" + key in rows] == [partition_of(key, wide)]
    assert ring.crew.gave_up == []


def _moving(before: int, after: int, new: bool) -> str:
    """A device that is to be in another partition once there are more, in a new one or in one that was there."""
    ids = (f"MOVES-{number}" for number in itertools.count())
    homes = ((one, partition_of(one.encode(), before), partition_of(one.encode(), after)) for one in ids)
    return next(one for one, here, there in homes if here != there and (there >= before) == new)


def _arcs(device: str, half_cycles: int, partitions: int) -> ProducerRecord:
    report = {"v": 1, "device_id": device, "arc_half_cycles": [half_cycles]}
    return ProducerRecord(partition_of(device.encode(), partitions), device.encode(), json.dumps(report).encode())


def _until_told(post: Post, path: str, status: int, text: str) -> None:
    def seen() -> bool:
        answer = post.worker.ask(path)
        return answer[0] == status and text in answer[1]

    until(seen, f"{status} and {text!r} at {path} of {post.name}", 60)


def _make_anew(settings: Settings) -> None:
    """Topics that brokers may not have heard of yet."""
    # Brokers hear of a topic, and forget it, a little after one has agreed to.
    until(lambda: asyncio.run(_gone(settings)), "topics gone")
    asyncio.run(make_topics(settings))


async def _gone(settings: Settings) -> bool:
    await delete(settings, ALL_TOPICS)
    async with asking(settings) as client:
        return not any([await described(client, ALL_TOPICS, node) for node in nodes(client)])


async def _settings_of(settings: Settings, topic: str) -> Mapping[str, str]:
    async with asking(settings) as client:
        return (await settings_of(client, [topic]))[topic]
