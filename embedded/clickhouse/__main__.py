"""`python -m embedded.clickhouse`: run the embedded ClickHouse in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from embedded.manners import CannotStartError, listen, port_number, refuse, when_stdin_closes

NICENESS = 10
USER_VARIABLE, PASSWORD_VARIABLE = "EMBERLINE_CLICKHOUSE_USER", "EMBERLINE_CLICKHOUSE_PASSWORD"


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
        epilog=f"The user and password that clients must give are read from {USER_VARIABLE} "
        f"(default: default) and {PASSWORD_VARIABLE} (default: empty).",
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="where the data is kept")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=port_number, default=9000, help="port to listen on, 0 picks (%(default)s)")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    return parser


def _run(options: argparse.Namespace) -> int:
    # It shares its machine with those that raise alarms, and what stores yields to them.
    os.nice(NICENESS)
    listener = listen(options.host, options.port)
    host, port = listener.getsockname()[:2]
    # Imported late: chDB takes seconds, and a port that is taken should be told at once.
    try:
        from embedded.clickhouse.engine import Engine
    except ImportError as error:
        raise CannotStartError(f"chDB is missing ({error}); install it with: pip install chdb") from error
    from embedded.clickhouse.server import Server
    from embedded.clickhouse.session import Account

    account = Account(os.environ.get(USER_VARIABLE, "default"), os.environ.get(PASSWORD_VARIABLE, ""))
    engine = Engine(options.data_dir)
    server = Server(engine, listener, account)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    if options.stop_with_stdin:
        when_stdin_closes(server.stop)
    print(
        f"ClickHouse {engine.version} listening on {host}:{port}, data in {options.data_dir}",
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


if __name__ == "__main__":
    sys.exit(main())
