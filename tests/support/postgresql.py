"""A real PostgreSQL for the block, of the server that is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from embedded.manners import free_port
from tests.support.processes import until

OWNER: Final = "postgres"
"""Whom the server runs as where the tests run as root, whom it refuses."""
USER: Final = "emberline"
PASSWORD: Final = "for-tests-only"
STARTED_S: Final = 60.0


def _binaries() -> Path | None:
    """Where initdb and postgres are: in the path, or where Debian has them."""
    found = [Path(one).parent for one in (shutil.which("initdb"),) if one]
    return next(iter([*found, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]), None)


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Its address, host:port. Without a server installed the test is skipped, and in CI fails."""
    binaries = _binaries()
    if binaries is None:
        reason = "PostgreSQL is not installed: no initdb in the path nor under /usr/lib/postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="emberline-postgresql-"))
    try:
        yield from _running(binaries, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _running(binaries: Path, folder: Path) -> Iterator[str]:
    data, secret, port = folder / "data", folder / "password", free_port()
    secret.write_text(PASSWORD, encoding="utf-8")
    if os.geteuid() == 0:
        owner = pwd.getpwnam(OWNER)
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    made = [
        "-D",
        data,
        "-U",
        USER,
        "--pwfile",
        secret,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale",
        "C.UTF-8",
        "-N",
    ]
    subprocess.run(_as_owner(binaries / "initdb", *made), check=True, capture_output=True, cwd=folder)
    told = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off"}
    settings = [part for name, value in told.items() for part in ("-c", f"{name}={value}")]
    command = _as_owner(binaries / "postgres", "-D", data, "-p", port, *settings)
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server:
        try:
            until(lambda: _answers(port), lambda: (folder / "log").read_text(encoding="utf-8"), STARTED_S)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def _as_owner(*command: object) -> Sequence[str]:
    words = list(map(str, command))
    return [
        *(("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups") if os.geteuid() == 0 else ()),
        *words,
    ]


def _answers(port: int) -> bool:
    try:
        connect(port).close()
    except psycopg.OperationalError:
        return False
    return True


def connect(port: int) -> psycopg.Connection:
    """A connection that commits each statement."""
    return psycopg.connect(
        host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres", autocommit=True
    )


def make_database(address: str, name: str) -> None:
    """A database of the test's own."""
    with connect(int(address.rpartition(":")[2])) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
