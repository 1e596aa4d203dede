"""Bad records under load."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from tests.faults.arena import PARTITIONS, Arena
from tests.streams.kafka_outside import Kafka, Sent

Open = Callable[..., AbstractContextManager[Arena]]
TOO_LARGE: Final = b'{"v":1,"note":"' + b"x" * 5_000_000 + b'"}'
STRETCH: Final = 3_000
"""More than the 2000 by which a worker judges the share of bad input."""


def test_undecodable_and_too_large_records_under_load_harm_only_themselves(arena: Open) -> None:
    with arena(detect=2, sink=1) as ring, ring.load(81) as load, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        for value in (b"\xff\xfe", TOO_LARGE, b"", None, b"[" * 100_000, TOO_LARGE[:-2]):
            kafka.send([Sent(number, b"poison", value) for number in range(PARTITIONS)])
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert verdict.counts["rejects"] >= 6 * PARTITIONS
    assert ring.crew.gave_up == []


def test_a_bad_stretch_stops_the_worker_with_one_sentence_and_status_1(arena: Open) -> None:
    with arena(detect=1, sink=0) as ring, Kafka(ring.settings.kafka, PARTITIONS) as kafka:
        (post,) = ring.crew.detect
        pid = post.process.pid
        kafka.send([Sent(0, b"poison", b"{") for _ in range(STRETCH)])
        post.next_after(pid)
        (ended,) = (one for one in post.exits if one.pid == pid)
    assert ended.status == 1
    assert ended.last_line.startswith("emberline: ")
    assert "more than EMBERLINE_REJECT_SHARE allows" in ended.last_line
