"""What one sender can do to others: attacks on Apache Kafka with a detect and a sink worker, and a neighbour on fire.

Each attack is put into one partition while devices in it and in another report five times a second and catch fire, one
after the other. A supervisor starts a worker again that ends. `tree` may name another checkout, whose workers then run:
so that what was before can be measured by the same load.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from benchmarks.machine import Measured, machine, versions
from benchmarks.processes import ROOT, cpu_s, peak_mb
from benchmarks.senders import ATTACKS, Attack, Burst, report_of
from benchmarks.workload import forget, make_emberline_anew
from cli.offsets import Offsets
from cli.output import Say
from cli.stack import STOP_DEADLINE_S, last_line
from common.settings import PREFIX, Settings
from common.times import now_ms
from embedded.manners import free_port
from embedded.processes import running_clickhouse, running_kafka
from schemas.topics import ALARMS, DEVICE_STATUS, REJECTS, TELEMETRY
from streams.partitioner import partition_of

SEED: Final = 17
PARTITIONS: Final = 2
ATTACKED: Final = 0
PLACES: Final = {"same": ATTACKED, "other": 1}
"""Where neighbours are: in the partition that is attacked, and in one beside it."""
EVERY_S: Final = 0.2
ARCS: Final = 20
"""Arc half-cycles within a second: a fire that needs no confirming (schemas/limits.toml)."""
LOOK_S: Final = 0.05
RESTART_S: Final = 0.5
READY_S: Final = 60.0
READERS_END_S: Final = 5.0
ROLES: Final = ("detect", "sink")
COUNTED: Final = (REJECTS, DEVICE_STATUS, ALARMS)
_JSON: Final = orjson.dumps


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the attacks are, how many neighbours catch fire at each place, and how long is waited for the end."""

    smoke: bool
    fires: int
    fire_every_s: float
    patience_s: float

    def of(self, attack: Attack) -> int:
        """The attack's size."""
        return attack.smoke if self.smoke else attack.full


FULL: Final = Scale(smoke=False, fires=8, fire_every_s=1.0, patience_s=90.0)
SMOKE: Final = Scale(smoke=True, fires=2, fire_every_s=0.5, patience_s=60.0)


