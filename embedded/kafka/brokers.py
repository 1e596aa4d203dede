"""One broker as a process, and several as a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from embedded.manners import CannotStartError, ending

_START_SECONDS = 90.0  # Three take 17 s on two busy cores; one that was killed waits 9 s for its old session.
_STOP_SECONDS = 12.0  # Three take 6 s on two busy cores.
_ASK_SECONDS = 2.0
_RETRY_SECONDS = 0.1  # Kafka gives no sign of being ready, so it is asked this often.

_GUARD: Final = """
exec 3<&0
"$@" </dev/null >&2 3<&- &
broker=$!
echo "$broker"
exec >&2
{ while read -r _ <&3; do :; done; kill -KILL "$broker"; } 2>/dev/null &
watch=$!
exec 3<&-
wait "$broker"
status=$?
kill "$watch"
exit "$status"
"""


class Broker:
    """One broker of a cluster, to be stopped, killed, paused and started again on the same port and data.

    Every method blocks; from a coroutine, call it through `asyncio.to_thread`.
    """

    def __init__(self, node_id: int, host: str, port: int, command: Sequence[str], log: Path) -> None:
        self.node_id, self.host, self.port, self.log = node_id, host, port, log
        self._command = ["/bin/sh", "-c", _GUARD, "kafka-guard", *command]
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def address(self) -> str:
        """host:port"""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of Kafka itself, of its last run if it is not running."""
        return self._pid

    @property
    def running(self) -> bool:
        """Whether its process is there; a paused one is."""
        return self._guard is not None and self._guard.poll() is None

    def launch(self) -> None:
        """Start the process if it is not running, and do not wait for what it says."""
        if self.running:
            return
        with self.log.open("ab") as log_file:
            self._guard = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,  # its end tells the guard that we are gone
                stdout=subprocess.PIPE,  # one line, the process id of the broker
                stderr=log_file,
                start_new_session=True,  # the terminal's Ctrl-C is for us, who then end them in order
            )
        with cast(IO[bytes], self._guard.stdout) as stdout:
            self._pid = int(stdout.readline())

    def start(self, seconds: float = _START_SECONDS) -> None:
        """Start it, and wait until it is back in the cluster, for which enough others must run.

        Raises `CannotStartError`.
        """
        self.launch()
        self.wait_until_it_knows({self.node_id}, time.monotonic() + seconds)

    def wait_until_it_knows(self, node_ids: Collection[int], deadline: float) -> None:
        """Return once it lists these brokers; raise `CannotStartError` if it ends, or the deadline comes, before."""
        while not self._knows(node_ids):
            if not self.running:
                how = ending(self.wait())
                raise CannotStartError(f"Kafka broker {self.node_id} {how}: {complaint(self.log)} (log: {self.log})")
            if time.monotonic() > deadline:
                raise CannotStartError(
                    f"Kafka broker {self.node_id} on {self.address} did not join in time (log: {self.log})."
                )
            time.sleep(_RETRY_SECONDS)

    def _knows(self, node_ids: Collection[int]) -> bool:
        try:
            return set(node_ids) <= _listed_brokers(self.host, self.port)
        except (OSError, struct.error):
            return False

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, without waiting; one that is paused goes on, to hear it."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def stop(self, seconds: float = _STOP_SECONDS) -> bool:
        """SIGTERM, and wait until it is gone; if it takes longer than that, kill it and return False."""
        self.terminate()
        return self.end_by(time.monotonic() + seconds)

    def end_by(self, deadline: float) -> bool:
        """Wait until it is gone; at the deadline, kill it and return False."""
        try:
            self.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it is gone, and return its exit status, 128 and the number if by a signal."""
        if self._guard is None:
            return 0
        status = self._guard.wait(seconds)
        cast(IO[bytes], self._guard.stdin).close()
        return status

    def _signal(self, number: signal.Signals) -> None:
        # While the guard is there the process id is that of our broker and no other's: the guard reaps it.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)


@dataclass(frozen=True)
class Cluster:
    """Brokers that know each other."""

    brokers: list[Broker]
    version: str

    @property
    def bootstrap(self) -> str:
        """host:port,host:port,..."""
        return ",".join(broker.address for broker in self.brokers)

    def start(self, seconds: float = _START_SECONDS) -> None:
        """Start those that are not running, and wait until each answers with all. Raises `CannotStartError`."""
        deadline = time.monotonic() + seconds
        for broker in self.brokers:
            broker.launch()
        node_ids = [broker.node_id for broker in self.brokers]
        for broker in self.brokers:
            broker.wait_until_it_knows(node_ids, deadline)

    def stop(self, seconds: float = _STOP_SECONDS) -> list[Broker]:
        """Stop all at once; return those that had to be killed, which costs their next start a look at their logs."""
        running = sum(broker.running for broker in self.brokers)
        # Without a majority there is no controller to let go those that are left, and waiting for it is in vain.
        deadline = time.monotonic() + (seconds if 2 * running > len(self.brokers) else 0.0)
        for broker in self.brokers:
            broker.terminate()
        return [broker for broker in self.brokers if not broker.end_by(deadline)]


def _listed_brokers(host: str, port: int) -> set[int]:
    """Ask the broker on this port which brokers there are.

    By hand, since a client would log each refusal while the broker comes up, and wants an event loop.
    """
    # Metadata, version 4: correlation id, client id; no topics, and none to be created.
    request = struct.pack(">hhih9sib", 3, 4, 1, 9, b"emberline", 0, 0)
    with socket.create_connection((host, port), _ASK_SECONDS) as connection, connection.makefile("rb") as answers:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = answers.read(struct.unpack(">i", answers.read(4))[0])
    count, at = struct.unpack_from(">i", answer, 8)[0], 12  # after correlation id and throttle time
    listed = set()
    for _ in range(count):
        node_id, length = struct.unpack_from(">ih", answer, at)
        at += 6 + length + 4  # the host, and the port
        at += 2 + max(0, struct.unpack_from(">h", answer, at)[0])  # the rack, -1 if there is none
        listed.add(int(node_id))
    return listed


def complaint(log: Path) -> str:
    """Return what a log says last about an error, else its last line."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if " ERROR " in line or " FATAL " in line or line.startswith("Exception")]
    return (errors or lines or ["it said nothing."])[-1].strip()
