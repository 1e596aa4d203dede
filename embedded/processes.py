"""Start the embedded servers as child processes: for the demo, the `run` command and the tests.

    with running_clickhouse(data_dir, log=folder / "clickhouse.log") as clickhouse:
        client = clickhouse_driver.Client(clickhouse.host, clickhouse.port)

A child stops when its block ends, and also when this process dies, however it dies. It does not
get the terminal's Ctrl-C, so that this process decides the order in which things stop.
"""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from embedded.kafka import Cluster, open_cluster
from embedded.manners import CannotStartError, ending

_START_SECONDS = 60.0  # Importing chDB takes 2 s; a busy machine with a cold disk far more.
_STOP_SECONDS = 15.0  # A little more than a server gives its running inserts.
_LISTENING = re.compile(r"listening on (.+):(\d+),(?: HTTP on (\d+),)?")


class StartFailedError(Exception):
    """A server did not start; the text is one sentence with its own last words."""


@dataclass(frozen=True)
class Running:
    """A server that runs as a child and answers on host and port."""

    host: str
    port: int
    process: subprocess.Popen[bytes]
    http_port: int = 0
    """Of ClickHouse; the broker has none."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self.process.poll()

    @property
    def address(self) -> str:
        """host:port"""
        return f"{self.host}:{self.port}"


@contextmanager
def running_broker(
    log: Path,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Running]:
    """Run the embedded broker; port 0 picks a free one. Raises `StartFailedError`."""
    with _running("embedded.broker", ["--host", host, "--port", str(port)], {}, log) as running:
        yield running


@contextmanager
def running_clickhouse(
    data_dir: Path,
    log: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    http_port: int = 0,
    user: str = "default",
    password: str = "",
    reader_password: str = "",
) -> Iterator[Running]:
    """Run the embedded ClickHouse; port 0 picks a free one. Raises `StartFailedError`.

    Without a password anybody on this machine is let in: for tests. Without the reader's there is no reader.
    """
    arguments = ["--data-dir", str(data_dir), "--host", host, "--port", str(port), "--http-port", str(http_port)]
    arguments += [] if password else ["--no-password"]
    account = {
        "EMBERLINE_CLICKHOUSE_USER": user,
        "EMBERLINE_CLICKHOUSE_PASSWORD": password,
        "EMBERLINE_CLICKHOUSE_READER_PASSWORD": reader_password,
    }
    with _running("embedded.clickhouse", arguments, account, log) as running:
        yield running


@contextmanager
def running_kafka(
    data_dir: Path, log_dir: Path, brokers: int = 3, port: int = 0, anew: bool = False
) -> Iterator[Cluster]:
    """Run Apache Kafka, without the data of the last time if `anew`; its brokers can be killed, paused and started
    again. Raises `StartFailedError`."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(open_cluster(data_dir, log_dir, brokers, port=port, anew=anew))
        except CannotStartError as error:
            raise StartFailedError(str(error)) from error
        yield cluster


@contextmanager
def _running(module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Running]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as log_file:
        log_start = log_file.tell()
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments, "--stop-with-stdin"],
            env={**os.environ, **environment, "PYTHONPATH": _python_path()},
            stdin=subprocess.PIPE,  # its end tells the child that we are gone
            stdout=subprocess.PIPE,  # one line, once it listens
            stderr=log_file,
            start_new_session=True,
        )
    stdin, stdout = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)
    with child, stdin, stdout:
        try:
            host, port, http_port = _wait_until_listening(child, stdout, module, log, log_start)
            yield Running(host, port, child, http_port)
        finally:
            _stop(child)


def _python_path() -> str:
    """Return our own module path, so that the child imports what we would, in the same order."""
    return os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)


def _wait_until_listening(
    child: subprocess.Popen[bytes], stdout: IO[bytes], module: str, log: Path, log_start: int
) -> tuple[str, int, int]:
    line = _first_line(stdout, _START_SECONDS)
    if found := _LISTENING.search(line):
        return found[1], int(found[2]), int(found[3] or 0)
    if late := child.poll() is None:
        child.kill()
    how = f"said nothing for {_START_SECONDS:.0f} s" if late else ending(child.wait())
    raise StartFailedError(f"{module} did not start, it {how}: {_last_line(log, log_start)} (log: {log})")


def _first_line(stdout: IO[bytes], seconds: float) -> str:
    """Return what the child prints up to its first newline, its end, or the deadline."""
    deadline = time.monotonic() + seconds
    read = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        while b"\n" not in read:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                break
            part = os.read(stdout.fileno(), 4096)
            if not part:
                break
            read += part
    return read.decode("utf-8", "replace")


def _last_line(log: Path, log_start: int) -> str:
    text = log.read_bytes()[log_start:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing."


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