def run(scale: Scale, say: Say, attacks: Sequence[Attack] = ATTACKS, tree: Path = ROOT) -> Measured:
    """Every attack on workers, topics and tables of its own; one JSON object."""
    for name in ("aiokafka", "clickhouse_driver"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a new broker's first "not yet" is no news
    cases = []
    with tempfile.TemporaryDirectory(prefix="emberline-attacks-") as name:
        folder = Path(name)
        with (
            running_kafka(folder / "kafka", folder / "kafka-logs", brokers=1) as kafka,
            running_clickhouse(folder / "clickhouse", folder / "clickhouse.log") as clickhouse,
        ):
            for number, attack in enumerate(attacks):
                settings = Settings(
                    kafka=kafka.bootstrap,
                    clickhouse=clickhouse.address,
                    partitions=PARTITIONS,
                    group=f"attack-{number}",
                    clickhouse_database=f"attack_{number}",
                )
                own = folder / str(number)
                own.mkdir()
                cases.append(asyncio.run(_case(attack, scale, settings, own, folder / "kafka", tree)))
                say(_told(cases[-1]))
            found = {"kafka": kafka.version}
    return {
        "benchmark": "attacks",
        "version": 1,
        "seed": SEED,
        "smoke": scale.smoke,
        "of": _commit_of(tree),
        "machine": machine(),
        "versions": versions() | found,
        "cases": cases,
    }


def _commit_of(tree: Path) -> str:
    words = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout.strip()


def _program(tree: Path) -> str:
    """The module that is the command line there."""
    return "cli" if (tree / "cli").exists() else "streams"


async def _case(attack: Attack, scale: Scale, settings: Settings, folder: Path, kafka: Path, tree: Path) -> Measured:
    await forget(settings.kafka, TELEMETRY.name)
    await make_emberline_anew(settings)
    environment = _environment(settings, tree)
    # By the checkout's own program: the tables are its own too.
    migrated = [sys.executable, "-m", _program(tree), "migrate"]
    await asyncio.to_thread(subprocess.run, migrated, env=environment, cwd=tree, check=True, capture_output=True)
    async with AsyncExitStack() as stack:
        posts = [stack.enter_context(_posted(role, attack, environment, folder, tree)) for role in ROLES]
        await asyncio.gather(*(post.ready() for post in posts))
        groups = {
            role: await stack.enter_async_context(
                Offsets(settings, f"{settings.group}-{role}", TELEMETRY.name, PARTITIONS)
            )
            for role in ROLES
        }
        attacker = await stack.enter_async_context(
            AIOKafkaProducer(
                bootstrap_servers=settings.kafka,
                compression_type="gzip",
                max_batch_size=1 << 30,
                max_request_size=1 << 27,
                request_timeout_ms=120_000,
            )
        )
        if attack.known:
            devices = scale.of(attack)
            values = [_JSON(report_of(f"K-{number}", now_ms())) for number in range(devices)]
            await _sent(attacker, Burst(0, b"K", values))
            await _until_caught_up(groups, time.monotonic() + scale.patience_s)
        batches = await asyncio.to_thread(_batches, attacker, attack, scale)
        neighbours = await stack.enter_async_context(_neighbours(settings, scale))
        watching = [stack.enter_context(_task(post.watch())) for post in posts]
        await asyncio.sleep(3 * scale.fire_every_s)
        before = {topic.name: _bytes_of(kafka, topic.name) for topic in COUNTED}
        for post in posts:
            post.begin()
        began = time.monotonic()
        neighbours.catch_fire(began)
        if attack.readers:
            stack.enter_context(_reading(posts[0].http, scale.of(attack)))
        for batch in batches:
            await asyncio.sleep(max(0.0, began + batch.after_s - time.monotonic()))
            await attacker.send_batch(batch.builder, TELEMETRY.name, partition=ATTACKED)
        deadline = began + scale.patience_s
        await neighbours.until_seen(deadline)
        await neighbours.stop()
        caught_up = await _until_caught_up(groups, deadline)
        await asyncio.sleep(LOOK_S * 2)
        for task in watching:
            task.cancel()
        return {
            "attack": attack.name,
            "size": scale.of(attack),
            "bytes_sent": sum(batch.size for batch in batches),
            "bytes_written": {name: _bytes_of(kafka, name) - held for name, held in before.items()},
            "neighbours": neighbours.delays(),
            "caught_up_s": round(time.monotonic() - began, 1) if caught_up else None,
            "workers": {post.role: post.figures() for post in posts},
        }


def _environment(settings: Settings, tree: Path) -> dict[str, str]:
    """Only what differs from the defaults: another checkout may know other settings."""
    ours, default = settings.to_environment(), Settings().to_environment()
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return others | {name: value for name, value in ours.items() if value != default[name]} | {"PYTHONPATH": str(tree)}


class _TimedBatch(NamedTuple):
    after_s: float
    builder: Any
    size: int


def _batches(producer: AIOKafkaProducer, attack: Attack, scale: Scale) -> list[_TimedBatch]:
    """The bursts, compressed before anything is timed."""
    return [_batch(producer, burst) for burst in attack.sends(Random(SEED), scale.of(attack))]  # noqa: S311


def _batch(producer: AIOKafkaProducer, burst: Burst) -> _TimedBatch:
    builder = producer.create_batch()
    for value in burst.values:
        if builder.append(timestamp=None, key=burst.key, value=value) is None:
            raise RuntimeError("a burst is larger than a batch may be")
    builder.close()
    return _TimedBatch(burst.after_s, builder, len(builder._build()))


async def _sent(producer: AIOKafkaProducer, burst: Burst) -> None:
    batch = await asyncio.to_thread(_batch, producer, burst)
    await (await producer.send_batch(batch.builder, TELEMETRY.name, partition=ATTACKED))


async def _until_caught_up(groups: dict[str, Offsets], deadline: float) -> bool:
    """Whether both groups have committed all there is before the deadline."""
    for group in groups.values():
        while await _lag(group):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_S)
    return True


