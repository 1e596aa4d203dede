"""Events and rejects come back from the wire as they went."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect, structs

from schemas.events import Aggregate, Alarm, DeviceStatus, alarm_id
from schemas.rejects import RejectEvent, event_of, original_headers
from schemas.report_rejects import Reject
from schemas.report_rules import MAX_DETAIL_BYTES, Fault
from tests.sinks import samples

PROFILE = settings(max_examples=50, deadline=None, derandomize=True)
EVENTS = (Alarm, Aggregate, DeviceStatus)
GOOD = {Alarm: samples.alarm(), Aggregate: samples.aggregate(), DeviceStatus: samples.status()}


def fields(kind: type[Any]) -> tuple[inspect.Field, ...]:
    """The fields of a kind of event, and what each may be."""
    told = inspect.type_info(kind)
    assert isinstance(told, inspect.StructType)
    return told.fields


def values(of: inspect.Type) -> st.SearchStrategy[Any]:
    """All that may be of a type."""
    match of:
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case inspect.StrType():
            return st.text()
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.UnionType(types=types):
            return st.one_of(*map(values, types))
        case inspect.ListType(item_type=item, max_length=most):
            return st.lists(values(item), max_size=most)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=2)
        case inspect.TypedDictType(fields=told):
            return st.fixed_dictionaries({one.name: values(one.type) for one in told})
    raise AssertionError(of)


OF_TYPES: list[tuple[Any, set[type[inspect.Type]]]] = [
    (True, {inspect.BoolType}),
    (1, {inspect.IntType, inspect.FloatType}),
    (0.5, {inspect.FloatType}),
    ("x", {inspect.StrType}),
    (None, {inspect.NoneType}),
    ([None], set()),
    ({"x": None}, set()),
]
"""Values, and what fields may have them."""


def altered(event: Any, /, **changes: Any) -> bytes:
    return orjson.dumps({**orjson.loads(event.to_json()), **changes})


def bounded(kind: type[Any]) -> list[tuple[str, Any, Any]]:
    """The fields of whole numbers as they are written, and from where to where these may be."""
    return [
        (one.encode_name, one.type.ge, one.type.le)
        for one in fields(kind)
        if isinstance(one.type, inspect.IntType) and one.name != "v"
    ]


NOT_JSON = [b"", b"{", b"\xff", b"null", b"[]", b"17", b'"x"', b"[" * 200_000, b'{"v":1,"x":' * 100_000]
header_names = st.text(min_size=1).filter(lambda name: not name.startswith("emberline."))
headers = st.lists(st.tuples(header_names, st.none() | st.binary()), max_size=4)


@PROFILE
@given(data=st.data(), kind=st.sampled_from(EVENTS))
def test_an_event_comes_back_from_json_as_it_went(data: st.DataObject, kind: Any) -> None:
    drawn = {field.name: data.draw(values(field.type)) for field in fields(kind)}
    event = kind(**{**drawn, "v": 1})
    assert kind.from_json(event.to_json()) == event


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("value", [None, b"{}", *NOT_JSON])
def test_what_is_no_event_is_refused_as_a_value_error(value: bytes | None, kind: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        kind.from_json(value)


@PROFILE
@given(value=st.binary(), kind=st.sampled_from(EVENTS))
def test_bytes_of_anybody_are_refused_as_a_value_error(value: bytes, kind: Any) -> None:
    good = GOOD[kind].to_json()
    for told in (value, good.replace(b'"LY-1"', b"?" + value), good.replace(b"LY-1", b"\xff" + value)):
        with pytest.raises(ValueError, match=r"."):
            kind.from_json(told)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_of_another_version_is_refused_with_both_versions(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^version 2; this program reads version 1$"):
        kind.from_json(b'{"v":2,"device_id":[]}')


@pytest.mark.parametrize(("kind", "one"), [(kind, one) for kind in EVENTS for one in fields(kind)[1:]])
def test_a_field_of_another_type_is_refused_by_its_name(kind: Any, one: inspect.Field) -> None:
    types = set(map(type, one.type.types if isinstance(one.type, inspect.UnionType) else [one.type]))
    for value in (value for value, taken in OF_TYPES if not types & taken):
        with pytest.raises(ValueError, match=rf"Expected `.*\$\.{one.name}"):
            kind.from_json(altered(GOOD[kind], **{one.name: value}))


@pytest.mark.parametrize(("kind", "bounds"), [(kind, one) for kind in EVENTS for one in bounded(kind)])
def test_a_whole_number_is_read_within_its_bounds_only(kind: Any, bounds: tuple[str, int, int]) -> None:
    name, least, most = bounds
    for value in (least, most):
        assert getattr(kind.from_json(altered(GOOD[kind], **{name: value})), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=rf"Expected `int` [<>]= .*\$\.{name}"):
            kind.from_json(altered(GOOD[kind], **{name: value}))


@pytest.mark.parametrize("kind", EVENTS)
def test_a_field_that_each_has_is_missed_by_its_name_and_others_have_defaults(kind: Any) -> None:
    for one in fields(kind):
        told = orjson.loads(GOOD[kind].to_json())
        del told[one.name]
        if one.required:
            with pytest.raises(ValueError, match=f"missing required field `{one.name}`"):
                kind.from_json(orjson.dumps(told))
        else:
            # Of releases before nothing is known but that what they tell of was active, unless it recovered.
            assert getattr(kind.from_json(orjson.dumps(told)), one.name) in (
                (True,) if one.name == "active" else (0, "")
            )


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_of_a_later_release_with_more_fields_is_read(kind: Any) -> None:
    assert kind.from_json(altered(GOOD[kind], more={"a": [1]})) == GOOD[kind]


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
    offset=st.integers(0, 2**63 - 1),
    index=st.integers(-1, 2**31 - 1),
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
    assert read == structs.replace(event, detail=read.detail)
    assert detail.startswith(read.detail)
    assert (read.detail == detail) == (len(detail.encode()) <= MAX_DETAIL_BYTES)
    assert original_headers(sent) == original
    assert (event.source_topic, event.source_partition, event.source_offset) == ("emberline.telemetry", 4, offset)


def test_a_record_rejected_twice_carries_one_set_of_our_headers() -> None:
    event = RejectEvent("not_json", "x", "emberline.telemetry", 1, 2, -1, 3)
    again = event.to_headers(event.to_headers([("gateway", b"G1")]))
    assert [name for name, _ in again].count("emberline.reason") == 1


@pytest.mark.parametrize("name", [one.encode_name for one in fields(RejectEvent) if one.required])
def test_a_missing_header_of_ours_that_each_has_is_named(name: str) -> None:
    sent = RejectEvent("not_json", "x", "emberline.telemetry", 1, 2, -1, 3).to_headers([])
    with pytest.raises(ValueError, match=f"missing required field `{name}`"):
        RejectEvent.from_headers([header for header in sent if header[0] != name])


@pytest.mark.parametrize(("name", "least", "most"), bounded(RejectEvent))
def test_a_header_of_ours_that_is_no_number_or_out_of_its_bounds_is_named(name: str, least: int, most: int) -> None:
    sent = RejectEvent("not_json", "x", "emberline.telemetry", 1, 2, -1, 3, 4, 5, 6).to_headers([])
    for wrong in (b"", None, b"x1", b"1.5", b"9" * 5_000, b"%d" % (least - 1), b"%d" % (most + 1)):
        with pytest.raises(ValueError, match=name):
            RejectEvent.from_headers([(one, wrong if one == name else told) for one, told in sent])


def test_a_header_of_ours_that_is_no_text_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        RejectEvent.from_headers([("emberline.reason", b"\xff")])
