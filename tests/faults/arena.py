"""Where the faults happen: three brokers, ClickHouse, workers under load, somebody who looks, and the verdict."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from common.settings import Settings
from embedded.kafka import Cluster
from embedded.processes import running_kafka
from schemas.events import ControlOutcome
from schemas.topics import CHECKPOINTS, CONTROL_OUTCOMES, TOPICS
from streams.storage import run_migrations
from streams.topics import make_topics
from tests.faults.checkpoints import CheckpointReader
from tests.faults.clickhouse import PASSWORD, ClickHouseProcess
from tests.faults.crew import CommandLine, Crew, product
from tests.faults.load import Load, LoadShape
from tests.faults.verdict import Verdict, judge
from tests.faults.watch import Look, Watch
from tests.support.control_keys import keys_file
from tests.support.fleet_sends import quick_limits
from tests.support.kafka_outside import Kafka
from tests.support.processes import Ended, run, until

PARTITIONS: Final = 4
ALL_TOPICS: Final = tuple(topic.name for topic in TOPICS)
SETTLED_S: Final = 60.0
"""From the end of the load and of the faults to lag 0: a restart, a session, a rebalance, and the backlog."""
COMPACTED_LATER: Final = CHECKPOINTS.settings | {"min.compaction.lag.ms": CHECKPOINTS.settings["max.compaction.lag.ms"]}
"""The verdict asks what checkpoints held at every look, so no row may be gone before it is read."""
_numbers = itertools.count()


@dataclass(slots=True)
class Servers:
    """What outlives a scenario."""

    kafka: Cluster
    clickhouse: ClickHouseProcess
    folder: Path

    def all_up(self) -> None:
        """Whatever the scenario before did to them."""
        self.kafka.start()


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """Three brokers and ClickHouse."""
    clickhouse = ClickHouseProcess(folder)
    try:
        with running_kafka(folder / "kafka", folder / "kafka-logs", brokers=3) as kafka:
            yield Servers(kafka, clickhouse, folder)
    finally:
        clickhouse.stop()


def settings_for(servers: Servers, folder: Path, **changes: Any) -> Settings:
    """Real guarantees, short times; a group and a database of their own."""
    number = next(_numbers)
    settings = Settings(
        kafka=servers.kafka.bootstrap,
        partitions=PARTITIONS,
        replication=3,
        fencing=True,
        group=f"faults-{number}",
        session_timeout_s=3,
        # The group waits for members that are slow, as on a busy machine; those that are dead it misses by the session.
        rebalance_timeout_s=10,
        clickhouse=servers.clickhouse.address,
        clickhouse_database=f"faults_{number}",
        clickhouse_password=PASSWORD,
        clickhouse_deadline_s=60,
        insert_interval_s=0.3,
        insert_rows=1_000,
        checkpoint_interval_s=0.5,
        stall_s=30,
        limits_file=str(quick_limits(folder)),
        control_keys_file=str(keys_file(folder)),
    )
    return replace(settings, **changes)


class Arena:
    """One scenario's part of it: topics made anew, a crew, and what was seen."""

    def __init__(self, servers: Servers, settings: Settings, folder: Path, command: CommandLine) -> None:
        self.servers = servers
        self.settings = settings
        self.crew = Crew(settings, folder / "workers", command)
        self.watch = Watch(settings, servers.clickhouse.address)
        self.checkpoints = CheckpointReader(settings)

    @property
    def brokers(self) -> Cluster:
        """The three."""
        return self.servers.kafka

    @property
    def clickhouse(self) -> ClickHouseProcess:
        """The one."""
        return self.servers.clickhouse

    def load(self, seed: int, **shape: Any) -> Load:
        """Load for the block; see `LoadShape`."""
        return Load(self.settings, LoadShape(seed, **shape))

    def widen(self, partitions: int) -> Ended:
        """Have all topics widened under whatever runs, as an operator would, and look at the new partitions too."""
        self.settings = replace(self.settings, partitions=partitions)
        widened = run("topics", "--widen", settings=self.settings)
        assert widened.status == 0, widened.err
        self.watch.partitions = partitions
        self.checkpoints.widen(partitions)
        return widened

    def wait(self, seconds: float) -> None:
        """Let a fault last so long, until somebody has looked after it. What can be seen is waited for by `live`."""
        due = time.monotonic() + seconds
        self.watch.until(lambda look: look.at >= due, "a look", 60)

    def live(self, seconds: float = SETTLED_S) -> Look:
        """The first look that shows committed by detect all that was there at the next one; so it works again.

        Something must have been there: it is asked under load.
        """
        first = self._look_from_now(lambda look: any(look.telemetry_ends.values()), "something sent", seconds)

        def seen(look: Look) -> bool:
            return all(look.detect.get(number, 0) >= end for number, end in first.telemetry_ends.items())

        return self.watch.until(seen, f"live processing; {self.told()}", seconds)

    def stored(self, seconds: float = SETTLED_S) -> Look:
        """The first look that shows stored all that was there: what waits of a partition through two faults has waited
        for both."""
        first = self._look_from_now(lambda _: True, "a look", SETTLED_S)

        def seen(look: Look) -> bool:
            return all(look.sink.get(place, 0) >= end for place, end in first.ends.items())

        return self.watch.until(seen, f"a sink that catches up; {self.told()}", seconds)

    def _look_from_now(self, shows: Callable[[Look], bool], what: str, seconds: float) -> Look:
        """The first look that begins after this moment, and shows it."""
        now = time.monotonic()
        return self.watch.until(lambda look: look.at >= now and shows(look), what, seconds)

    def settle(self, seconds: float = SETTLED_S) -> Look:
        """The first look that shows everything committed; fails if it takes longer."""
        began = time.monotonic()
        self.watch.until(lambda look: look.detect_lag == 0, f"detect without lag; {self.told()}", seconds)
        left = seconds - (time.monotonic() - began)
        return self.watch.until(lambda look: look.detect_lag == look.sink_lag == 0, f"no lag; {self.told()}", left)

    def judge(self, load: Load, seconds: float = SETTLED_S, **more: Any) -> Verdict:
        """Stop the load, wait for lag 0, and count what was there then: devices that fall silent are told of later."""
        load.stop()
        began, late = time.monotonic(), ""
        try:
            self._until_told(load, seconds)
            settled = self.settle(seconds)
        except AssertionError as error:
            late, settled = str(error), self.watch.looks[-1]
        took = time.monotonic() - began
        looks = [look for look in self.watch.excused() if look.at <= settled.at]
        checkpoints = self.checkpoints.rows(looks[-1].checkpoints)
        moved, sent = (self.checkpoints.moves(), self.checkpoints.gone()), load.acknowledged
        verdict = judge(self.settings, self.clickhouse.address, looks, checkpoints, *moved, sent, **more)
        verdict.hold(not late, late)
        verdict.counts["settled_ms"] = round(took * 1_000)
        return verdict

    def _until_told(self, load: Load, seconds: float) -> None:
        """Return once every order of the load has an outcome: no lag shows those that are still to be copied."""
        with Kafka(self.settings.kafka, self.settings.partitions) as kafka:

            def missing() -> set[tuple[str, int, int]]:
                records = (record for of in kafka.read(CONTROL_OUTCOMES.name) for record in of)
                events = ((ControlOutcome.from_json(record.value), record.partition) for record in records)
                return load.ordered - {(one.source, one.number, partition) for one, partition in events}

            until(lambda: not missing(), lambda: f"orders without an outcome: {sorted(missing())[:5]}", seconds)

    def told(self) -> str:
        """What the workers said last."""
        return "; ".join(f"{post.name}: {post.said[-600:]}" for post in self.crew.posts)