async def _lag(group: Offsets) -> int:
    """How far it is behind; 1 where nobody answers."""
    with suppress(KafkaError, TimeoutError):
        return await group.lag()
    return 1


def _bytes_of(kafka: Path, topic: str) -> int:
    # By whole names: folders of topics that were deleted lie about for a minute.
    folders = (f"*/{topic}-{number}/*.log" for number in range(PARTITIONS))
    return sum(file.stat().st_size for folder in folders for file in kafka.glob(folder))


@contextmanager
def _task(coroutine: Any) -> Iterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(coroutine)
    try:
        yield task
    finally:
        task.cancel()


@dataclass(slots=True)
class _MeasuredWorker:
    """A worker and whoever takes its place; what they used since `begin`."""

    role: str
    command: Sequence[str]
    environment: dict[str, str]
    tree: Path
    log: Path
    http: str
    process: subprocess.Popen[bytes] = field(init=False)
    words: list[str] = field(default_factory=list)
    _used: dict[int, float] = field(default_factory=dict)
    _before: float = 0.0
    _peak_mb: float = 0.0

    def start(self) -> None:
        """Start one."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd=self.tree, stdin=subprocess.PIPE, stdout=output,
                stderr=output,
            )  # fmt: skip

    def stop(self) -> None:
        """Let it leave, and make it."""
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    async def ready(self) -> None:
        """Return once it is."""
        async with aiohttp.ClientSession() as session, asyncio.timeout(READY_S):
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://{self.http}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.1)

    def begin(self) -> None:
        """Count from here on."""
        self._look()
        self._before = sum(self._used.values())

    async def watch(self) -> None:
        """Look at it, and start another where it has ended."""
        while True:
            if self.process.poll() is not None:
                self.words.append(last_line(self.log)[:200])
                await asyncio.sleep(RESTART_S)
                self.start()
            self._look()
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        # One that has just ended keeps what was seen of it last.
        with suppress(OSError):
            self._used[self.process.pid] = cpu_s(self.process.pid)
            self._peak_mb = max(self._peak_mb, peak_mb(self.process.pid))

    def figures(self) -> Measured:
        """What it and its successors took."""
        return {
            "cpu_seconds": round(sum(self._used.values()) - self._before, 2),
            "peak_mb": round(self._peak_mb),
            "ended": len(self.words),
            "last_words": self.words[-1] if self.words else "",
        }


@contextmanager
def _posted(
    role: str, attack: Attack, environment: dict[str, str], folder: Path, tree: Path
) -> Iterator[_MeasuredWorker]:
    module = "tests.faults.altered.raising" if attack.raising else _program(tree)
    http = f"127.0.0.1:{free_port()}"
    own = environment | {f"{PREFIX}HTTP": http}
    post = _MeasuredWorker(
        role, [sys.executable, "-m", module, "worker", role, "--with-parent"], own, tree, folder / f"{role}.log", http
    )
    post.start()
    try:
        yield post
    finally:
        post.stop()


class _Neighbours:
    """Devices that report five times a second; one after the other of each place catches fire."""

    def __init__(self, scale: Scale, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._scale, self._producer, self._consumer = scale, producer, consumer
        self._devices = {
            device: (place, turn)
            for place, partition in PLACES.items()
            for turn, device in enumerate(_devices_of(partition, scale.fires))
        }
        self._fire_at: float | None = None
        self._caught: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._all_seen = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to report, and to look for alarms."""
        self._running = [asyncio.ensure_future(self._report()), asyncio.ensure_future(self._look())]

    def catch_fire(self, began: float) -> None:
        """The first of them now, the others later."""
        self._fire_at = began

    async def _report(self) -> None:
        next_at = time.monotonic()
        while True:
            for device, (place, turn) in self._devices.items():
                now = time.monotonic()
                burns = self._fire_at is not None and now >= self._fire_at + turn * self._scale.fire_every_s
                if burns:
                    self._caught.setdefault(device, now)
                value = _JSON(report_of(device, now_ms(), arc_half_cycles=[ARCS if burns else 0]))
                await self._producer.send(TELEMETRY.name, value, device.encode(), partition=PLACES[place])
            next_at += EVERY_S
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def _look(self) -> None:
        async for record in self._consumer:
            device = (record.key or b"").decode(errors="replace")
            if device in self._devices:
                self._seen.setdefault(device, time.monotonic())
                if len(self._seen) == len(self._devices):
                    self._all_seen.set()

    async def until_seen(self, deadline: float) -> None:
        """Return once all fires have been seen, or at the deadline."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._all_seen.wait()

    async def stop(self) -> None:
        """Report and look no more."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def delays(self) -> Measured:
        """By place, from the first report of a fire to its alarm on the topic, and how many were not seen."""
        told: Measured = {}
        for place in PLACES:
            of = [device for device, (where, _) in self._devices.items() if where == place]
            ms = [round((self._seen[one] - self._caught[one]) * 1_000) for one in of if one in self._seen]
            told[place] = {
                "delay_ms_p50": round(statistics.median(ms)) if ms else None,
                "delay_ms_max": max(ms, default=None),
                "fires": len(of),
                "missed": len(of) - len(ms),
            }
        return told


