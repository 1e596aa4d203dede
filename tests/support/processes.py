"""Workers and commands as real processes, watched from outside as an operator would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from common.settings import PREFIX, Settings
from embedded.manners import free_port

REPOSITORY: Final = Path(__file__).parents[2]
READY_S: Final = 45.0
"""A worker is ready 5 s after its start, after a killed one 10 s; the rest is for a busy machine."""
_LOOK_S: Final = 0.02


def until(seen: Callable[[], bool], what: str | Callable[[], str], seconds: float = 30.0) -> None:
    """Look until it is seen; fail, saying what was not, at the deadline; `what` may be asked for then."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(_LOOK_S)


def environment_of(settings: Settings | Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: ours without its settings, and these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = settings.to_environment() if isinstance(settings, Settings) else settings
    return inherited | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "110"} | dict(given)


def command_line(*arguments: str) -> list[str]:
    """The command line `emberline`, by this interpreter."""
    return [sys.executable, "-m", "cli", *arguments]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one sentence with which a command refuses; fails if there is more, less, or a traceback."""
        assert self.status == 1, self
        assert len(self.err.splitlines()) == 1, self.err
        return last_words(self.err)


def last_words(said: str) -> str:
    """The sentence with which a worker ends, after nothing but lines of its log."""
    *logged, sentence = said.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:", line) for line in logged), said
    assert sentence.startswith("emberline: "), said
    return sentence


def run(
    *arguments: str, settings: Settings | Mapping[str, str], seconds: float = 60.0, cwd: Path = REPOSITORY
) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        command_line(*arguments),
        env=environment_of(settings),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def ask(address: str, path: str) -> tuple[int, str]:
    """Status and text of an answer over HTTP; status 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@dataclass(slots=True)
class Worker:
    """A worker process and where it says what."""

    settings: Settings
    log: Path
    process: subprocess.Popen[bytes]

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of its answer over HTTP; status 0 while nobody answers."""
        return ask(self.settings.http, path)

    def wait_ready(self) -> None:
        """Return once it says it is ready."""

        def seen() -> bool:
            assert self.process.poll() is None, f"it ended: {self.said}"
            return self.ask("/readyz")[0] == 200

        until(seen, f"a ready worker; it said {self.said}", READY_S)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 10.0) -> int:
        """SIGTERM; the exit status. Fails if it takes longer than it promises."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def until(self, seen: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        """Look until it is seen while the worker runs; fail with its last words if it ends or time is up."""

        def seen_while_it_runs() -> bool:
            if seen():
                return True
            assert self.process.poll() is None, f"it ended before {what}: {self.said}"
            return False

        try:
            until(seen_while_it_runs, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the worker said {self.said}") from None

    @property
    def said(self) -> str:
        """All it wrote."""
        return self.log.read_text(errors="replace")


@contextmanager
def working(role: str, settings: Settings, folder: Path, ready: bool = True) -> Iterator[Worker]:
    """A worker with an HTTP address of its own, killed when the block ends."""
    settings = replace(settings, http=f"127.0.0.1:{free_port()}")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{role}-{len(list(folder.iterdir()))}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_line("worker", role),
            env=environment_of(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    worker = Worker(settings, log, process)
    try:
        if ready:
            worker.wait_ready()
        yield worker
    finally:
        worker.kill()


def children_of(pid: int) -> list[int]:
    """The living descendants of a process, zombies left out (Linux)."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:  # it ended meanwhile
            continue
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    found, level = [], [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def alive(pids: list[int]) -> list[int]:
    """Those that still run; a zombie does not."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.append(pid)
    return found
