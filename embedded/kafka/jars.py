"""Java, and the jars of Kafka: fetched once by Maven as `deploy/kafka/pom.xml`, or another, lists them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from embedded.manners import CannotStartError

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy" / "kafka"
POM: Final = DEPLOY / "pom.xml"
CACHE_VARIABLE: Final = "KAFKA_JARS_CACHE"
_JAVA_AT_LEAST = 17
_FETCH_SECONDS = 600.0  # 44 MB, and as much again of Maven's own plugins.


def find_java() -> str:
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


def default_cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(CACHE_VARIABLE) or Path(cache) / "emberline")


def find_jars(cache_dir: Path, pom: Path = POM, name: str = "kafka") -> tuple[str, Path]:
    """Return Kafka's version and the folder of the jars that `pom` lists, which are fetched if they are not there."""
    try:
        text = pom.read_text("utf-8")
    except FileNotFoundError as error:
        raise CannotStartError(f"Kafka is fetched by {pom}, which is missing: run this from a checkout.") from error
    version = re.findall("<kafka.version>(.+)</kafka.version>", text)[0]
    jars = cache_dir / f"{name}-{version}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    if not jars.is_dir():
        _fetch(pom, version, jars)
    return version, jars


def _fetch(pom: Path, version: str, jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotStartError(f"Kafka {version} is fetched by Maven, and there is no mvn in the PATH; install it.")
    try:
        keep(jars, lambda folder: _copy_dependencies(maven, pom, version, folder))
    except OSError as error:
        raise CannotStartError(f"Cannot keep the jars of Kafka in {jars.parent}: {error.strerror}.") from error


def keep(folder: Path, make: Callable[[Path], None]) -> None:
    """Have `make` fill a new folder, which becomes this one: all or nothing. Raises OSError where there is no room."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as name:
        made = Path(name) / folder.name
        make(made)
        try:
            made.rename(folder)
        except OSError:
            # If another process was faster, what it made is as good.
            if not folder.is_dir():
                raise


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
