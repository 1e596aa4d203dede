"""Rejects as ClickHouse holds them.

A reject's id names its record on `emberline.rejects`: the topic's incarnation, partition and offset (a record there is
one reject). People see the last 8 digits of the incarnation: those are random in every kind of UUID, the first are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from common.errors import OperatorError
from sinks.clickhouse.service import Service

REPLAY_OF: Final = "emberline-replay-of"
"""Header of a record that was sent again: the id of its reject. It does not begin with `emberline.`, so that it is kept
with the record's own headers when the record is rejected again."""
PAGE_ROWS: Final = 1_000
BATCH_ROWS: Final = 200
BATCH_BYTES: Final = 16 * 1_048_576
"""Bodies fetched and sent at once: one record of the largest size, or some hundred of the usual."""
_SHOWN_DIGITS: Final = 8
_ID: Final = re.compile(r"([0-9a-f]{8,32})-(\d{1,9})-(\d{1,18})")
_FULL_ID: Final = "concat(replaceAll(toString(topic_id), '-', ''), '-', toString(`partition`), '-', toString(`offset`))"
_REPLAY_OF: Final = f"ifNull(arrayFirst(one -> one.1 = '{REPLAY_OF}', headers).2, '')"
_META: Final = f"""
    SELECT topic_id, `partition`, `offset`, reason, detail, source_topic, source_partition, source_offset, source_index,
        toUnixTimestamp64Milli(ingest_ts), reports, cut, gateway, ifNull(length(value), 0), {_REPLAY_OF}
    FROM rejects
"""  # noqa: S608
_BODIES: Final = """
    SELECT topic_id, `partition`, `offset`, key, value, headers FROM rejects
    WHERE (topic_id, `partition`, `offset`) IN %(ids)s
"""


class RejectId(NamedTuple):
    """Where a reject is on its topic."""

    topic_id: UUID
    partition: int
    offset: int

    @property
    def full(self) -> str:
        """Never the same for two rejects: the key on `emberline.replays`, and what the header of a replay says."""
        return f"{self.topic_id.hex}-{self.partition}-{self.offset}"

    def __str__(self) -> str:
        return shortened(self.full)


def shortened(full: str) -> str:
    """An id as people see it."""
    head, dash, rest = full.partition("-")
    return head[-_SHOWN_DIGITS:] + dash + rest


class StoredReject(NamedTuple):
    """A reject without its bytes. It stands for `reports` of them; `cut` is how many bytes its value had where they are
    not all stored, else -1. `replay_of` is the full id of the reject it was a replay of, or empty."""

    id: RejectId
    reason: str
    detail: str
    source_topic: str
    source_partition: int
    source_offset: int
    source_index: int
    ingest_ts: int
    reports: int
    cut: int
    gateway: str
    size: int
    replay_of: str

    @property
    def source(self) -> str:
        """Where the record itself is, as long as its topic keeps it."""
        return f"{self.source_topic} partition {self.source_partition} offset {self.source_offset}"


