"""What a sender sends is told but not multiplied: the rejects of a record are at most four times as large as it was
sent and 1000 bytes more, and whatever is left out says so."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import orjson
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from schemas.records import Headers, Records
from schemas.rejects import RejectEvent, event_of
from schemas.report_rejects import Reject, reject_reports
from schemas.report_rules import Fault
from schemas.reports import decode
from tests.schemas.given_records import MONITOR, garbage, mutants, records_of, said

PROFILE = settings(
    max_examples=200, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
LAST_OFFSET = 2**63 - 100


def on_the_wire(reject: Reject) -> int:
    """Bytes of key, value and headers of a reject as it goes out."""
    event = event_of(reject, "emberline.telemetry", 2**31 - 1)
    headers = structs.replace(event, generation=2**31 - 1, source_topic_id=str(UUID(int=0))).to_headers(reject.headers)
    told = sum(len(name.encode()) + len(value or b"") for name, value in headers)
    return told + len(reject.key or b"") + len(reject.value or b"")


def sent(records: Records) -> int:
    """Bytes that the one record took of its batch."""
    (key,), (value,), (headers,) = records.keys, records.values, records.headers
    whole = len(key or b"") + len(value or b"") + sum(len(name.encode()) + len(held or b"") for name, held in headers)
    return whole if records.sent_bytes is None else int(records.sent_bytes[0])


def one_record(
    value: bytes, key: bytes | None = b"LY-1", headers: Headers = (), sent_bytes: int | None = None
) -> Records:
    """A record at the end of a long log, whose numbers take the most room."""
    records = records_of([value], [key], headers, None if sent_bytes is None else [sent_bytes])
    return records._replace(offsets=records.offsets + LAST_OFFSET)


def assert_bounded(records: Records) -> list[Reject]:
    """Also where all reports that can be read are refused. The rejects of what cannot be read."""
    reports, rejects = decode(records)
    good = zip(reports.good.offset.tolist(), reports.good.index.tolist(), strict=True)
    refused = reject_reports(records, dict.fromkeys(good, Fault("too_many_devices", "电" * 100)))
    assert sum(map(on_the_wire, [*rejects, *refused])) <= 4 * sent(records) + 1_000
    assert sum(reject.reports for reject in rejects) == len(said(records)[1])
    assert sum(reject.reports for reject in refused) == len(reports.good)
    return rejects


long_texts = st.builds(lambda text, times: text * times, st.text(max_size=5), st.sampled_from([1, 40, 3_000]))
odd_fields = st.dictionaries(st.sampled_from(["v", "device_id", "device_kind", "x"]), garbage | long_texts, max_size=3)
many = st.builds(
    lambda some, times: some * times, st.lists(mutants() | odd_fields, max_size=4), st.sampled_from([1, 3, 250])
)


@PROFILE
@given(
    value=many.map(orjson.dumps) | mutants().map(orjson.dumps) | st.binary(max_size=3_000),
    key=st.none() | st.binary(max_size=20) | st.sampled_from([b"k" * 5_000]),
    headers=st.lists(st.tuples(long_texts, st.none() | st.binary(max_size=9)), max_size=3),
    squeezed=st.sampled_from([None, 1, 10, 1_000]),
)
@example(
    value=orjson.dumps([{}, {"v": "电" * 64, "device_id": 1}]), key=b"", headers=[("x", b"y" * 310)], squeezed=1_000
)
def test_rejects_of_any_record_stay_within_four_times_what_was_sent(
    value: bytes, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], squeezed: int | None
) -> None:
    whole = sent(one_record(value, key, headers))
    assert_bounded(one_record(value, key, headers, squeezed and max(1, whole // squeezed)))


@pytest.mark.parametrize(
    "value",
    [
        b"[" + b",".join([b"{}"] * 1_000) + b"]",
        b"[" + b",".join([b"5"] * 1_000) + b"]",
        b"[" + b",".join([b"{}"] * 1_001) + b"]",
        b"[" * 500_000,
        b"[" * 900 + b"]" * 900,
        orjson.dumps([{"v": "电" * 200}, {}] * 500),
    ],
    ids=["objects", "numbers", "too many", "open", "nested", "long and short"],
)
@pytest.mark.parametrize("key", [b"LY-1", b"k" * 100_000])
@pytest.mark.parametrize("headers", [(), (("gateway", b"G1"),), (("x" * 100_000, b"y" * 100_000),)])
@pytest.mark.parametrize("sent_bytes", [None, 100])
def test_neither_many_reports_nor_long_keys_and_headers_nor_compression_multiply(
    value: bytes, key: bytes, headers: Headers, sent_bytes: int | None
) -> None:
    assert_bounded(one_record(value, key, headers, sent_bytes))


def test_rejects_too_many_to_tell_each_are_told_by_the_last_one() -> None:
    *each, last = assert_bounded(one_record(b"[" + b",".join([b"{}"] * 1_000) + b"]"))
    assert [(reject.index, reject.reports, reject.cut) for reject in each] == [
        (number, 1, -1) for number in range(len(each))
    ]
    assert (last.index, last.reports, last.cut, last.value) == (len(each), 1_000 - len(each), 3_001, None)
    assert "too many to tell each" in last.fault.detail
    assert last.fault.reason == "missing_field"


def test_a_reject_that_is_cut_says_how_long_its_value_was() -> None:
    (reject,) = assert_bounded(one_record(b" " * 50_000, sent_bytes=1_000))
    assert reject.value is not None
    assert (reject.cut, len(reject.value) < 5_000, reject.value == b" " * len(reject.value)) == (50_000, True, True)
    event = event_of(reject, "emberline.telemetry", 7)
    assert RejectEvent.from_headers(event.to_headers(())).cut == 50_000


def test_of_what_there_is_no_room_for_headers_go_first_then_the_key_then_the_end_of_the_value() -> None:
    long = (("x", b"y" * 9_000),)
    (whole,) = assert_bounded(one_record(b"{", b"LY-1", long))
    assert (whole.headers, whole.key, whole.value, whole.cut) == (long, b"LY-1", b"{", -1)
    (cut,) = assert_bounded(one_record(b"{" * 40, b"k" * 100, long, sent_bytes=50))
    assert (cut.headers, cut.key, cut.value, cut.cut) == ((), b"k" * 100, b"{" * 40, 40)
    (cut,) = assert_bounded(one_record(b"{" * 4_000, b"k" * 3_000, long, sent_bytes=50))
    assert (cut.headers, cut.key, cut.cut) == ((), None, 4_000)


def test_rejects_of_reports_that_could_be_read_are_bounded_alike_and_leave_the_bytes_to_where_they_are_stored() -> None:
    records = one_record(orjson.dumps([MONITOR] * 1_000), sent_bytes=2_000)
    fault = Fault("too_many_devices", "x" * 500)
    rejects = reject_reports(records, {(int(records.offsets[0]), index): fault for index in range(0, 1_000, 2)})
    assert sum(map(on_the_wire, rejects)) <= 4 * 2_000 + 1_000
    assert sum(reject.reports for reject in rejects) == 500
    assert {(reject.fault.reason, reject.value) for reject in rejects} == {("too_many_devices", None)}


def test_a_reject_that_has_little_room_says_less_in_words() -> None:
    records = one_record(orjson.dumps(MONITOR), sent_bytes=1)
    (reject,) = reject_reports(records, {(int(records.offsets[0]), 0): Fault("device_floods", "x" * 500)})
    assert (reject.fault.reason, 0 < len(reject.fault.detail) < 500) == ("device_floods", True)
    assert on_the_wire(reject) <= 401
