"""What a worker answers over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.metrics import METRICS
from tests.streams.conftest import Platform, quick
from tests.streams.kafka_outside import Kafka
from tests.streams.processes import until, working

ROLES = ["detect", "sink"]


@pytest.mark.parametrize("role", ROLES)
def test_a_worker_at_work_is_alive_and_ready(platform: Platform, role: str) -> None:
    worker = getattr(platform, role)
    assert worker.ask("/healthz") == (200, "alive\n")
    assert worker.ask("/readyz") == (200, "ready\n")


@pytest.mark.parametrize("role", ROLES)
def test_the_metrics_are_those_of_the_table(platform: Platform, role: str) -> None:
    status, text = getattr(platform, role).ask("/metrics")
    assert status == 200
    told = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    # The library adds a time of creation to counters and histograms.
    found = {name: kind for name, kind in told if not name.endswith("_created")}
    assert found == {metric.name: metric.kind for metric in METRICS}
    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.what}" in text


def test_a_worker_is_alive_but_not_ready_before_it_has_partitions(kafka: Kafka, tmp_path: Path) -> None:
    with working("detect", quick(kafka.address), tmp_path / "detect", ready=False) as worker:
        answers: list[tuple[int, str]] = []

        def seen() -> bool:
            answers.append(worker.ask("/readyz"))
            return answers[-1][0] == 200

        until(lambda: worker.ask("/healthz")[0] != 0, "an answer")
        assert worker.ask("/healthz") == (200, "alive\n")
        until(seen, "a ready worker")
        assert answers[0] == (503, "not ready: no partitions are assigned yet\n")
        assert {status for status, _ in answers} == {503, 200}
        assert "Traceback" not in worker.said