class Body(NamedTuple):
    """The rejected record's own key, bytes and headers."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class OffsetRange(NamedTuple):
    """Offsets of one partition of one incarnation of the topic, those after `after` up to `last`."""

    topic_id: UUID
    partition: int
    after: int
    last: int


_OFFSET_RANGE: Final = (
    "topic_id = toUUID(%(topic_id)s) AND `partition` = %(partition)s AND `offset` > %(after)s AND `offset` <= %(last)s"
)


@dataclass(frozen=True, slots=True)
class RejectFilter:
    """Which rejects are meant; what is None is not asked for. `ids` are as people write them.

    `folded` leaves out those whose replay was rejected again: that later reject stands for them.
    """

    ids: Sequence[str] = ()
    reason: str | None = None
    topic: str | None = None
    from_ts: int | None = None
    to_ts: int | None = None
    offset_range: OffsetRange | None = None
    folded: bool = False

    @classmethod
    def of(cls, ids: Sequence[str], **filters: Any) -> Self:
        """Check what an operator wrote. Raises OperatorError."""
        for text in ids:
            if not _ID.fullmatch(text):
                raise OperatorError(f"{text!r} is no id of a reject; `emberline rejects list` shows them")
        if ids and any(value is not None for value in filters.values()):
            raise OperatorError("give ids or filters, not both")
        found = cls(ids, **filters)
        if found.from_ts is not None and found.to_ts is not None and found.from_ts >= found.to_ts:
            raise OperatorError("--from must lie before --to")
        return found

    def where(self) -> tuple[str, dict[str, Any]]:
        """As SQL and its parameters."""
        asked: dict[str, Any] = {}
        conditions = ["1"]
        for name, (condition, value) in self._conditions().items():
            if value is not None:
                conditions.append(condition)
                asked[name] = value
        if self.ids:
            conditions.append("(" + " OR ".join(_by_id(*numbered, asked) for numbered in enumerate(self.ids)) + ")")
        if self.offset_range is not None:
            conditions.append(_OFFSET_RANGE)
            asked |= {
                name: str(value) if name == "topic_id" else value for name, value in self.offset_range._asdict().items()
            }
        if self.folded:
            conditions.append(f"{_FULL_ID} NOT IN (SELECT {_REPLAY_OF} FROM rejects WHERE {_REPLAY_OF} != '')")  # noqa: S608
        return " WHERE " + " AND ".join(conditions), asked

    def _conditions(self) -> dict[str, tuple[str, Any]]:
        return {
            "reason": ("reason = %(reason)s", self.reason),
            "source": ("source_topic = %(source)s", self.topic),
            "begin": ("ingest_ts >= fromUnixTimestamp64Milli(toInt64(%(begin)s))", self.from_ts),
            "end": ("ingest_ts < fromUnixTimestamp64Milli(toInt64(%(end)s))", self.to_ts),
        }


def _by_id(number: int, text: str, asked: dict[str, Any]) -> str:
    match = _ID.fullmatch(text)
    assert match is not None  # noqa: S101 - checked by RejectFilter.of
    asked |= {f"t{number}": match[1], f"p{number}": int(match[2]), f"o{number}": int(match[3])}
    topic = f"endsWith(replaceAll(toString(topic_id), '-', ''), %(t{number})s)"
    return f"(`partition` = %(p{number})s AND `offset` = %(o{number})s AND {topic})"


def newest(service: Service, wanted: RejectFilter, limit: int) -> list[StoredReject]:
    """The newest of the wanted, newest first."""
    where, asked = wanted.where()
    rows = service.query(f"{_META}{where} ORDER BY ingest_ts DESC, `offset` DESC LIMIT {limit}", asked)
    return [_stored(row) for row in rows]


def count(service: Service, wanted: RejectFilter) -> int:
    """How many are wanted."""
    where, asked = wanted.where()
    return int(service.query(f"SELECT count() FROM rejects{where}", asked)[0][0])  # noqa: S608


def offset_ranges(service: Service, wanted: RejectFilter) -> list[OffsetRange]:
    """Where the wanted are, as of now: what a replay of them adds to the rejects lies behind these ranges."""
    where, asked = wanted.where()
    rows = service.query(
        f"SELECT topic_id, `partition`, -1, max(`offset`) FROM rejects{where} "  # noqa: S608
        "GROUP BY topic_id, `partition` ORDER BY `partition`, topic_id",
        asked,
    )
    return [OffsetRange(*row) for row in rows]


def of_range(service: Service, wanted: RejectFilter, offset_range: OffsetRange) -> Iterator[StoredReject]:
    """The wanted of one range, in the order of their offsets, fetched a page at a time."""
    while True:
        where, asked = replace(wanted, offset_range=offset_range).where()
        rows = service.query(f"{_META}{where} ORDER BY `offset` LIMIT {PAGE_ROWS}", asked)
        page = [_stored(row) for row in rows]
        yield from page
        if len(page) < PAGE_ROWS:
            return
        offset_range = offset_range._replace(after=page[-1].id.offset)


def by_ids(service: Service, ids: Sequence[str]) -> list[StoredReject]:
    """Exactly one reject for each id. Raises OperatorError where there is none, or more than one."""
    found = newest(service, RejectFilter.of(ids), len(ids) + PAGE_ROWS) if ids else []
    for text in ids:
        match = [one for one in found if _is(one.id, text)]
        if not match:
            raise OperatorError(f"there is no reject {text}; `emberline rejects list` shows them")
        if len(match) > 1:
            raise OperatorError(f"{text} may be any of {', '.join(one.id.full for one in match)}; give the whole id")
    return found


def _is(found: RejectId, text: str) -> bool:
    return found.full.endswith(text) and found.full.partition("-")[2] == text.partition("-")[2]


def bodies(service: Service, ids: Sequence[RejectId]) -> dict[RejectId, Body]:
    """Keys, bytes and headers as they came."""
    asked = {"ids": tuple((str(one.topic_id), one.partition, one.offset) for one in ids)}
    rows = service.call(lambda client: client.execute(_BODIES, asked, settings={"strings_as_bytes": True}))
    return {
        RejectId(topic_id, partition, offset): Body(key, value, [(name.decode(), one) for name, one in headers])
        for topic_id, partition, offset, key, value, headers in rows
    }


def batches(rejects: Iterator[StoredReject]) -> Iterator[list[StoredReject]]:
    """The rejects in lists small enough to fetch with their bytes."""
    batch: list[StoredReject] = []
    size = 0
    for one in rejects:
        if batch and (len(batch) >= BATCH_ROWS or size + one.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.size
    if batch:
        yield batch


def _stored(row: tuple[Any, ...]) -> StoredReject:
    return StoredReject(RejectId(*row[:3]), *row[3:])