def _devices_of(partition: int, count: int) -> list[str]:
    """Ids that Kafka's clients put into a partition."""
    number, found = 0, list[str]()
    while len(found) < count:
        device = f"NEIGHBOUR-{number}"
        if partition_of(device.encode(), PARTITIONS) == partition:
            found.append(device)
        number += 1
    return found


@asynccontextmanager
async def _neighbours(settings: Settings, scale: Scale) -> AsyncIterator[_Neighbours]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    consumer = AIOKafkaConsumer(ALARMS.name, bootstrap_servers=settings.kafka, fetch_max_wait_ms=20)
    async with producer, consumer:
        neighbours = _Neighbours(scale, producer, consumer)
        neighbours.start()
        try:
            yield neighbours
        finally:
            await neighbours.stop()


@contextmanager
def _reading(http: str, readers: int) -> Iterator[None]:
    """Readers of /metrics in a process of their own, each asking again as soon as it has been answered."""
    process = get_context("spawn").Process(target=_read, args=(f"http://{http}/metrics", readers), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(READERS_END_S)


def _read(url: str, readers: int) -> None:
    async def read(session: aiohttp.ClientSession) -> None:
        while True:
            try:
                async with session.get(url) as answer:
                    await answer.read()
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)

    async def all_of_them() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(read(session) for _ in range(readers)))

    asyncio.run(all_of_them())


def _told(case: Measured) -> str:
    told = [
        f"{place} partition p50 {one['delay_ms_p50']} ms, max {one['delay_ms_max']}, missed {one['missed']}"
        for place, one in case["neighbours"].items()
    ]
    told += [
        f"{role} {one['cpu_seconds']} s, {one['peak_mb']} MB, ended {one['ended']}"
        for role, one in case["workers"].items()
    ]
    told.append(f"{case['bytes_sent']} B in, {sum(case['bytes_written'].values())} B out")
    return f"{case['attack']}: {'; '.join(told)}; caught up after {case['caught_up_s']} s"


def good(result: Measured) -> bool:
    """Whether no fire was missed, no worker ended, and all were done in time."""
    return all(
        case["caught_up_s"] is not None
        and not any(one["missed"] for one in case["neighbours"].values())
        and not any(one["ended"] for one in case["workers"].values())
        for case in result["cases"]
    )
