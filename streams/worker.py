"""One worker process: a Faust app around one job, its health, and its way down.

A job (`streams.detect`, `streams.sink`) says which topics it works on and what to do with a chunk. Everything the two
kinds of worker share is here: the app, the agents, crash and exit, readiness, the HTTP side.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol
from uuid import UUID

import faust
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from common.errors import OperatorError
from common.health import Condition, HttpServer
from common.metrics import Metrics
from common.settings import Settings
from streams.credentials import faust_credentials
from streams.garbage import collect_by_the_clock, collect_seldom
from streams.pulse import Pulse
from streams.transport import Chunk, Holder
from streams.watching.kafka import KafkaWatch
from streams.watching.stall import Stall

log = logging.getLogger("emberline")

CHUNKS_BUFFERED: Final = 4
"""Chunks in front of an agent, which hands them on at once; what waits for work, waits at the job."""
COMMIT_INTERVAL_S: Final = 1.0
WATCH_INTERVAL_S: Final = 1.0
BEAT_INTERVAL_S: Final = 0.25
"""How old a readiness may be that is told over HTTP."""
METADATA_MS: Final = 5_000
"""How old what the consumer knows of partitions may be: new ones are fetched from soon after they are there."""
STOP_DEADLINE_S: Final = 6.0
"""A job told to stop finishes what it can within this time; what is unfinished then is worked on by its successor."""
LEAVE_DEADLINE_S: Final = 9.0
"""From being told to stop, or from a crash, to the end of the process, whatever hangs: clients wait for brokers that
are away for as long as they are."""


class Job(Holder, Protocol):
    """What a worker does. All calls come from one event loop; an exception from any of them ends the worker."""

    topics: Sequence[str]
    relies_on: Sequence[str]
    """Topics it does not work on, but whose being made anew would make it wrong."""
    finishes_every_s: float
    """About how often something is finished, a checkpoint or an insert, while there is work."""
    niceness: int
    """Where a machine has more work than time, the kernel serves those first that have less of it."""

    async def start(self, app: WorkerApp) -> None:
        """Make ready; called before the first chunk."""

    remark: str | None
    """What an operator is to know though the worker works."""

    def handle(self, chunk: Chunk) -> None:
        """Take a chunk on. Whoever finishes it later calls `chunk.finish()`."""

    async def stop(self) -> None:
        """Finish what was taken on, as far as that is possible now. No chunk comes any more."""


class WorkerApp(faust.App):
    """The Faust app of a worker."""

    def __init__(self, settings: Settings, role: str, job: Job) -> None:
        self.holder = job
        self.emberline = settings
        self.metrics = Metrics()
        self._finishing, self._committing = Stall(), Stall()
        self._pulse = Pulse()
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(
            f"{settings.group}-{role}",
            broker=";".join(f"chunked://{broker}" for broker in settings.kafka.split(",")),
            broker_credentials=faust_credentials(settings),
            autodiscover=False,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            stream_buffer_maxsize=CHUNKS_BUFFERED,
            broker_commit_interval=COMMIT_INTERVAL_S,
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.session_timeout_s / 5,
            broker_rebalance_timeout=settings.rebalance_timeout_s,
            broker_request_timeout=max(40.0, settings.session_timeout_s),
            consumer_auto_offset_reset="earliest",
            consumer_metadata_max_age_ms=METADATA_MS,
            consumer_group_instance_id=settings.group_instance or None,
        )
        self.kafka = KafkaWatch(settings, self.conf.id, job.topics, job.relies_on, self.metrics, self.assignment)
        for name in job.topics:
            self.agent(self.topic(name, schema=_ChunkSchema()), name=name)(self._agent())

    def _agent(self) -> Any:
        async def work(stream: Any) -> None:
            async for chunk in stream:
                await self._handle(chunk)

        return work

    async def _handle(self, chunk: Chunk) -> None:
        if self.crashed:
            # What comes after a chunk that failed must not be worked on without it.
            return
        if not self.holds(chunk):
            return
        try:
            chunk.ledger.take(chunk.range)
            self.holder.handle(chunk)
        except Exception as error:
            # Raising here would make Faust restart the agent and go on past this chunk.
            await self.crash(error)

    async def crash(self, reason: BaseException) -> None:
        """End the worker. The first reason is the one that is told: what fails after it mostly follows from it."""
        if not self.crashed:
            await super().crash(reason)

    def _create_directories(self) -> None:
        """Faust would make folders for table data in the working directory; there are no tables."""

    def holds(self, chunk: Chunk) -> bool:
        """Whether the chunk is of the assignment that holds now. One of an earlier assignment is fetched again.

        Faust can hand such a chunk over after a rebalance, ahead of what is fetched anew from before it.
        """
        return self.consumer.ledgers.get(chunk.tp) is chunk.ledger

    async def on_start(self) -> None:
        """Start the job before anything is fetched."""
        await super().on_start()
        self._pulse.start()
        await self.kafka.start()
        await self.holder.start(self)
        self.spawn(self._watch_group())

    async def on_stop(self) -> None:
        """Stop fetching, let the job finish; the consumer commits what is finished when it stops after this."""
        await super().on_stop()
        try:
            await asyncio.wait_for(self.holder.stop(), STOP_DEADLINE_S)
        except TimeoutError:
            log.warning(
                "left work unfinished after %.0f s; the next worker goes on from the last commit", STOP_DEADLINE_S
            )
        except Exception as error:
            log.warning("left work unfinished: %s", error)
        self._pulse.stop()
        # Only now: a checkpoint or an insert cut short would be left unfinished.
        for task in self._tasks:
            task.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the agents; if it fails, the worker ends."""
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            await self.crash(error)

    def check_not_paused(self) -> None:
        """Raise OperatorError if this process stood still for longer than its session: others have its partitions.

        A job asks right before it writes. The group tells us too, but only some time after we wake.
        """
        paused_s = self._pulse.stood_still_s
        if paused_s > self.emberline.session_timeout_s:
            raise OperatorError(f"paused for {paused_s:.0f} s, longer than the session: my partitions are others' now")

    @property
    def topic_ids(self) -> Mapping[str, UUID]:
        """Which incarnation of each topic this worker works on."""
        return self.kafka.topic_ids

    def progressed(self, *tps: TP) -> None:
        """Something of these partitions was finished: a checkpoint, an insert. Where none is named, it was a thing that
        all of them may have waited for."""
        self._finishing.finished(*tps)

    def committed(self, *tps: TP) -> None:
        """Offsets of these partitions were committed."""
        self._committing.finished(*tps)

    def lag(self) -> dict[TP, int]:
        """Records not yet finished, per partition that has been fetched from."""
        return {tp: self.consumer.unfinished(tp) for tp in self.consumer.ledgers}

    def why_not_ready(self) -> str | None:
        """Why this worker should get no trust just now, or None."""
        if self.crashed or self.should_stop:
            return "the worker is ending"
        if (why := self.kafka.why_not_ready) is not None:
            return why
        if self.rebalancing or not self.assignment():
            return "no partitions are assigned yet"
        return self._stalled(self._patience_s / 2)

    def condition(self) -> Condition:
        """What this worker says of itself just now."""
        if (why := self.why_not_ready()) is not None:
            return Condition(time.monotonic(), why)
        remarks = [one for one in (self.holder.remark, self.kafka.remark) if one is not None]
        return Condition(time.monotonic(), None, "; ".join(remarks) or None)

    def assignment(self) -> set[TP]:
        """The partitions that are this worker's now."""
        try:
            return set(self.consumer.assignment())
        except ConsumerNotStarted:
            return set()

    @property
    def _patience_s(self) -> float:
        return self.emberline.stall_s + self.holder.finishes_every_s

    def _stalled(self, seconds: float) -> str | None:
        """That a partition had something to finish, or to commit, for so long, and nothing was.

        Taking a chunk on is no progress, nor is a piece of it. A large one that is worked on for long is no stall
        either: checkpoints go on meanwhile and reflect its pieces.
        """
        if (idle_s := self._finishing.idle_s) > seconds:
            return f"{sum(self.lag().values())} records wait and of a partition none was finished for {idle_s:.0f} s"
        if (idle_s := self._committing.idle_s) > seconds:
            return f"what is finished could not be committed for {idle_s:.0f} s"
        return None

    async def watch(self) -> None:
        """Note lag, and end the worker when a partition has lag and no progress for too long."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            self.check_not_paused()
            lag = self.lag()
            for tp, records in lag.items():
                self.metrics.set("emberline_lag_records", records, topic=tp.topic, partition=str(tp.partition))
            self._finishing.look([tp for tp, records in lag.items() if records])
            self._committing.look(self.consumer.uncommitted())
            self.metrics.set("emberline_idle_seconds", self._finishing.idle_s)
            if (why := self._stalled(self._patience_s)) is not None:
                raise OperatorError(f"{why}; restart me")

    async def _watch_group(self) -> None:
        """End the worker when it is kept out of its group. From the start on: Faust has started once it is in it."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            with suppress(ConsumerNotStarted):
                self.consumer.check_group()


