"""The benchmark of orders at a size that says nothing about speed."""

from __future__ import annotations

from benchmarks import orders, page
from tests.support.apache_kafka import kafka_for_tests

SMALL = orders.OrdersSize(
    devices=60, rate=100, quiet_s=12, leaking=40, reset_every=5, imported=400, registered=800, rounds=1
)


def test_resets_are_told_in_quiet_and_during_an_import_and_a_worker_starts_with_what_is_registered() -> None:
    said: list[str] = []
    with kafka_for_tests():
        result = orders.run(SMALL, said.append)
    quiet, imported = result["phases"]
    assert quiet["resets"] > 0
    assert 0 < quiet["reset_ms"]["p50"] <= quiet["reset_ms"]["p99"] <= quiet["reset_ms"]["max"]
    assert quiet["alarms"] > 0
    assert imported["entries_per_second"] > 0
    without, with_them = result["starts"]
    assert (without["registered"], with_them["registered"]) == (0, 800)
    assert without["checkpoint_bytes"] == 0 < with_them["checkpoint_bytes"]
    assert len(said) == 4
    assert page.table(result)
    assert page._orders_more(result)
