"""`python -m embedded.kafka`: Apache Kafka in the foreground, one broker or three on this machine.

This is the real thing, in KRaft mode, each broker a controller too: what a verdict on loss, rebalance or latency
takes, where `embedded.broker` will not do. It needs Java 17 and, once, Maven, which fetches the jars that
`deploy/kafka/pom.xml` lists.

    with open_cluster(data_dir, log_dir, brokers=3) as cluster:
        cluster.brokers[0].kill()
        cluster.brokers[0].start()

Not obvious:

- Between us and each broker stands a guard of a few lines of shell, which kills the broker at the end of its own
  standard input, so when we are gone (see `embedded.manners`). It works from every thread, where PR_SET_PDEATHSIG would
  end a broker with the thread that happened to start it; and it needs no `preexec_fn`, which can deadlock in a process
  with threads.
- The brokers find each other by `controller.quorum.voters`, which is in their properties and not in the data, so that
  every start may choose other ports.
- With two of three brokers gone there is no controller, so nobody takes them out of the in-sync replicas: a producer
  with acks=all then waits until its time is up, and sees NotEnoughReplicas only if a controller is left.
- A broker that was killed comes back once its old session has ended, up to 9 s later, as in production.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from embedded.manners import CannotStartError, listen, port_number, refuse, when_stdin_closes

_DEPLOY = Path(__file__).resolve().parent.parent / "deploy" / "kafka"
_CACHE_VARIABLE = "EMBERLINE_KAFKA_CACHE"
_JAVA_AT_LEAST = 17
_FETCH_SECONDS = 600.0  # 44 MB, and as much again of Maven's own plugins.
_START_SECONDS = 90.0  # Three take 17 s on two busy cores; one that was killed waits 9 s for its old session.
_STOP_SECONDS = 12.0  # Three take 6 s on two busy cores.
_ASK_SECONDS = 2.0
_RETRY_SECONDS = 0.1  # Kafka gives no sign of being ready, so it is asked this often.

# Records are kept by the page cache, not by the heap; the heap holds requests on their way, here a few of 16 MiB and
# the fetches of followers. Three brokers, ClickHouse and the workers are to fit into 8 GB.
_HEAP: Final = "512m"
_JVM: Final = (
    f"-Xmx{_HEAP}", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",  # as Kafka's own scripts, for latencies like theirs
    "-XX:+ExitOnOutOfMemoryError",  # rather than a broker that is registered and does nothing
    "-Djava.awt.headless=true",
)  # fmt: skip

# The largest record of ours (`schemas.topics.MAX_REJECT_BYTES`) with its headers and batch. Topics say themselves what
# they let in (`max.message.bytes`); this is what brokers must be able to hand each other.
LARGEST_BATCH_BYTES: Final = 17 * 1_048_576

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
                status = self.wait()
                raise CannotStartError(
                    f"Kafka broker {self.node_id} ended with status {status}: {_complaint(self.log)} (log: {self.log})"
                )
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


@contextmanager
def open_cluster(
    data_dir: Path,
    log_dir: Path,
    brokers: int = 3,
    host: str = "127.0.0.1",
    port: int = 0,
    cache_dir: Path | None = None,
) -> Iterator[Cluster]:
    """Run a cluster, on the data of the last time if there are any. Raises `CannotStartError`.

    Brokers take `port` and those that follow, then their controllers as many more; 0 picks free ones.
    """
    java = _java()
    version, jars = _jars(cache_dir or _default_cache())
    with _held(data_dir):
        ports = _ports(host, port, 2 * brokers)
        log_dir.mkdir(parents=True, exist_ok=True)
        command = [
            java,
            *_JVM,
            "-cp",
            f"{_plain(jars)}/*",
            f"-Dlog4j2.configurationFile={_DEPLOY / 'log4j2.properties'}",
        ]
        cluster = Cluster(_prepare(data_dir, log_dir, command, host, ports), version)
        try:
            cluster.start()
            yield cluster
        finally:
            for broker in cluster.stop():
                print(f"Kafka broker {broker.node_id} did not stop by itself and was killed.", file=sys.stderr)


def _prepare(data_dir: Path, log_dir: Path, command: Sequence[str], host: str, ports: Sequence[int]) -> list[Broker]:
    count = len(ports) // 2
    cluster_id = _cluster_id(data_dir / "cluster.json", count)
    voters = ",".join(f"{node_id}@{host}:{port}" for node_id, port in enumerate(ports[count:], 1))
    formatting, brokers = [], []
    for node_id in range(1, count + 1):
        folder, properties = _plain(data_dir / f"broker-{node_id}"), data_dir / f"broker-{node_id}.properties"
        settings = _settings(count) | {
            "node.id": str(node_id),
            "log.dirs": str(folder),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{host}:{ports[node_id - 1]},CONTROLLER://{host}:{ports[count + node_id - 1]}",
            "advertised.listeners": f"PLAINTEXT://{host}:{ports[node_id - 1]}",
        }
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), "ascii")
        log = log_dir.resolve() / f"broker-{node_id}.log"
        run = [*command, f"-Demberline.log={log}", f"-XX:ErrorFile={log}.crash"]
        brokers.append(Broker(node_id, host, ports[node_id - 1], [*run, "kafka.Kafka", str(properties)], log))
        if not (folder / "meta.properties").exists():
            formatting.append((log, _format(run, cluster_id, properties, log)))
    for log, process in formatting:
        if process.wait():
            raise CannotStartError(f"Kafka cannot format its storage: {_complaint(log)} (log: {log})")
    return brokers


def _format(run: Sequence[str], cluster_id: str, properties: Path, log: Path) -> subprocess.Popen[bytes]:
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", cluster_id]
    with log.open("ab") as log_file:
        return subprocess.Popen(
            [*run, *tool, "--config", str(properties)], stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file
        )


def _settings(brokers: int) -> dict[str, str]:
    """Return what all brokers of a cluster have in common. What is not here is as in production, Kafka's default."""
    in_sync = str(min(2, brokers))
    replicated = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "auto.create.topics.enable": "false",  # a topic has the settings we gave it, or is not there
        "default.replication.factor": str(brokers),
        "min.insync.replicas": in_sync,
        **{f"{topic}.replication.factor": str(brokers) for topic in replicated},
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.min.isr": in_sync,
        # 50 each by default, and every one is a leader to move when a broker goes.
        "offsets.topic.num.partitions": "6",
        "transaction.state.log.num.partitions": "6",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",  # tests want sessions of 3 s; the default is 6
        "replica.fetch.max.bytes": str(LARGEST_BATCH_BYTES),
        "replica.fetch.response.max.bytes": str(2 * LARGEST_BATCH_BYTES),
        "queued.max.request.bytes": str(8 * LARGEST_BATCH_BYTES),  # a quarter of the heap; unlimited by default
        "log.cleaner.dedupe.buffer.size": str(16 * 1_048_576),  # 128 MiB of the heap by default
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "num.recovery.threads.per.data.dir": "1",
        # Topics say how long they keep; these are for those that do not, and so that no partition fills the disk.
        "log.retention.hours": "168",
        "log.retention.bytes": str(4 * 1_073_741_824),
        "log.segment.bytes": str(256 * 1_048_576),
    }


