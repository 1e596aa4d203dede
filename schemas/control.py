"""Control records: what workers themselves append to a partition of telemetry, so that its log alone decides.

A control record has the header `emberline.control`, whose value is its kind, and the key `*/KIND`. A `time` record has
no value and says only that time has passed, by its arrival at the broker. It needs no proof of who sent it: a stranger
says no more by it than by any other record.

All other kinds have a value, `Orders`: records of a source topic, copied in their order. They change what is found, so
they bear a MAC under a key that only workers have (`schemas.control_keys`). A record that has the header and a value is
never a report: it is a valid control record, or it is rejected as `bad_control`. Who has no keys passes over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
from msgspec import Meta, Struct

from schemas.control_keys import ControlKeys
from schemas.events import Offset
from schemas.records import Headers, Records
from schemas.registry import ChangeNumber
from schemas.report_rules import Fault

CONTROL: Final = "emberline.control"
"""The header that marks a control record; its value is the kind."""
KEY_ID: Final = "emberline.key-id"
MAC: Final = "emberline.mac"
TIME: Final = b"time"
TIME_KEY: Final = b"*/time"
TIME_HEADERS: Final[Headers] = ((CONTROL, TIME),)
COMMAND: Final = b"command"
"""The kind that holds commands (`schemas.commands`)."""
CHANGE: Final = b"change"
"""The kind that holds records of the registry (`schemas.registry`)."""
KINDS: Final = frozenset({COMMAND, CHANGE})
"""Kinds that have a value and that this release applies."""
BAD_CONTROL: Final = "bad_control"
"""The reason of a record that says it is a control record and is none of ours."""

ORDERS_MOST: Final = 200
VALUE_BYTES_MOST: Final = 262_144
"""What one control record may hold: some 10 ms of work, between which alarms have their turn (control.md, 2)."""
BODY_MOST: Final = 131_072
"""Letters of an order; beyond that it is cut, and refused for it. As many as limits of many devices may take
(`schemas.registry`); the entry of a device with as many components as may be takes half [ours]."""
_CUT_TO: Final = 40_000
"""Letters that fit into a control record whatever they are: in JSON a letter takes six bytes at most."""
SOURCE_MOST: Final = 64
"""Letters of the name of a source: as many as an id may have [ours]."""
_NUMBER_MOST: Final = 2**63 - 1


class Order(Struct, frozen=True, array_like=True):
    """One record of a source topic. `source`, `epoch` and `number` say which change it is (`schemas.registry`), None
    where its headers do not; `body` is its value as text."""

    offset: Offset
    source: Annotated[str, Meta(min_length=1, max_length=SOURCE_MOST)] | None
    epoch: Offset | None
    number: Offset | None
    body: Annotated[str, Meta(max_length=BODY_MOST)]

    @property
    def change(self) -> ChangeNumber | None:
        """Which change it is, if it says so."""
        if self.source is None or self.epoch is None or self.number is None:
            return None
        return ChangeNumber(self.source, self.epoch, self.number)


class Orders(Struct, frozen=True):
    """The value of a control record: records of the same partition of `topic` as they follow each other, of the
    incarnation `topic_id`. `partitions` is how many telemetry had when they were copied: by it the log alone tells
    whose device belongs elsewhere."""

    topic: Annotated[str, Meta(min_length=1, max_length=249)]
    topic_id: UUID
    partitions: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    orders: Annotated[list[Order], Meta(min_length=1, max_length=ORDERS_MOST)]


class ControlRecord(NamedTuple):
    """A valid control record as it was read: its offset and arrival in telemetry, and the id of the key that signed
    it."""

    offset: int
    ingest_ts: int
    kind: str
    key_id: str
    held: Orders


def is_control(value: bytes | None, headers: Headers) -> bool:
    """Whether a record is no report, whatever it holds: one of time, or one that says it is a control record and has a
    value. Any other record is judged as reports are."""
    return _is_marked(headers) if value else (CONTROL, TIME) in headers


def _is_marked(headers: Headers) -> bool:
    return any(name == CONTROL for name, _ in headers)


def without_control(records: Records) -> Records:
    """The records that are to be judged as reports."""
    # Most records have no headers at all.
    if not any(records.headers):
        return records
    kept = np.array([not is_control(*one) for one in zip(records.values, records.headers, strict=True)], np.bool_)
    return records if kept.all() else records.only(kept)


def marked(records: Records) -> list[int]:
    """The numbers of the records that say they are control records and have a value."""
    headers = enumerate(records.headers)
    return [number for number, one in headers if one and records.values[number] and _is_marked(one)]


def times_in(records: Records) -> list[int]:
    """The numbers of the records of time."""
    if all(records.values):
        return []
    return [
        number
        for number, value in enumerate(records.values)
        if not value and is_control(value, records.headers[number])
    ]


def order_of(offset: int, value: bytes | None, headers: Headers) -> Order:
    """A record of a source topic as it is copied."""
    body = (value or b"")[: 4 * BODY_MOST].decode(errors="replace")[:BODY_MOST]
    if len(body) > _CUT_TO and len(msgspec.json.encode(body)) > VALUE_BYTES_MOST - 2_048:
        body = body[:_CUT_TO]
    try:
        change = ChangeNumber.from_headers(headers)
    except ValueError:
        return Order(offset, None, None, None, body)
    numbers = (change.epoch, change.number)
    if not 0 < len(change.source) <= SOURCE_MOST or min(numbers) < 0 or max(numbers) > _NUMBER_MOST:
        return Order(offset, None, None, None, body)
    return Order(offset, *change, body)


def packed(topic: str, topic_id: UUID, partitions: int, orders: Iterable[Order]) -> Iterator[Orders]:
    """The orders in as few control records as hold them."""
    together, size = list[Order](), 0
    for order in orders:
        of_order = len(msgspec.json.encode(order)) + 1
        if together and (len(together) == ORDERS_MOST or size + of_order > VALUE_BYTES_MOST - 1_024):
            yield Orders(topic, topic_id, partitions, together)
            together, size = [], 0
        together.append(order)
        size += of_order
    if together:
        yield Orders(topic, topic_id, partitions, together)


class SignedRecord(NamedTuple):
    """A control record to be sent."""

    key: bytes
    value: bytes
    headers: Headers


def signed(held: Orders, kind: bytes, telemetry_id: UUID, partition: int, keys: ControlKeys) -> SignedRecord:
    """The control record that holds these, for one partition of telemetry, under the first of the keys."""
    value = msgspec.json.encode(held)
    mac = keys.mac(keys.first, _signed_parts(telemetry_id, partition, kind, keys.first.encode(), value))
    return SignedRecord(b"*/" + kind, value, ((CONTROL, kind), (KEY_ID, keys.first.encode()), (MAC, mac)))


def _signed_parts(telemetry_id: UUID, partition: int, kind: bytes, key_id: bytes, value: bytes) -> Sequence[bytes]:
    return telemetry_id.bytes, b"%d" % partition, kind, key_id, value


def opened_control(records: Records, number: int, telemetry_id: UUID, keys: ControlKeys) -> ControlRecord | Fault:
    """What a record says that is marked as a control record; a fault where it is none of ours."""
    value, held = records.values[number] or b"", dict(records.headers[number])
    kind, key_id, mac = (held.get(name) or b"" for name in (CONTROL, KEY_ID, MAC))
    if len(held) != len(records.headers[number]):
        return Fault(BAD_CONTROL, "it has a header twice")
    if records.keys[number] != b"*/" + kind:
        return Fault(BAD_CONTROL, "its key is not that of its kind")
    if len(value) > VALUE_BYTES_MOST:
        return Fault(BAD_CONTROL, f"{len(value)} bytes; a control record has {VALUE_BYTES_MOST} at most")
    name = key_id.decode(errors="replace")
    if name not in keys:
        return Fault(BAD_CONTROL, "no key of EMBERLINE_CONTROL_KEYS_FILE has the id that it names")
    parts = _signed_parts(telemetry_id, records.partition, kind, key_id, value)
    if not keys.verify(name, mac, parts):
        return Fault(BAD_CONTROL, "its MAC is not that of its key, value and partition: no worker sent it as it is")
    if kind not in KINDS:
        return Fault(BAD_CONTROL, f"this release knows no control records of kind {kind.decode(errors='replace')!r}")
    try:
        orders = msgspec.json.decode(value, type=Orders)
    except (ValueError, RecursionError) as error:
        return Fault(BAD_CONTROL, f"it cannot be read: {error}")
    offset, ingest_ts = int(records.offsets[number]), int(records.timestamps[number])
    return ControlRecord(offset, ingest_ts, kind.decode(), name, orders)


def sorted_out(records: Records, telemetry_id: UUID, keys: ControlKeys) -> tuple[Records, dict[int, ControlRecord]]:
    """The valid control records by number; and all records, those among them with their faults that only say they are
    control records."""
    if not (numbers := marked(records)):
        return records, {}
    found = {number: opened_control(records, number, telemetry_id, keys) for number in numbers}
    faults = {number: one for number, one in found.items() if isinstance(one, Fault)}
    valid = {number: one for number, one in found.items() if isinstance(one, ControlRecord)}
    return records._replace(faults={**records.faults, **faults}) if faults else records, valid