class _ChunkSchema(faust.Schema):
    """A chunk is its own value; there is nothing to decode."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> None:
        return None

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        return message.value


async def run_worker(app: WorkerApp) -> None:
    """Run until SIGTERM or SIGINT, then leave in good order. Raises what crashed the worker."""
    collect_seldom()
    # Faust's consumer thread may fail once more while it is being ended; what counts is raised here.
    threading.excepthook = lambda failed: log.debug("thread %s: %r", failed.thread, failed.exc_value)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = HttpServer(app.emberline.http, app.metrics.registry, app.condition())
    server.start()
    beating = asyncio.ensure_future(_beat(app, server))
    try:
        starting = asyncio.ensure_future(app.start())
        await _first_of(starting, stop)
        if not stop.is_set():
            app.spawn(collect_by_the_clock())
            app.spawn(app.watch())
            app.spawn(app.kafka.run())
            log.info("working on %s as %s", ", ".join(app.holder.topics), app.conf.id)
            await app.wait(stop.wait())
        # What fails from here on follows from leaving.
        reason = app.crash_reason
        _leave_in_time(reason)
        await app.stop()
        if reason is not None:
            raise reason
    finally:
        beating.cancel()
        server.stop()


async def _beat(app: WorkerApp, server: HttpServer) -> None:
    """Tell over HTTP how it goes; who hears nothing for long knows that the loop stands still."""
    while True:
        server.condition = app.condition()
        await asyncio.sleep(BEAT_INTERVAL_S)


def _leave_in_time(reason: BaseException | None) -> None:
    """From now on the process has so long to end in order; then it ends all the same."""

    def end() -> None:
        late = "left without order: Kafka or ClickHouse does not answer; the next worker goes on from the last commit"
        print(f"emberline: {reason or late}", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(LEAVE_DEADLINE_S, end)
    timer.daemon = True
    timer.start()


async def _first_of(starting: asyncio.Future[Any], stop: asyncio.Event) -> None:
    """Wait until the app has started, or has failed to, or is told to stop."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
