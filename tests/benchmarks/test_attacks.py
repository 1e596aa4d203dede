"""The benchmark of attacks at a size that says nothing about what an attack costs."""

from __future__ import annotations

from benchmarks import attacks, page, senders
from schemas.topics import ALARMS, REJECTS
from tests.support.apache_kafka import kafka_for_tests


def test_attacks_are_measured_while_neighbours_catch_fire() -> None:
    said: list[str] = []
    with kafka_for_tests():
        result = attacks.run(attacks.SMOKE, said.append)
    assert [case["attack"] for case in result["cases"]] == [attack.name for attack in senders.ATTACKS]
    assert attacks.good(result), said
    for case in result["cases"]:
        assert case["bytes_written"][ALARMS.name] > 0
        assert all(0 < one["delay_ms_p50"] <= one["delay_ms_max"] for one in case["neighbours"].values())
        assert all(worker["cpu_seconds"] > 0 and worker["peak_mb"] > 10 for worker in case["workers"].values())
    bad = {case["attack"]: case["bytes_written"][REJECTS.name] for case in result["cases"]}
    assert bad["none"] == 0
    assert min(bad["a gateway, 300 bad/s"], bad["deep nesting"], bad["a detector raises on a record"]) > 0
    assert len(page.table(result)) == len(senders.ATTACKS) + 2
