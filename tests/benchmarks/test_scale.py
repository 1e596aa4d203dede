"""The benchmark of scale at a size that says nothing about speed."""

from __future__ import annotations

from benchmarks import scale
from tests.support.apache_kafka import kafka_for_tests


def test_every_number_of_devices_and_of_components_is_measured_in_a_process_of_its_own() -> None:
    said: list[str] = []
    with kafka_for_tests():
        result = scale.run([40, 80], [1, 64], said.append, scale.Size(chunk=20, least=100, restored=40, rate=100))
    assert [case["devices"] for case in result["cases"]] == [40, 80]
    assert [case["components"] for case in result["reports"]] == [1, 64]
    assert [case["order"] for case in result["orders"]] == list(scale.ORDERS)
    assert [case["devices"] for case in result["rates"]] == [40, 80]
    assert len(said) == 10
    assert result["restored"]["devices"] == 40
    assert result["restored"]["equal"]
    for case in result["cases"]:
        assert case["checkpoint_bytes_per_device"] > 100
    for case in result["cases"] + result["reports"] + result["rates"] + result["orders"]:
        assert case["reports"] >= 100
        assert case["decode_us_per_report"] > 0
        assert case["detect_us_per_report"] > 0


def test_as_many_minutes_are_closed_a_report_whatever_the_number_of_devices() -> None:
    size = scale.Size(chunk=30, least=360)
    for devices in (30, 60, 240):
        _, chunks = scale._chunks_of(devices, size)
        reports = chunks * size.chunk
        assert reports >= size.least
        assert reports % (devices * 60 // scale.PERIOD_S) == 0
