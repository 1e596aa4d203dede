"""What a worker takes for its own on the output topics. faults/test_generations.py has the rest."""

from __future__ import annotations

from typing import Any, Final

import pytest
from aiokafka import ConsumerRecord

from schemas import topics
from schemas.positions import Event
from streams.generations import event_in
from tests.sinks import samples

OURS: Final[dict[str, Event]] = {
    topics.ALARMS.name: samples.alarm(),
    topics.AGGREGATES.name: samples.aggregate(),
    topics.DEVICE_STATUS.name: samples.status(),
    topics.CONTROL_OUTCOMES.name: samples.outcome(),
    topics.DEVICE_REQUESTS.name: samples.request(),
    topics.CHARGING_SESSIONS.name: samples.session(device_id="LY-1"),
}
REJECT: Final = samples.reject()


def record(topic: str, value: bytes | None, headers: Any = ()) -> ConsumerRecord:
    return ConsumerRecord(topic, 0, 0, 0, 0, b"LY-1", value, None, 4, 0, headers)


@pytest.mark.parametrize("topic", OURS)
def test_an_event_of_ours_is_read_from_its_record_and_what_is_none_is_passed_over(topic: str) -> None:
    good = OURS[topic].to_json()  # type: ignore[union-attr]
    assert event_in(record(topic, good)) == OURS[topic]
    offset, generation = b'"source_offset":40', b'"generation":0'
    assert offset in good
    assert generation in good
    forged = [
        good.replace(offset, b'"source_offset":' + wrong) for wrong in (b"-1", b"null", b'"40"', b"40.5", b"1e99")
    ]
    forged += [good.replace(generation, b'"generation":' + wrong) for wrong in (b"-1", b"2147483648", b'"0"', b"true")]
    forged += [good.replace(b'"device_id":"LY-1"', b'"device_id":5'), good[:-1], b"[" * 100_000]
    assert [event_in(record(topic, value)) for value in (None, *forged)] == [None] * (len(forged) + 1)


def test_a_reject_of_ours_is_read_from_its_headers_and_what_is_none_is_passed_over() -> None:
    good = REJECT.to_headers([("gateway", b"G1")])
    assert event_in(record(topics.REJECTS.name, b"{", good)) == REJECT
    forged = [[*good, (f"emberline.{name}", b"-5")] for name in ("source_offset", "source_index", "generation")]
    forged += [[*good, ("emberline.reason", b"\xff")], good[1:], []]
    assert [event_in(record(topics.REJECTS.name, b"{", headers)) for headers in forged] == [None] * len(forged)
