"""Setting up a cluster: its properties, its storage, its ports; and running it for as long as a block lasts."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from embedded.kafka.brokers import Broker, Cluster, complaint
from embedded.kafka.jars import DEPLOY, default_cache, find_jars, find_java
from embedded.manners import CannotStartError, free_ports

# Records are kept by the page cache, not by the heap; the heap holds requests on their way, here a few of 16 MiB and
# the fetches of followers. Three brokers, ClickHouse and the workers are to fit into 8 GB.
_HEAP: Final = "512m"
_JVM: Final = (
    f"-Xmx{_HEAP}", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",  # as Kafka's own scripts, for latencies like theirs
    "-Djava.awt.headless=true",
)  # fmt: skip
# Not -XX:+ExitOnOutOfMemoryError: a batch of a few bytes may say that it is gigabytes when decompressed (snappy), and a
# broker asks its heap for them at once. It refuses the batch and goes on; with the flag it would end, and the next
# leader after it.

# The largest record of ours (`schemas.topics.MAX_REJECT_BYTES`) with its headers and batch. Topics say themselves what
# they let in (`max.message.bytes`); this is what brokers must be able to hand each other.
LARGEST_BATCH_BYTES: Final = 17 * 1_048_576


@contextmanager
def open_cluster(
    data_dir: Path,
    log_dir: Path,
    brokers: int = 3,
    host: str = "127.0.0.1",
    port: int = 0,
    cache_dir: Path | None = None,
    properties: Mapping[str, str] | None = None,
    formatting: Sequence[str] = (),
    anew: bool = False,
) -> Iterator[Cluster]:
    """Run a cluster, on the data of the last time if there are any and it is not to begin `anew`. Raises
    `CannotStartError`.

    Brokers take `port` and those that follow, then their controllers as many more; 0 picks free ones. `properties` are
    set beside and above ours, `formatting` are more arguments of Kafka's storage tool, such as first passwords.
    """
    java = find_java()
    version, jars = find_jars(cache_dir or default_cache())
    with _held(data_dir):
        if anew:
            _empty(data_dir)
        ports = free_ports(host, port, 2 * brokers)
        log_dir.mkdir(parents=True, exist_ok=True)
        command = [
            java,
            *_JVM,
            "-cp",
            f"{_plain(jars)}/*",
            f"-Dlog4j2.configurationFile={DEPLOY / 'log4j2.properties'}",
        ]
        more = _More(properties or {}, formatting)
        cluster = Cluster(_prepare(data_dir, log_dir, command, host, ports, more), version)
        try:
            cluster.start()
            yield cluster
        finally:
            for broker in cluster.stop():
                print(f"Kafka broker {broker.node_id} did not stop by itself and was killed.", file=sys.stderr)


def _empty(data_dir: Path) -> None:
    """Remove what a cluster has kept there."""
    for kept in (data_dir / "cluster.json", *data_dir.glob("broker-*")):
        try:
            if kept.is_dir():
                shutil.rmtree(kept)
            else:
                kept.unlink(missing_ok=True)
        except OSError as error:
            raise CannotStartError(f"Kafka's data of the last time cannot be removed: {error}") from error


class _More(NamedTuple):
    properties: Mapping[str, str]
    formatting: Sequence[str]


def _prepare(
    data_dir: Path, log_dir: Path, command: Sequence[str], host: str, ports: Sequence[int], more: _More
) -> list[Broker]:
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
            **more.properties,
        }
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), "ascii")
        log = log_dir.resolve() / f"broker-{node_id}.log"
        run = [*command, f"-Demberline.log={log}", f"-XX:ErrorFile={log}.crash"]
        brokers.append(Broker(node_id, host, ports[node_id - 1], [*run, "kafka.Kafka", str(properties)], log))
        if not (folder / "meta.properties").exists():
            formatting.append((log, _format(run, cluster_id, properties, log, more.formatting)))
    for log, process in formatting:
        if process.wait():
            raise CannotStartError(f"Kafka cannot format its storage: {complaint(log)} (log: {log})")
    return brokers


def _format(
    run: Sequence[str], cluster_id: str, properties: Path, log: Path, more: Sequence[str]
) -> subprocess.Popen[bytes]:
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", cluster_id, *more]
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
                f"start it with --brokers {known['brokers']}, or choose another data directory."
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
                f"{data_dir} is in use by another Kafka; stop it, or choose another data directory."
            ) from error
        yield


def _plain(path: Path) -> Path:
    """Return the absolute path, or refuse what Kafka's properties and Java's class path would misread."""
    path = path.resolve()
    if not str(path).isascii() or set(str(path)) & set(",:;*\\"):
        raise CannotStartError(f"Kafka cannot use {path}: choose a path of ASCII without any of , : ; * and \\.")
    return path
