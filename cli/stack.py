"""All of emberline on one machine: broker, ClickHouse, topics, tables, a worker of each kind, the registry."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket
from typing import Final

import aiohttp

from cli.output import Say
from cli.passwords import kept_control_keys, kept_password
from common.errors import OperatorError
from common.settings import Settings, host_port
from embedded.clickhouse.users import READER
from embedded.kafka import Cluster
from embedded.manners import ending, free_port
from embedded.processes import StartFailedError, running_broker, running_clickhouse, running_kafka
from services.registry.database import engine_of, migrate, url_of
from streams.storage import config_of, run_migrations
from streams.topics import make_topics

READY_DEADLINE_S: Final = 60.0
HTTP_PORT: Final = 8123
"""ClickHouse's own; where something else has it, any."""
ANSWER_S: Final = 5.0
REGISTRY_ROLE: Final = "registry"
_SQLITE_FILES: Final = ("", "-wal", "-shm")
STOP_DEADLINE_S: Final = 20.0
"""A worker leaves within 10 s (streams.worker); as much again for a busy machine."""


@dataclass(slots=True)
class StackWorker:
    """A worker process of the stack, or the publisher of the registry."""

    role: str
    process: subprocess.Popen[bytes]
    http: str
    log: Path

    @property
    def name(self) -> str:
        """As people are told of it."""
        return "registry publisher" if self.role == REGISTRY_ROLE else f"{self.role} worker"

    def check(self) -> None:
        """Raise OperatorError, with the worker's last words, if it has ended."""
        _check(f"the {self.name}", self.process.poll(), self.log)


@dataclass(slots=True)
class StackServer:
    """A server of the stack."""

    name: str
    status: Callable[[], int | None]
    log: Path
    pids: tuple[int, ...]

    def check(self) -> None:
        """Raise OperatorError if the server has ended."""
        _check(self.name, self.status(), self.log)


def _check(name: str, status: int | None, log: Path) -> None:
    """Raise OperatorError if this is the status of something that has ended."""
    if status is not None:
        how = ending(status)
        words = "" if "killed" in how else f": {last_line(log)}"
        raise OperatorError(f"{name} {how}{words} (log: {log})")


@dataclass(slots=True)
class Stack:
    """What runs, and where."""

    settings: Settings
    servers: list[StackServer]
    workers: list[StackWorker]

    def check(self) -> None:
        """Raise OperatorError if a server or a worker has ended."""
        for server in self.servers:
            server.check()
        for worker in self.workers:
            worker.check()


@asynccontextmanager
async def running_stack(
    settings: Settings,
    say: Say,
    any_port: bool = False,
    kafka: int = 0,
    fill_registry: Callable[[Settings], None] | None = None,
) -> AsyncIterator[Stack]:
    """Start everything, and stop it in the reverse order when the block ends.

    With `any_port` the servers listen on free ports instead of those of the settings, and the registry is one of its
    own: what another has to publish is not for these topics. `kafka` is how many brokers of Apache Kafka to run, 0 for
    the embedded broker. With `fill_registry` the registry and the brokers' data are made anew, and the registry
    is filled by it while the workers start.
    """
    config_of(settings)  # what cannot work is told before anything starts
    logs = Path(settings.data_dir) / "logs"
    settings = settings.without_security()
    if any_port:
        settings = replace(settings, registry="")
    async with AsyncExitStack() as stack:
        try:
            settings, servers = _with_kafka(stack, settings, logs, say, any_port, kafka, fill_registry is not None)
            settings, clickhouse = _with_clickhouse(stack, settings, logs, say, any_port)
            settings = _with_control_keys(settings)
        except (StartFailedError, OSError) as error:
            raise refused(error, any_port) from error
        await make_topics(settings)
        await asyncio.to_thread(run_migrations, settings)
        await asyncio.to_thread(_prepare_registry, settings, fill_registry is not None)
        workers = [
            stack.enter_context(running_worker(role, settings, logs / f"{role}.log"))
            for role in ("detect", "sink", REGISTRY_ROLE)
        ]
        if fill_registry is not None:
            await asyncio.to_thread(fill_registry, settings)
        for worker in workers:
            await wait_until_ready(worker)
            say(f"{worker.name + '  ':<20}{worker.http}  (/metrics /healthz /readyz)")
        yield Stack(settings, [*servers, clickhouse], workers)