def _cluster_id(file: Path, brokers: int) -> str:
    """Return the id of the cluster in this directory, a new one if there is none yet."""
    if file.exists():
        known = json.loads(file.read_text())
        if known["brokers"] != brokers:
            raise CannotStartError(
                f"{file.parent} holds a cluster of {known['brokers']}, not {brokers}: "
                f"start it with --brokers {known['brokers']}, or choose another --data-dir."
            )
        return str(known["id"])
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if cluster_id.startswith("-"):  # StorageTool would take it for an option
        cluster_id = f"A{cluster_id[1:]}"
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({"id": cluster_id, "brokers": brokers}))
    draft.replace(file)
    return cluster_id


@contextmanager
def _held(data_dir: Path) -> Iterator[None]:
    """Make the directory ours alone; a second Kafka on it would rewrite the properties of the first."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / ".lock").open("w")
    except OSError as error:
        raise CannotStartError(f"Cannot keep data in {data_dir}: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStartError(
                f"{data_dir} is in use by another Kafka; stop it, or choose another --data-dir."
            ) from error
        yield


def _plain(path: Path) -> Path:
    """Return the absolute path, or refuse what Kafka's properties and Java's class path would misread."""
    path = path.resolve()
    if not str(path).isascii() or set(str(path)) & set(",:;*\\"):
        raise CannotStartError(f"Kafka cannot use {path}: choose a path of ASCII without any of , : ; * and \\.")
    return path


def _ports(host: str, port: int, count: int) -> list[int]:
    """Return as many consecutive ports, having made sure that they are free."""
    if port + count > 65_536:
        raise CannotStartError(f"Kafka needs {count} ports from --port on, and there are none after 65535.")
    if port:
        ports = list(range(port, port + count))
        for candidate in ports:
            listen(host, candidate).close()
        return ports
    while True:
        # Below the ports that the kernel gives to outgoing connections: one of those could take the port of a broker
        # that is down, even one that tries to reach this very broker (TCP lets it connect to itself).
        start = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(CannotStartError):
            return _ports(host, start, count)


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


def _java() -> str:
    """Return the path of a Java that Kafka runs on."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    wanted = f"Kafka needs Java {_JAVA_AT_LEAST} or newer"
    if java is None:
        where = f"JAVA_HOME ({home})" if home else "the PATH"
        raise CannotStartError(f"{wanted}, and there is no java in {where}; install it, or set JAVA_HOME.")
    asked = [java, "-version"]
    said = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if not found or int(found[1]) < _JAVA_AT_LEAST:
        raise CannotStartError(f"{wanted}, and {java} is {found[1] if found else 'none'}; set JAVA_HOME to another.")
    return java


