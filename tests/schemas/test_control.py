"""A control record is a worker's own or it is rejected: any byte that is signed, changed, shows."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
import pytest

from schemas.control import (
    BAD_CONTROL,
    BODY_MOST,
    COMMAND,
    CONTROL,
    KEY_ID,
    MAC,
    ORDERS_MOST,
    TIME_HEADERS,
    TIME_KEY,
    VALUE_BYTES_MOST,
    ControlRecord,
    Order,
    Orders,
    is_control,
    opened_control,
    order_of,
    packed,
    signed,
    sorted_out,
    times_in,
)
from schemas.control_keys import NO_KEYS, ControlKeys
from schemas.records import Headers, Records
from schemas.registry import ChangeNumber
from schemas.report_rules import Fault
from schemas.reports import decode

TELEMETRY: Final = UUID(int=11)
KEYS: Final = ControlKeys.of(f"new {'5a' * 32}\nold {'c3' * 40} # till spring")
HELD: Final = Orders("emberline.commands", UUID(int=12), 8, [Order(41, "registry", 1, 18, '{"v":1}')])
KEY, VALUE, HEADERS = signed(HELD, COMMAND, TELEMETRY, 3, KEYS)
REPORT: Final = b'{"v":1,"device_id":"LY-1","device_kind":"electrical_monitor","residual_current_ma":[1.0]}'


def records_of(*records: tuple[bytes | None, bytes | None, Headers], partition: int = 3) -> Records:
    keys, values, headers = zip(*records, strict=True)
    size = len(records)
    return Records("emberline.telemetry", partition, np.arange(7, 7 + size), np.full(size, 90), keys, values, headers)


def read(
    key: bytes | None = KEY, value: bytes = VALUE, partition: int = 3, telemetry: UUID = TELEMETRY, **headers: Any
) -> ControlRecord | Fault:
    changed = {name.replace("_", "-"): text for name, text in headers.items()}
    held = [(name, changed.get(name.removeprefix("emberline."), text)) for name, text in HEADERS]
    return opened_control(records_of((key, value, held), partition=partition), 0, telemetry, KEYS)


def test_what_a_worker_signed_is_read_back() -> None:
    assert read() == ControlRecord(7, 90, "command", "new", HELD)
    old = ControlKeys.of(f"old {'c3' * 40}")
    by_old = records_of(signed(HELD, COMMAND, TELEMETRY, 3, old))
    assert opened_control(by_old, 0, TELEMETRY, KEYS) == ControlRecord(7, 90, "command", "old", HELD)


@pytest.mark.parametrize(
    "changed",
    [
        {"telemetry": UUID(int=13)},
        {"partition": 4},
        {"control": b"change", "key": b"*/change"},
        {"control": b"command", "key": b"*/time"},
        {"key": None},
        {"key_id": b"old"},
        {"key_id": b"neither"},
        {"key_id": b"\xff"},
        {"mac": b""},
        {"mac": bytes(32)},
        {"value": VALUE.replace(b"18", b"19")},
        {"value": VALUE + b" "},
        {"value": b"x" * (VALUE_BYTES_MOST + 1)},
    ],
)
def test_one_in_which_anything_differs_is_none(changed: dict[str, Any]) -> None:
    found = read(**changed)
    assert isinstance(found, Fault)
    assert found.reason == BAD_CONTROL


@pytest.mark.parametrize("bit", range(0, 256, 17))
def test_every_bit_of_the_mac_counts(bit: int) -> None:
    mac = bytearray(dict(HEADERS)[MAC] or b"")
    mac[bit // 8] ^= 1 << bit % 8
    assert isinstance(read(mac=bytes(mac)), Fault)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("orders", []),
        ("orders", [[1, None, None, None, ""]] * (ORDERS_MOST + 1)),
        ("orders", [[-1, None, None, None, ""]]),
        ("orders", [[1, "s" * 65, 1, 1, ""]]),
        ("orders", [[1, None, None, None, "x" * (BODY_MOST + 1)]]),
        ("partitions", 0),
        ("topic_id", "7"),
        ("topic", None),
    ],
)
def test_what_is_signed_and_out_of_its_bounds_is_told_and_applied_by_nobody(name: str, value: object) -> None:
    changed = orjson.dumps(orjson.loads(VALUE) | {name: value})
    mac = KEYS.mac("new", (TELEMETRY.bytes, b"3", COMMAND, b"new", changed))
    found = read(value=changed, mac=mac)
    assert isinstance(found, Fault)
    assert found.detail.startswith("it cannot be read: ")


def test_parts_that_join_to_the_same_bytes_are_signed_apart() -> None:
    assert KEYS.mac("new", (b"3", b"1")) != KEYS.mac("new", (b"31", b""))


def test_a_header_that_stands_twice_is_told() -> None:
    twice = [*HEADERS, (CONTROL, b"time")]
    found = opened_control(records_of((KEY, VALUE, twice)), 0, TELEMETRY, KEYS)
    assert isinstance(found, Fault)


def test_marked_records_are_no_reports_whoever_reads_them() -> None:
    forged: tuple[bytes, bytes, Headers] = (b"LY-1", REPORT, [(CONTROL, b"time")])
    empty: tuple[bytes, None, Headers] = (b"LY-1", None, [(CONTROL, b"command")])
    records = records_of((b"LY-1", REPORT, ()), forged, (KEY, VALUE, HEADERS), (TIME_KEY, b"", TIME_HEADERS), empty)
    # Who has no keys, as the sink, passes over all of them but the one without a value.
    reports, rejects = decode(records)
    assert reports.offset.tolist() == [7, 11]
    assert [(one.offset, one.fault.reason) for one in rejects] == [(11, "empty_record")]

    judged, valid = sorted_out(records, TELEMETRY, KEYS)
    assert valid == {2: ControlRecord(9, 90, "command", "new", HELD)}
    reports, rejects = decode(judged)
    assert reports.good.offset.tolist() == [7]
    assert [(one.offset, one.fault.reason) for one in rejects] == [(8, BAD_CONTROL), (11, "empty_record")]
    # Its bytes are kept, and nothing says that the device of its key talks.
    assert (rejects[0].key, rejects[0].value) == (b"LY-1", REPORT)
    assert reports.offset.tolist() == [7, 11]
    assert times_in(records) == [3]

    _, valid = sorted_out(records, TELEMETRY, NO_KEYS)
    assert not valid
    assert is_control(REPORT, [(CONTROL, None)])
    assert not is_control(None, [(CONTROL, None)])


def test_a_record_is_copied_whatever_it_is() -> None:
    headers = ChangeNumber("registry", 1, 18).to_headers()
    assert order_of(5, b"{}", headers) == Order(5, "registry", 1, 18, "{}")
    assert order_of(5, b"{}", headers).change == ChangeNumber("registry", 1, 18)
    assert order_of(5, None, ()) == Order(5, None, None, None, "")
    assert order_of(5, b"\xff\xfe", headers).body == "\ufffd\ufffd"
    assert len(order_of(5, b"f" * 300_000, headers).body) == BODY_MOST
    # What would not fit into a control record as JSON is cut to what always does.
    assert len(order_of(5, "火".encode() * 100_000, headers).body) == 40_000
    assert len(order_of(5, "火".encode() * 80_000, headers).body) == 80_000
    for name, text in (
        ("source", b""),
        ("source", b"s" * 65),
        ("epoch", b"-1"),
        ("number", b"9" * 19),
        ("number", b"x"),
    ):
        changed = [(one, text if one == f"emberline.{name}" else value) for one, value in headers]
        assert order_of(5, b"{}", changed).change is None


def test_orders_are_packed_in_their_order_within_the_bounds() -> None:
    orders = [Order(offset, "registry", 1, offset, "\x01" * (offset % 7) * 1_000) for offset in range(700)]
    held = list(packed("emberline.commands", UUID(int=12), 8, orders))
    assert [order for one in held for order in one.orders] == orders
    for one in held:
        record = signed(one, COMMAND, TELEMETRY, 3, KEYS)
        assert isinstance(opened_control(records_of(record), 0, TELEMETRY, KEYS), ControlRecord)
    assert max(len(one.orders) for one in packed("t", UUID(int=1), 8, [Order(0, None, None, None, "")] * 500)) == 200
    for letter in (b"\x01", "火".encode(), b"f", b'"'):
        body = order_of(0, letter * BODY_MOST, ()).body
        (longest,) = packed("t" * 249, UUID(int=1), 8, [Order(2**63 - 1, "\x01" * 64, 2**63 - 1, 2**63 - 1, body)])
        assert len(signed(longest, COMMAND, TELEMETRY, 3, KEYS).value) <= VALUE_BYTES_MOST


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it holds no key"),
        ("# nothing\n\n", "it holds no key"),
        ("new", "line 1 is not `ID HEX`"),
        (f"new {'5a' * 32} more", "line 1 is not `ID HEX`"),
        (f"a.b {'5a' * 32}", "line 1: an id has 1 to 32"),
        (f"{'n' * 33} {'5a' * 32}", "line 1: an id has 1 to 32"),
        ("\nnew zz", "line 2: the key is not in hexadecimal digits"),
        (f"new {'5a' * 31}", "line 1: the key has 31 bytes and needs 32"),
        (f"new {'5a' * 32}\nnew {'5b' * 32}", "line 2: its id stands above already"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_is_told_without_showing_a_key(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        ControlKeys.of(text)
    assert "5a5a" not in str(told.value)


def test_keys_are_shown_by_their_ids_alone() -> None:
    assert repr(KEYS) == "ControlKeys(new, old)"
    assert (KEYS.first, "old" in KEYS, bool(NO_KEYS)) == ("new", True, False)
    assert dict(HEADERS)[KEY_ID] == b"new"
