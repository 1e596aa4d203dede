"""The benchmarks that run workers on Apache Kafka, at a size that says nothing about speed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import response, throughput
from cli.demo.account import demo_config
from fleet import Fleet
from tests.support.apache_kafka import kafka_for_tests


@pytest.fixture(autouse=True)
def _kafka() -> Iterator[None]:
    with kafka_for_tests():
        yield


def test_all_that_is_on_the_topic_goes_through_the_workers_and_is_what_the_twin_says() -> None:
    said: list[str] = []
    result = throughput.run(3_000, 100, [{"detect": 2}, {"detect": 1, "sink": 1}], said.append)
    assert [case["ok"] for case in result["cases"]] == [True] * 6, said
    assert [case["partitions"] for case in result["cases"]] == [4, 4, 4, 4, 16, 64]
    singles, arrays = result["cases"][0], result["cases"][2]
    assert arrays["records"] < singles["records"] / 10
    assert arrays["reports"] == singles["reports"]
    both = result["cases"][1]
    assert both["rows"] == both["reports"]
    # How much of so little is left once both are ready is a matter of luck.
    assert all(0 <= both["roles"][role]["reports"] <= both["reports"] for role in ("detect", "sink"))


def test_response_is_measured_from_the_scheduled_time() -> None:
    said: list[str] = []
    (case,) = response.run([100], 60, 30, 1, said.append, incidents=[])["cases"]
    assert case["ok"], case
    assert case["responses"] >= case["alarms_expected"] > 0
    planted = Fleet(demo_config(30, 60, 100, response.SEED, faults=1)).expected
    severities: dict[tuple[str, int, str], int] = {
        (one.device_id, one.component, one.kind): one.severity for one in planted
    }
    assert case["hash"] == response.hash_of_alarms(severities)
    assert 0 < case["response_ms_p50"] <= case["response_ms_p99"] <= case["response_ms_p999"] <= case["response_ms_max"]
    assert 0 < case["from_ingest_ms_p50"] < case["response_ms_p50"]
    assert 0 < case["clickhouse_visible_ms_p50"] <= case["clickhouse_visible_ms_max"]
