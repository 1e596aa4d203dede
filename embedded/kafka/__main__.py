"""The command line of `embedded.kafka`: Apache Kafka in the foreground until it is told to stop."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from embedded.kafka.brokers import Broker
from embedded.kafka.cluster import open_cluster
from embedded.kafka.jars import CACHE_VARIABLE
from embedded.manners import CannotStartError, ending, port_number, refuse, when_stdin_closes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run Kafka until it is told to stop; return the exit status."""
    options = _parser().parse_args(arguments)
    _interrupt_once()
    if options.stop_with_stdin:
        when_stdin_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        return _run(options)
    except CannotStartError as error:
        return refuse(error)
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m embedded.kafka",
        description="Apache Kafka on one machine, one broker or three, each a controller too. For tests of what "
        "happens when brokers fail; production runs brokers on machines of their own.",
        epilog=f"The jars are fetched once, by Maven, into --cache-dir; {CACHE_VARIABLE} sets its default.",
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="where the data and logs are kept")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3, help="how many brokers (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on and be known by (%(default)s)")
    parser.add_argument(
        "--port", type=port_number, default=9092,
        help="port of the first broker, the others and their controllers follow; 0 picks (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--cache-dir", type=Path, help="where the jars are kept (~/.cache/emberline)")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input closes")
    return parser


def _interrupt_once() -> None:
    """Have the first SIGTERM or Ctrl-C raise KeyboardInterrupt, and those after it, while we stop, do nothing."""

    def interrupt(*_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)


def _run(options: argparse.Namespace) -> int:
    data: Path = options.data_dir
    with open_cluster(data, data / "logs", options.brokers, options.host, options.port, options.cache_dir) as cluster:
        for broker in cluster.brokers:
            what = f"Kafka {cluster.version} broker {broker.node_id}"
            print(f"{what} listening on {broker.address}, data in {data}", flush=True)
        _report_those_that_end(cluster.brokers)
    raise CannotStartError("No Kafka broker is left.")


def _report_those_that_end(brokers: Sequence[Broker]) -> None:
    """Say of each broker that it ended, and return after the last: the others go on, that is what they are for."""
    ended: queue.SimpleQueue[Broker] = queue.SimpleQueue()

    def watch(broker: Broker) -> None:
        broker.wait()
        ended.put(broker)

    for broker in brokers:
        threading.Thread(target=watch, args=(broker,), daemon=True).start()
    for _ in brokers:
        broker = ended.get()
        print(f"Kafka broker {broker.node_id} {ending(broker.wait())} (log: {broker.log}).", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
