"""`python -m embedded.clickhouse`: run the embedded ClickHouse in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from embedded.clickhouse.confine import confine
from embedded.clickhouse.folder import take_folder
from embedded.clickhouse.users import READER, User, Users
from embedded.manners import CannotStartError, listen, port_number, refuse, when_stdin_closes

NICENESS = 10
USER_VARIABLE, PASSWORD_VARIABLE = "EMBERLINE_CLICKHOUSE_USER", "EMBERLINE_CLICKHOUSE_PASSWORD"
READER_PASSWORD_VARIABLE = "EMBERLINE_CLICKHOUSE_READER_PASSWORD"  # noqa: S105


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return _run(options)
    except CannotStartError as error:
        return refuse(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.clickhouse",
        description="A ClickHouse server for one machine: chDB behind the ClickHouse native "
        "protocol. For demos and tests; production runs a ClickHouse server.",
        epilog=f"The user and password of the program that stores are read from {USER_VARIABLE} (default: default) "
        f"and {PASSWORD_VARIABLE}; the password of {READER!r}, who may only read, from {READER_PASSWORD_VARIABLE} "
        "(without it there is no such user).",
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="where the data is kept")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=port_number, default=9000, help="port to listen on, 0 picks (%(default)s)")
    parser.add_argument("--http-port", type=port_number, default=8123, help="HTTP port, 0 picks (%(default)s)")
    parser.add_argument("--no-password", action="store_true", help="let anybody on this machine in; for tests")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    return parser


def _run(options: argparse.Namespace) -> int:
    users = _users(options.no_password)
    # It shares its machine with those that raise alarms, and what stores yields to them.
    os.nice(NICENESS)
    native = listen(options.host, options.port)
    http = listen(options.host, options.http_port)
    host, port = native.getsockname()[:2]
    lock = take_folder(options.data_dir)
    # Before chDB is there: what restricts a thread holds for those that it starts from then on.
    temporary = options.data_dir.resolve() / "emberline-tmp"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(temporary)
    if not confine(options.data_dir):
        logging.warning("this kernel cannot confine the server to its data; chDB's own rights must do")
    # Imported late: chDB takes seconds, and a port that is taken should be told at once.
    try:
        from embedded.clickhouse.engine import Engine
    except ImportError as error:
        raise CannotStartError(f"chDB is missing ({error}); install it with: pip install chdb") from error
    from embedded.clickhouse.server import ClickHouseServer

    engine = Engine(options.data_dir, lock)
    server = ClickHouseServer(engine, native, http, users)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    if options.stop_with_stdin:
        when_stdin_closes(server.stop)
    print(
        f"ClickHouse {engine.version} listening on {host}:{port}, HTTP on {http.getsockname()[1]}, "
        f"data in {options.data_dir}",
        flush=True,
    )
    all_gone = server.serve()
    if server.failed:
        sys.stderr.write("chDB has failed and takes no more statements; start it again, what was stored is there.\n")
        sys.stderr.flush()
        os._exit(1)  # it may never come back from being closed
    if not all_gone:
        # A query sits in chDB and cannot be stopped; no write is running, so nothing is lost.
        os._exit(0)
    engine.close()
    return 0


def _users(no_password: bool) -> Users:
    name, password = os.environ.get(USER_VARIABLE, "default"), os.environ.get(PASSWORD_VARIABLE, "")
    if not (password or no_password):
        raise CannotStartError(f"There is no password; set {PASSWORD_VARIABLE}.")
    reader = os.environ.get(READER_PASSWORD_VARIABLE)
    return Users((User(name, password), *([User(READER, reader, reads_only=True)] if reader else [])))


if __name__ == "__main__":
    sys.exit(main())
