"""Which broker `--broker auto` comes to, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from cli.brokers import AUTO, EMBEDDED, KAFKA, kafka_brokers
from common.errors import OperatorError
from embedded.kafka.jars import CACHE_VARIABLE

JAVA_17: Final = """#!/bin/sh
echo 'openjdk version "17.0.15" 2025-04-15' >&2
"""
MAVEN_OFFLINE: Final = """#!/bin/sh
echo '[ERROR] Unknown host' ; exit 1
"""
MAVEN: Final = """#!/bin/sh
for argument; do case "$argument" in -DoutputDirectory=*) mkdir -p "${argument#*=}" ;; esac; done
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine with these programs, no jars, and nothing else but a shell."""

    def have(**programs: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, text in programs.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        (folder / "mkdir").symlink_to("/bin/mkdir")
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
        monkeypatch.delenv("JAVA_HOME", raising=False)

    return have


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({}, "there is no java in the PATH"),
        ({"java": JAVA_17.replace("17.0.15", "11.0.2"), "mvn": MAVEN}, "Java 17 or newer, and"),
        ({"java": JAVA_17}, "there is no mvn in the PATH"),
        ({"java": JAVA_17, "mvn": MAVEN_OFFLINE}, "Maven cannot fetch Kafka"),
    ],
    ids=["no Java", "old Java", "no Maven", "no network"],
)
def test_where_kafka_cannot_run_auto_takes_the_embedded_broker_and_says_why(
    machine: Callable[..., None], tmp_path: Path, programs: dict[str, str], why: str
) -> None:
    machine(**programs)
    said: list[str] = []
    assert kafka_brokers(AUTO, None, tmp_path / "kafka", said.append) == 0
    assert len(said) == 1
    assert said[0].startswith("broker            embedded, for Apache Kafka cannot run here: ")
    assert why in said[0]
    for broker, brokers in ((KAFKA, None), (AUTO, "3")):
        with pytest.raises(OperatorError, match=why):
            kafka_brokers(broker, brokers, tmp_path / "kafka", said.append)


def test_where_kafka_can_run_auto_takes_it(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(java=JAVA_17, mvn=MAVEN)
    said: list[str] = []
    assert kafka_brokers(AUTO, None, tmp_path / "kafka", said.append) == 1
    assert said[0].startswith("broker            Apache Kafka 4.")
    assert kafka_brokers(EMBEDDED, None, tmp_path / "kafka", said.append) == 0
    with pytest.raises(OperatorError, match="--brokers is for Apache Kafka"):
        kafka_brokers(EMBEDDED, "3", tmp_path / "kafka", said.append)


def test_a_cluster_that_has_data_here_keeps_its_number_of_brokers(machine: Callable[..., None], tmp_path: Path) -> None:
    machine(java=JAVA_17, mvn=MAVEN)
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "cluster.json").write_text('{"id": "x", "brokers": 3}')
    assert kafka_brokers(AUTO, None, tmp_path / "kafka", lambda _: None) == 3
    assert kafka_brokers(KAFKA, "1", tmp_path / "kafka", lambda _: None) == 1