@contextmanager
def running_arena(
    servers: Servers,
    folder: Path,
    detect: int = 1,
    sink: int = 1,
    static: bool = False,
    command: CommandLine = product,
    after: Arena | None = None,
    **changes: Any,
) -> Iterator[Arena]:
    """A crew that is ready, on topics and tables made anew, or on those of `after`. `changes` are of settings."""
    servers.all_up()
    folder.mkdir(parents=True, exist_ok=True)
    if after is None:
        settings = settings_for(servers, folder, **changes)
        make_anew(settings)
        run_migrations(settings)
    else:
        settings = replace(after.settings, **changes)
    arena = Arena(servers, settings, folder, command)
    try:
        arena.crew.scale(detect, sink, static)
        with arena.watch, arena.checkpoints:
            arena.crew.wait_ready()
            yield arena
    finally:
        arena.crew.dismiss()


def make_anew(settings: Settings, names: Sequence[str] = ALL_TOPICS) -> None:
    """Delete topics of emberline's and make them again, empty."""
    asyncio.run(delete(settings, names))
    # The one broker has forgotten a topic before the other: what is not made yet is asked for until it is.
    until(lambda: asyncio.run(_made(settings)), "topics made anew", seconds=90)
    configure(settings, CHECKPOINTS.name, COMPACTED_LATER)


def configure(settings: Settings, topic: str, values: Mapping[str, str]) -> None:
    """Give a topic these settings, and Kafka's own for all others."""
    asyncio.run(_configure(settings, ConfigResource(ConfigResourceType.TOPIC, topic, dict(values))))


async def _configure(settings: Settings, resource: ConfigResource) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.alter_configs([resource])
    finally:
        await admin.close()


async def delete(settings: Settings, names: Sequence[str]) -> None:
    """Delete those topics that are there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        if there := sorted(set(names) & set(await admin.list_topics())):
            await admin.delete_topics(there)
    finally:
        await admin.close()


async def widen(settings: Settings, topic: str, partitions: int) -> None:
    """Give one topic more partitions, as an operator might."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        await admin.close()


async def _made(settings: Settings) -> bool:
    try:
        await make_topics(settings)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
        await admin.start()
        try:
            described = await admin.describe_topics([topic.name for topic in TOPICS])
        finally:
            await admin.close()
    except KafkaError:
        return False
    return all(
        not one["error_code"]
        and len(one["partitions"]) == settings.partitions
        and all(partition["leader"] >= 0 for partition in one["partitions"])
        for one in described
    )
