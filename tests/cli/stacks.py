"""`emberline run` and other long commands as processes."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from embedded.manners import CannotStartError, listen
from tests.support.processes import command_line


def address() -> str:
    """An address whose port and the next are free, as Apache Kafka needs them.

    Below the ports that the kernel gives to outgoing connections: one of those could take a port between two uses.
    """
    while True:
        port = 10_000 + 2 * secrets.randbelow(10_000)
        try:
            for one in (port, port + 1):
                listen("127.0.0.1", one).close()
        except CannotStartError:
            continue
        return f"127.0.0.1:{port}"


@contextmanager
def started(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command as a process, told to end at the end of the block if it is still there."""
    with subprocess.Popen(
        command_line(*arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


def until_it_runs(process: subprocess.Popen[bytes]) -> list[str]:
    """What `emberline run` says up to the line by which it runs."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.decode().rstrip("\n"))
        if said[-1].startswith("running;"):
            return said
    raise AssertionError((said, process.stderr and process.stderr.read()))
