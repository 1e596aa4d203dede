"""Workers as a deployment keeps them: when a process ends, however it ends, the next one is started in its place."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from common.settings import Settings
from embedded.manners import free_port
from tests.support.processes import READY_S, Worker, command_line, environment_of, until

RESTART_S: Final = 0.2
"""A supervisor waits a little, so that a worker that cannot start does not take the whole machine."""
STOP_S: Final = 20.0
"""A worker promises 10 s; the rest is for a busy machine."""

CommandLine = Callable[[str], Sequence[str]]


def product(role: str) -> Sequence[str]:
    """The worker that ships."""
    return command_line("worker", role)


class Exit(NamedTuple):
    """One process that ended: when, which, how, and its last line."""

    at: float
    name: str
    pid: int
    status: int
    last_line: str


class Post:
    """The place of one worker. Its processes come one after the other, all with the same settings and one log."""

    def __init__(self, name: str, role: str, settings: Settings, folder: Path, command: CommandLine = product) -> None:
        self.name = name
        self.role = role
        self.exits: list[Exit] = []
        self._settings = replace(settings, http=f"127.0.0.1:{free_port()}")
        self._log = folder / f"{name}.log"
        self._log.touch()
        self._command = command(role)
        self._leaving = threading.Event()
        self._started = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The newest process, which may have ended."""
        with self._started:
            self._started.wait_for(lambda: self._process is not None)
        assert self._process is not None
        return self._process

    @property
    def worker(self) -> Worker:
        """The newest process as one worker, to be asked."""
        return Worker(self._settings, self._log, self.process)

    @property
    def said(self) -> str:
        """All that its processes wrote."""
        return self._log.read_text(errors="replace")

    def wait_ready(self) -> None:
        """Return once its newest process, whichever that is by then, says it is ready."""

        def why_not() -> str:
            return f"{self.name} ready; it is {self.worker.ask('/readyz')[1]!r}, and said {self.said[-2_000:]}"

        until(lambda: self.worker.ask("/readyz")[0] == 200, why_not, READY_S)

    def kill(self) -> None:
        """SIGKILL to the newest process."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def next_after(self, pid: int, seconds: float = 30.0) -> None:
        """Wait until another process than this one is here."""
        with self._started:
            came = self._started.wait_for(lambda: self._process is not None and self._process.pid != pid, seconds)
        assert came, f"{self.name}: no process after {pid} within {seconds:g} s; it said {self.said[-2_000:]}"

    def stays(self, seconds: float) -> None:
        """Fails if the newest process ends within that time."""
        pid = self.process.pid
        with self._started:
            ended = self._started.wait_for(lambda: self._process is None or self._process.pid != pid, seconds)
        assert not ended, f"{self.name} ended; it said {self.said[-2_000:]}"

    def restart(self) -> int:
        """SIGTERM, and return its status once the next process is here."""
        pid = self.process.pid
        self._signal(signal.SIGTERM)
        self.next_after(pid)
        return next(one.status for one in reversed(self.exits) if one.pid == pid)

    def leave(self, seconds: float = STOP_S) -> int:
        """SIGTERM, no next one; the exit status, that of SIGKILL if it took too long."""
        self._leaving.set()
        self._signal(signal.SIGTERM)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self.kill()
            self._thread.join()
        return self.exits[-1].status

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def _keep(self) -> None:
        while not self._leaving.is_set():
            process = self._launch()
            status = process.wait()
            last_line = (self.said.splitlines() or [""])[-1]
            self.exits.append(Exit(time.monotonic(), self.name, process.pid, status, last_line))
            self._leaving.wait(RESTART_S)

    def _launch(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output, self._started:
            self._process = subprocess.Popen(
                self._command,
                env=environment_of(self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            self._started.notify_all()
            return self._process


class Crew:
    """Detect and sink workers, by role and number."""

    def __init__(self, settings: Settings, folder: Path, command: CommandLine = product) -> None:
        self.settings = settings
        self._folder = folder
        self.command = command
        self._left: list[Exit] = []
        self.detect: list[Post] = []
        self.sink: list[Post] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def posts(self) -> list[Post]:
        """All that are in service."""
        return [*self.detect, *self.sink]

    @property
    def exits(self) -> list[Exit]:
        """Every process that ended, oldest first."""
        return sorted([*self._left, *(one for post in self.posts for one in post.exits)])

    @property
    def gave_up(self) -> list[Exit]:
        """Processes that ended by themselves and not in order."""
        return [one for one in self.exits if one.status not in (0, -signal.SIGKILL)]

    def scale(self, detect: int, sink: int, static: bool = False) -> None:
        """Have so many of each; those that are too many leave in order."""
        self._scale(self.detect, "detect", detect, static)
        self._scale(self.sink, "sink", sink, static)

    def roll_out(self, posts: list[Post], command: CommandLine = product) -> None:
        """Have one after the other leave, and one of that program come in its place, which is waited for."""
        self.command = command
        for number in range(len(posts)):
            self.renew(posts, number)
            posts[number].wait_ready()

    def wait_ready(self) -> None:
        """Return once each says it is ready."""
        for post in self.posts:
            post.wait_ready()

    def any(self, rng: random.Random) -> Post:
        """One of all."""
        return rng.choice(self.posts)

    def dismiss(self) -> None:
        """End all, at once and in any state."""
        for post in self.posts:
            post._leaving.set()
            post.kill()
        for post in self.posts:
            post.leave()

    def _scale(self, posts: list[Post], role: str, wanted: int, static: bool) -> None:
        while len(posts) > wanted:
            post = posts.pop()
            post.leave()
            self._left += post.exits
        for number in range(len(posts), wanted):
            name = f"{role}-{number}"
            settings = replace(self.settings, group_instance=name) if static else self.settings
            posts.append(Post(name, role, settings, self._folder, self.command))

    def renew(self, posts: list[Post], number: int) -> None:
        """Have one leave in order, and another come in its place with the settings and the program of now."""
        before = posts[number]
        before.leave()
        self._left += before.exits
        posts[number] = Post(before.name, before.role, self.settings, self._folder, self.command)
