"""What a worker answers over HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pytest
from prometheus_client import CollectorRegistry, Counter

from common.errors import OperatorError
from common.health import STILL_S, Condition, HttpServer
from common.metrics import METRICS
from embedded.manners import free_port
from tests.support.kafka_outside import Kafka
from tests.support.platform import Platform, quick_settings
from tests.support.processes import ask, until, working

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
    with working("detect", quick_settings(kafka.address), tmp_path / "detect", ready=False) as worker:
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


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """Of a worker whose loop is this test: it turns when the test says so."""
    registry = CollectorRegistry()
    Counter("looks", "counted by the test", registry=registry).inc()
    server = HttpServer(f"127.0.0.1:{free_port()}", registry, Condition(time.monotonic(), None))
    server.start()
    yield server
    server.stop()


def _ask(server: HttpServer, path: str) -> tuple[int, str]:
    return ask(server._address, path)


def test_a_loop_that_stands_still_for_long_is_told_and_metrics_are_answered_all_the_same(server: HttpServer) -> None:
    assert _ask(server, "/healthz") == (200, "alive\n")
    server.condition = Condition(time.monotonic() - STILL_S - 1, None)
    status, text = _ask(server, "/healthz")
    assert (status, text[:37]) == (503, "the event loop has not turned for 31 ")
    assert _ask(server, "/readyz")[0] == 503
    assert "looks_total 1.0" in _ask(server, "/metrics")[1]
    server.condition = Condition(time.monotonic(), None, "too many geese")
    assert _ask(server, "/healthz")[0] == 200
    assert _ask(server, "/readyz") == (200, "ready; too many geese\n")


def test_a_port_that_is_taken_is_told() -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = HttpServer(f"127.0.0.1:{port}", CollectorRegistry(), Condition(0.0, None))
        with pytest.raises(OperatorError, match=rf"cannot serve metrics on 127.0.0.1:{port}: .*; set EMBERLINE_HTTP"):
            server.start()
        server.stop()
