"""`emberline run` and other long commands as processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from embedded.manners import free_ports
from tests.support.processes import command_line


def address() -> str:
    """An address whose port and the next are free, as Apache Kafka needs them."""
    first, _ = free_ports("127.0.0.1", 0, 2)
    return f"127.0.0.1:{first}"


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
