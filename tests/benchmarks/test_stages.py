"""The benchmark of stages at a size that says nothing about speed."""

from __future__ import annotations

from benchmarks import stages
from tests.support.apache_kafka import kafka_for_tests


def test_every_stage_is_measured_and_the_same_alarms_are_found_in_chunks_of_every_size() -> None:
    said: list[str] = []
    cases = [(name, of, works, sizes[-2:]) for name, of, works, sizes in stages.CASES]
    with kafka_for_tests():
        result = stages.run(seconds=45, say=said.append, cases=cases)
    measured = result["stages"]
    assert [(one["stage"], one["chunk"]) for one in measured] == [
        (name, size) for name, _, _, sizes in cases for size in sizes
    ]
    assert len(said) == len(measured) + len(result["profiles"])
    for functions in result["profiles"].values():
        assert all(0 < one["own_share"] <= one["share"] <= 1 for one in functions)
    assert all(one["rows"] > 0 and one["us_per_row"] > 0 and one["bytes_per_row"] > 0 for one in measured)
    (found,) = {(one["found"], one["found_hash"]) for one in measured if one["stage"] == "detect"}
    assert found[0] > 0
