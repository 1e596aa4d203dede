"""Events and rejects come back from the wire as they went."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Aggregate, Alarm, DeviceStatus, alarm_id
from schemas.rejects import RejectEvent, event_of, original_headers
from schemas.report_rejects import Reject
from schemas.report_rules import MAX_DETAIL_BYTES, Fault

PROFILE = settings(max_examples=50, deadline=None, derandomize=True)
STATISTICS = {"count": [2, 0], "min": [0.1, None], "max": [0.3, None], "mean": [0.2, None], "last": [0.3, None]}
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "float | None": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "str": st.text(),
    "bool": st.booleans(),
    "list[str]": st.lists(st.text()),
    "dict[str, dict[str, list[Any]]]": st.just({"temperature_c": STATISTICS}),
}
EVENTS = (Alarm, Aggregate, DeviceStatus)
header_names = st.text(min_size=1).filter(lambda name: not name.startswith("emberline."))
headers = st.lists(st.tuples(header_names, st.none() | st.binary()), max_size=4)


@PROFILE
@given(data=st.data(), kind=st.sampled_from(EVENTS))
def test_an_event_comes_back_from_json_as_it_went(data: st.DataObject, kind: Any) -> None:
    drawn = {field.name: data.draw(OF_TYPE[str(field.type)]) for field in fields(kind)}
    event = kind(**{**drawn, "v": 1})
    assert kind.from_json(event.to_json()) == event


@pytest.mark.parametrize("value", [b'{"v":2}', b"{}", b'{"v":1}', b"[]", b"17", b"null", b"{", b""])
def test_what_is_not_an_event_of_this_version_is_refused_as_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        DeviceStatus.from_json(value)


def test_an_event_of_a_later_release_with_more_fields_is_read() -> None:
    event = DeviceStatus(1, "LY-1", "smoke_detector", False, "online", [], 5, 6, 7)
    assert DeviceStatus.from_json(orjson.dumps({**orjson.loads(event.to_json()), "more": 1})) == event


def test_an_alarms_id_follows_from_what_it_is_about_and_nothing_else() -> None:
    ids = {
        alarm_id(device, component, kind, episode, test)
        for device in ("LY-1", "LY-10")
        for component in (0, 1)
        for kind in ("temperature", "arc_fault")
        for episode in (1, 2)
        for test in (False, True)
    }
    assert len(ids) == 32
    assert alarm_id("LY-1", 0, "temperature", 1, False) in ids


@PROFILE
@given(
    original=headers,
    detail=st.text() | st.text(min_size=80, max_size=400),
    offset=st.integers(0),
    index=st.integers(-1),
    key=st.none() | st.binary(),
    reports=st.sampled_from([1, 2, 1_000]),
    cut=st.sampled_from([-1, 0, 50_000]),
)
def test_a_reject_comes_back_from_its_headers_with_the_records_own(
    original: list[tuple[str, bytes | None]],
    detail: str,
    offset: int,
    index: int,
    key: bytes | None,
    reports: int,
    cut: int,
) -> None:
    reject = Reject(offset, index, Fault("not_json", detail), key, b"{", original, 99, reports, cut)
    event = event_of(reject, "emberline.telemetry", 4)
    sent = event.to_headers(original)
    read = RejectEvent.from_headers(sent)
    assert read == replace(event, detail=read.detail)
    assert detail.startswith(read.detail)
    assert (read.detail == detail) == (len(detail.encode()) <= MAX_DETAIL_BYTES)
    assert original_headers(sent) == original
    assert (event.source_topic, event.source_partition, event.source_offset) == ("emberline.telemetry", 4, offset)


def test_a_record_rejected_twice_carries_one_set_of_our_headers() -> None:
    event = RejectEvent("not_json", "x", "emberline.telemetry", 1, 2, -1, 3)
    again = event.to_headers(event.to_headers([("gateway", b"G1")]))
    assert [name for name, _ in again].count("emberline.reason") == 1


@pytest.mark.parametrize("name", [field.name for field in fields(RejectEvent) if field.default is MISSING])
def test_a_missing_header_of_ours_that_each_has_is_named(name: str) -> None:
    sent = RejectEvent("not_json", "x", "emberline.telemetry", 1, 2, -1, 3).to_headers([])
    with pytest.raises(ValueError, match=f"emberline.{name} is missing"):
        RejectEvent.from_headers([header for header in sent if header[0] != f"emberline.{name}"])


def test_a_malformed_number_in_the_headers_is_a_value_error() -> None:
    sent = dict(RejectEvent("not_json", "x", "emberline.telemetry", 1, 2, -1, 3).to_headers([]))
    with pytest.raises(ValueError, match="x1"):
        RejectEvent.from_headers(list({**sent, "emberline.source_offset": b"x1"}.items()))
