"""The benchmarks run, in a small size, and find the same whatever the chunk."""

from __future__ import annotations

from benchmarks import stages


def test_stages_find_the_same_alarms_in_chunks_of_every_size() -> None:
    result = stages.run(seconds=25, say=lambda _: None)
    assert [one["chunk_records"] for one in result["stages"]] == list(stages.CHUNK_RECORDS)
    assert len({(one["alarms"], one["alarms_hash"]) for one in result["stages"]}) == 1
    assert all(one["alarms"] > 0 for one in result["stages"])
