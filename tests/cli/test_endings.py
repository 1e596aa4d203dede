"""How commands end: by a signal at any moment, by a child of the stack that was killed, by a server that hangs."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Final

import pytest

from common.settings import Settings
from tests.cli.stacks import address, started, until_it_runs
from tests.support.processes import alive, children_of, environment_of, run

COMMANDS: Final = (
    ["alarms"],
    ["backfill", "--list"],
    ["demo"],
    ["kafka", "up"],
    ["migrate"],
    ["rejects", "list"],
    ["replay", __file__, "--device", "D", "--time", "t", "--map", "a=temperature_c"],
    ["run"],
    ["simulate"],
    ["topics"],
    ["worker", "detect"],
    ["worker", "sink"],
)
"""All commands but those that are over at once."""
HELD: Final = """
import os, time
os.write(1, b"importing\\n")
time.sleep(600)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_signal_while_a_command_is_imported_ends_it_without_a_traceback(
    tmp_path: Path, arguments: list[str], number: signal.Signals, status: int
) -> None:
    # A library that takes for ever to import stands before the real one in the path.
    (tmp_path / "aiokafka.py").write_text(HELD)
    environment = environment_of({})
    environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"
    with started(arguments, environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, b"emberline: stopped\n")


def stack_of(folder: Path) -> Settings:
    """A stack of its own, away from the ports and the data of any other."""
    return Settings(kafka=address(), clickhouse=address(), data_dir=str(folder / "data"), partitions=2)


def test_a_stack_obeys_sigterm_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(["run", "--broker", "embedded"], environment_of(stack_of(tmp_path))) as process:
        said = "\n".join(until_it_runs(process))
        assert "librdkafka take 23 s to join, kafka-python-ng fails" in said
        children = children_of(process.pid)
        assert len(children) >= 4
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err.strip()) == (143, b"", b"emberline: stopped"), err
    assert not alive(children)


def test_a_killed_child_of_the_stack_is_told_by_its_signal(tmp_path: Path) -> None:
    with started(["run", "--broker", "embedded"], environment_of(stack_of(tmp_path))) as process:
        until_it_runs(process)
        (worker,) = [
            pid
            for pid in children_of(process.pid)
            if b"\0worker\0detect\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(worker, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    log = tmp_path / "data" / "logs" / "detect.log"
    assert err.decode() == f"emberline: the detect worker was killed by SIGKILL (log: {log})\n"


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    held = []
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def take() -> None:
            while True:
                try:
                    held.append(listener.accept())
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(2)
            for connection, _ in held:
                connection.close()


def test_a_broker_that_never_answers_is_told_as_one_that_is_away() -> None:
    with silent_server() as kafka:
        # Without a limit of ours the client waits for 40 s, and for some requests for ever.
        ended = run("topics", settings=Settings(kafka=kafka), seconds=35)
    assert f"no Kafka answers at {kafka}" in ended.refusal


@pytest.mark.parametrize("arguments", [["migrate"], ["rejects", "list"]], ids=" ".join)
def test_a_clickhouse_that_never_answers_is_told_as_one_that_is_away(arguments: list[str]) -> None:
    with silent_server() as clickhouse:
        # An answer that a worker may wait for takes 30 s.
        ended = run(*arguments, settings=Settings(clickhouse=clickhouse, clickhouse_deadline_s=1), seconds=29)
    assert re.search(rf"ClickHouse at {clickhouse} does not answer.*\(tried for 1 s\)", ended.refusal)


@pytest.mark.parametrize(
    "arguments", [["migrate"], ["rejects", "list"], ["run", "--broker", "embedded"], ["demo"]], ids=" ".join
)
def test_a_database_that_cannot_be_is_refused_before_anything_starts(arguments: list[str], tmp_path: Path) -> None:
    settings = replace(stack_of(tmp_path), clickhouse_database="a-b")
    ended = run(*arguments, settings=settings)
    assert "EMBERLINE_CLICKHOUSE_DATABASE: ClickHouse database 'a-b': use letters" in ended.refusal
    assert not list(tmp_path.rglob("*.log"))