def _with_kafka(
    stack: AsyncExitStack, settings: Settings, logs: Path, say: Say, any_port: bool, brokers: int, anew: bool
) -> tuple[Settings, list[StackServer]]:
    host, port = host_port(settings.kafka.split(",")[0])
    if any_port:
        port = 0
    if brokers:
        folder = Path(settings.data_dir) / "kafka"
        say(f"starting {brokers} of Apache Kafka's brokers, data in {folder}")
        cluster = stack.enter_context(running_kafka(folder, logs, brokers=brokers, port=port, anew=anew))
        say(f"Kafka             {cluster.bootstrap}")
        return replace(settings, kafka=cluster.bootstrap, replication=brokers), [cluster_server(cluster, logs)]
    broker = stack.enter_context(running_broker(logs / "broker.log", host, port))
    say(f"Kafka             {broker.address}  (embedded, in memory)")
    # The embedded broker has neither idempotent producers nor transactions.
    server = StackServer("the broker", lambda: broker.status, logs / "broker.log", (broker.pid,))
    return replace(settings, kafka=broker.address, fencing=False), [server]


def cluster_server(cluster: Cluster, logs: Path) -> StackServer:
    """A cluster as one server: one broker of three may go, but one that has none left has ended."""

    def status() -> int | None:
        return None if any(one.running for one in cluster.brokers) else cluster.brokers[0].wait()

    return StackServer("Kafka", status, logs / "broker-1.log", tuple(broker.pid for broker in cluster.brokers))


def refused(error: Exception, any_port: bool = False) -> OperatorError:
    """Why a server did not start, and by which settings another port or folder is chosen."""
    text = str(error)
    if "another" in text:
        ports = "" if any_port else "EMBERLINE_KAFKA and EMBERLINE_CLICKHOUSE name the ports, "
        text = f"{text} {ports}EMBERLINE_DATA_DIR names the data directory."
    return OperatorError(text)


def _with_clickhouse(
    stack: AsyncExitStack, settings: Settings, logs: Path, say: Say, any_port: bool
) -> tuple[Settings, StackServer]:
    folder = Path(settings.data_dir) / "clickhouse"
    host, port = host_port(settings.clickhouse)
    readers = settings.clickhouse_password_path.with_name("clickhouse-reader-password")
    password = settings.clickhouse_password or kept_password(settings.clickhouse_password_path)
    server = running_clickhouse(
        folder,
        logs / "clickhouse.log",
        host,
        0 if any_port else port,
        http_port=0 if any_port or not is_free(HTTP_PORT) else HTTP_PORT,
        user=settings.clickhouse_user,
        password=password,
        reader_password=kept_password(readers),
    )
    clickhouse = stack.enter_context(server)
    say(f"ClickHouse        {clickhouse.address}  (embedded, data in {folder})")
    say(f"  for people      http://{host}:{clickhouse.http_port}  user {READER} may only read; password in {readers}")
    ended = StackServer("ClickHouse", lambda: clickhouse.status, logs / "clickhouse.log", (clickhouse.pid,))
    return replace(settings, clickhouse=clickhouse.address, clickhouse_password=password), ended


def _with_control_keys(settings: Settings) -> Settings:
    """Absolute: a worker may run elsewhere."""
    file = settings.control_keys_file or kept_control_keys(Path(settings.data_dir) / "control-keys")
    return replace(settings, control_keys_file=str(Path(file).absolute()))


def _prepare_registry(settings: Settings, anew: bool) -> None:
    """Bring the registry's database up to this release, one without anything in it if it is to be made `anew`."""
    for suffix in _SQLITE_FILES if anew else ():
        path = Path(f"{settings.registry_path}{suffix}")
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OperatorError(f"cannot remove {path}: {error.strerror}; set EMBERLINE_DATA_DIR") from error
    engine = engine_of(url_of(settings))
    try:
        migrate(engine)
    finally:
        engine.dispose()


@contextmanager
def running_worker(role: str, settings: Settings, log: Path) -> Iterator[StackWorker]:
    """A worker, or the registry's publisher, as a child, until the block ends or this process does."""
    command = ("registry", "publish") if role == REGISTRY_ROLE else ("worker", role)
    http = f"127.0.0.1:{free_port()}"
    environment = os.environ | replace(settings, http=http).to_environment()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *command, "--with-parent"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # the terminal's Ctrl-C is ours to pass on, in order
        )
    try:
        yield StackWorker(role, process, http, log)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def wait_until_ready(worker: StackWorker) -> None:
    """Return once it says it is ready. Raises OperatorError if it ends, or takes too long."""
    deadline = time.monotonic() + READY_DEADLINE_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(ANSWER_S)) as session:
        while time.monotonic() < deadline:
            worker.check()
            if await _answers(session, f"http://{worker.http}/readyz"):
                return
            await asyncio.sleep(0.1)
    raise OperatorError(f"the {worker.name} was not ready within {READY_DEADLINE_S:.0f} s; see {worker.log}")


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket() as found:
        return found.connect_ex(("127.0.0.1", port)) != 0


def last_line(log: Path) -> str:
    """The last thing a process wrote."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip().removeprefix("emberline: ") if lines else "it said nothing"
