"""How the servers of this package behave as processes: clear refusals, signals, a parent that dies.

A child that is started with `--stop-with-stdin` has the read end of a pipe as its standard input.
The kernel closes the other end however the parent ends, SIGKILL included, so end-of-file means "the
parent is gone". Unlike PR_SET_PDEATHSIG this works on every Unix, and is not tied to the thread of
the parent that happened to start the child.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable

_STDIN = 0


class CannotStartError(Exception):
    """A server cannot start; the text is one sentence that says what to do."""


def listen(host: str, port: int, backlog: int = 128) -> socket.socket:
    """Return a socket listening on host and port, or raise `CannotStartError`."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise CannotStartError(f"Cannot listen on {host}:{port}: {error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        raise CannotStartError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Stop what uses it, or choose another port."
        ) from error
    return listener


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, and that no outgoing connection will take."""
    return free_ports(host, 0, 1)[0]


def free_ports(host: str, port: int, count: int) -> list[int]:
    """Return as many consecutive ports, from that one on or, where it is 0, from anywhere, all of them free."""
    if port + count > 65_536:
        raise CannotStartError(f"{count} ports are needed from {port} on, and there are none after 65535.")
    if port:
        ports = list(range(port, port + count))
        for candidate in ports:
            listen(host, candidate).close()
        return ports
    while True:
        # Below the ports that the kernel gives to outgoing connections: one of those could take the port of a server
        # that is not up yet or is down, even one that tries to reach this very server (TCP lets it connect to itself).
        start = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(CannotStartError):
            return free_ports(host, start, count)


def ending(status: int) -> str:
    """How a process ended, by its status as `subprocess` (-9) or a shell (137) tells it: "was killed by SIGKILL"."""
    try:
        return f"was killed by {signal.Signals(-status if status < 0 else status - 128).name}"
    except ValueError:
        return f"ended with status {status}"


def port_number(text: str) -> int:
    """Parse a TCP port for argparse."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is not a port")
    return port


def when_stdin_closes(stop: Callable[[], object]) -> None:
    """Call `stop`, from another thread, once standard input reaches its end."""

    def watch() -> None:
        while os.read(_STDIN, 4096):
            pass
        stop()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def refuse(error: CannotStartError) -> int:
    """Say why the server did not start, and return the exit status for it."""
    print(error, file=sys.stderr, flush=True)
    return 1
