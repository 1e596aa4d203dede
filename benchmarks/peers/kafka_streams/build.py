"""From the sources to a command line: jars by Maven and classes by javac, both kept where the broker's jars are."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.peers.latches import limits_by_profile, profiles_of_devices
from detectors.limits import load_limits
from embedded.kafka.jars import default_cache, find_jars, find_java, keep
from embedded.manners import CannotStartError

HERE: Final = Path(__file__).parent
JVM: Final = ("-Xmx1g", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
"""The collector that costs least CPU: nothing here waits for an answer."""
COMPILE_S: Final = 120.0


def can_build() -> bool:
    """Whether Java, its compiler and Maven are there."""
    try:
        return _javac().exists() and shutil.which("mvn") is not None
    except CannotStartError:
        return False


def java_version() -> str:
    """That of the Java that runs it, as it says itself."""
    said = subprocess.run([find_java(), "-version"], capture_output=True, text=True, check=True).stderr
    return str(re.findall(r'version "(.+?)"', said)[0])


def command(
    main: str, kafka: str, telemetry: str, group: str, outputs: Sequence[str], folder: Path, limits: Path, state: bool
) -> list[str]:
    """What starts its class `main`, which is built if it was not. Raises `CannotStartError`."""
    _, jars = find_jars(default_cache(), HERE / "pom.xml", "kafka-streams")
    class_path = f"{_classes(jars)}:{jars}/*"
    given = (kafka, telemetry, group, str(folder), str(_written(limits, folder)), *outputs)
    return [find_java(), *JVM, "-cp", class_path, main, *given, "stored" if state else "no-state"]


def _written(limits: Path, folder: Path) -> Path:
    """The limits as the peers have them, every profile made out, so that nobody has to merge TOML a second time."""
    table = load_limits(limits)
    profiles = [[limit._asdict() for limit in profile] for profile in limits_by_profile(table)]
    path = folder.parent / "limits.json"
    path.write_text(json.dumps({"devices": profiles_of_devices(table), "profiles": profiles}), encoding="utf-8")
    return path


def _classes(jars: Path) -> Path:
    """The folder of the compiled sources, named after a digest of them and of the jars."""
    sources = sorted(HERE.glob("src/**/*.java"))
    digest = hashlib.sha256(jars.name.encode() + b"".join(source.read_bytes() for source in sources)).hexdigest()[:8]
    classes = jars.with_name(f"kafka-streams-classes-{digest}")
    if not classes.is_dir():
        keep(classes, lambda folder: _compile(sources, jars, folder))
    return classes


def _compile(sources: Sequence[Path], jars: Path, folder: Path) -> None:
    wanted = ("--release", "17", "-encoding", "UTF-8", "-cp", f"{jars}/*", "-d", str(folder))
    asked = [str(_javac()), *wanted, *map(str, sources)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=COMPILE_S)
    if done.returncode:
        raise CannotStartError(f"The peer on Kafka Streams does not compile: {done.stderr[:1_000]}")


def _javac() -> Path:
    """The compiler of the Java that runs it."""
    return Path(find_java()).resolve().with_name("javac")