def _default_cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(_CACHE_VARIABLE) or Path(cache) / "emberline")


def _jars(cache_dir: Path) -> tuple[str, Path]:
    """Return Kafka's version and the folder of its jars, which are fetched if they are not there."""
    pom = _DEPLOY / "pom.xml"
    try:
        text = pom.read_text("utf-8")
    except FileNotFoundError as error:
        raise CannotStartError(f"Kafka is fetched by {pom}, which is missing: run this from a checkout.") from error
    version = re.findall("<kafka.version>(.+)</kafka.version>", text)[0]
    jars = cache_dir / f"kafka-{version}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    if not jars.is_dir():
        _fetch(pom, version, jars)
    return version, jars


def _fetch(pom: Path, version: str, jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotStartError(f"Kafka {version} is fetched by Maven, and there is no mvn in the PATH; install it.")
    try:
        jars.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=jars.parent, prefix="fetching-") as folder:
            _copy_dependencies(maven, pom, version, Path(folder) / "jars")
            # All or nothing; and if another process was faster, its jars are as good.
            with contextlib.suppress(FileExistsError):
                (Path(folder) / "jars").rename(jars)
    except OSError as error:
        raise CannotStartError(f"Cannot keep the jars of Kafka in {jars.parent}: {error.strerror}.") from error


def _copy_dependencies(maven: str, pom: Path, version: str, folder: Path) -> None:
    print(f"Fetching Kafka {version} with Maven, once", file=sys.stderr, flush=True)
    command = [maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_FETCH_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise CannotStartError(f"Maven did not fetch Kafka {version} within {_FETCH_SECONDS:.0f} seconds.") from error
    if done.returncode:
        complaints = re.findall(r"\[ERROR\] (.+)", done.stdout + done.stderr)
        raise CannotStartError(f"Maven cannot fetch Kafka {version}: {complaints[0] if complaints else done.stderr}")


def _complaint(log: Path) -> str:
    """Return what a log says last about an error, else its last line."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if " ERROR " in line or " FATAL " in line or line.startswith("Exception")]
    return (errors or lines or ["it said nothing."])[-1].strip()


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
        epilog=f"The jars are fetched once, by Maven, into --cache-dir; {_CACHE_VARIABLE} sets its default.",
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
        print(f"Kafka broker {broker.node_id} ended with status {broker.wait()} (log: {broker.log}).", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
