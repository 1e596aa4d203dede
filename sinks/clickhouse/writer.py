"""The ClickHouse sink: every row once, whoever else writes and whenever he wakes.

An INSERT is atomic within one partition of its table, that is one month of `ingest_ts`. So `write` cuts a block where
the month changes, and sends each piece, in order, as one INSERT of one block. ClickHouse makes one part of it, or none.

The server stores of a part what is beyond the highest offset stored of its partition. It stores nothing at all if the
sink has lost its claim on one of the part's partitions, or if less is stored of one than the sink knows of: then the
server was restored from a backup, and what lies between would be missing for ever. Why this is exact is argued in
`sinks.clickhouse.claims`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from typing import Any, Final
from uuid import UUID

import numpy as np

from schemas.positions import Position
from sinks.blocks import cut
from sinks.clickhouse import marks
from sinks.clickhouse.claims import HIGHEST, Claims, Whence
from sinks.clickhouse.config import Config
from sinks.clickhouse.rows import TABLES
from sinks.clickhouse.service import ROWS_GONE, Service
from sinks.clickhouse.wire import BlockClient
from sinks.columns import Labels
from sinks.contract import Block

log = logging.getLogger("emberline.clickhouse")

MAX_INSERT_ROWS: Final = 500_000
"""Below the million rows from which a server may make more than one part of an INSERT; 100 MB of telemetry [ours]."""
SETTINGS: Final = {
    # The answer comes when the rows are stored, not when they are queued.
    "async_insert": 0,
    # Repeats are known by their offsets; rows that were dropped since may be written again.
    "insert_deduplicate": 0,
    # One block in, one part out: neither split nor held back.
    "max_insert_threads": 1,
    "max_insert_block_size": 2 * MAX_INSERT_ROWS,
    "min_insert_block_size_rows": 2 * MAX_INSERT_ROWS,
    "min_insert_block_size_bytes": 0,
    # Seconds the server waits for more of a block. While it waits it does not look whether it was killed, so this, not
    # the kill, ends the INSERT of a paused worker; its successor waits for that.
    "receive_timeout": 10,
    # The list of what runs must show the whole statement: it names the partitions.
    "log_queries_cut_to_length": 1_000_000,
}
_STORED: Final = """
    SELECT `partition`, {what} FROM {table}
    WHERE topic = %(topic)s AND topic_id = %(topic_id)s AND `partition` IN %(partitions)s
    GROUP BY topic, topic_id, `partition`
"""
_BEYOND: Final = "max(`offset`) + 1 AS beyond"
# The subqueries are of one value, evaluated once an INSERT. A partition that a Map lacks reads 0: all its rows go in.
_INSERT: Final = """
    INSERT INTO {table} ({names}) SELECT {names} FROM input(%(structure)s)
    WHERE throwIf(
        (SELECT arraySort(groupArray(concat(toString(`partition`), '=', highest))) FROM ({claims})) != %(claims)s,
        'another sink has claimed a partition'
    ) = 0 AND throwIf(
        arrayExists(one -> (
            SELECT CAST((groupArray(`partition`), groupArray(beyond)), 'Map(Int32, Int64)') FROM ({stored})
        )[one.1] < one.2, CAST(%(known)s, 'Array(Tuple(Int32, Int64))')),
        '{rows_gone}'
    ) = 0 AND `offset` >= (
        SELECT CAST((groupArray(`partition`), groupArray(beyond)), 'Map(Int32, Int64)') FROM ({stored})
    )[`partition`]
"""


class ClickHouseSink:
    """See `sinks.contract.Sink`, which it is, and the module."""

    def __init__(self, config: Config) -> None:
        self._service = Service(config, tell=log.warning)
        self._claims = Claims(self._service)
        self._types: dict[str, dict[str, str]] = {}
        self._known: dict[tuple[str, UUID, int], int] = {}
        """Beyond which offset a partition was stored when we last knew; less is stored only if it was taken away."""

    def stored_offsets(self, topic: str, topic_id: UUID, partitions: Collection[int]) -> dict[int, int]:
        whence = Whence(TABLES[topic], topic, topic_id, tuple(partitions))

        def ask(client: BlockClient) -> dict[int, int]:
            self._claims.claim(client, whence)
            if whence.table == marks.MARKED:
                marks.mark_stored(client, whence)
            found = _highest(client, "max(`offset`)", whence)
            for partition in partitions:
                self._known[topic, topic_id, partition] = found.get(partition, -1) + 1
            return found

        return self._service.call(ask)

    def stored_positions(self, topic: str, topic_id: UUID, partitions: Collection[int]) -> dict[int, Position]:
        whence = Whence(TABLES[topic], topic, topic_id, tuple(partitions))
        second = "source_index" if whence.table == "rejects" else "source_ordinal"
        what = f"max((generation, source_offset, {second}))"
        found = self._service.call(lambda client: _highest(client, what, whence))
        return {partition: Position(*highest) for partition, highest in found.items()}

    def write(self, block: Block) -> None:
        for part in parts(block):
            if part.table == marks.MARKED:
                self._mark(marks.opened(part))
            self._insert(part)
            if part.table == marks.MARKED:
                self._mark(marks.ended(part))

    def close(self) -> None:
        self._service.close()

    def _mark(self, made: Block | None) -> None:
        if made is not None:
            self._service.call(lambda client: marks.put(client, made))

    def _insert(self, part: Block) -> None:
        whence = _whence(part)
        attempts = 0

        def ask(client: BlockClient) -> None:
            nonlocal attempts
            attempts += 1
            if attempts > 1 or not self._claims.held(whence):
                self._claims.renew(client, whence)
            client.execute(self._statement(client, part, whence), part, settings=SETTINGS)

        self._service.call(ask)
        self._note(part, whence)

    def _note(self, part: Block, whence: Whence) -> None:
        """Remember how far each partition is stored by this part, but for rows that retention may take any moment."""
        partitions, offsets = (np.asarray(part.columns[name]) for name in ("partition", "offset"))
        kept_since_ms = (time.time() - (self._service.config.retention_days - 1) * 86_400) * 1_000
        for partition in whence.partitions:
            newest = int(np.flatnonzero(partitions == partition)[-1])
            key = (whence.topic, whence.topic_id, partition)
            if int(np.asarray(part.columns["ingest_ts"])[newest]) > kept_since_ms:
                self._known[key] = max(self._known.get(key, 0), int(offsets[newest]) + 1)
            else:
                self._known.pop(key, None)

    def _statement(self, client: BlockClient, part: Block, whence: Whence) -> str:
        names = ", ".join(f"`{name}`" for name in part.columns)
        types = self._types_of(client, part.table)
        # What the table lacks is left out here too, so that the server says so.
        structure = ", ".join(f"`{name}` {types[name]}" for name in part.columns if name in types)
        stored = _STORED.format(what=_BEYOND, table=part.table)
        sql = _INSERT.format(table=part.table, names=names, claims=HIGHEST, stored=stored, rows_gone=ROWS_GONE).strip()
        known = {
            partition: self._known.get((whence.topic, whence.topic_id, partition)) for partition in whence.partitions
        }
        params = whence.params | {
            "structure": structure,
            "claims": self._claims.held(whence),
            "known": [(partition, beyond) for partition, beyond in known.items() if beyond],
        }
        return str(client.substitute_params(sql, params, client.connection.context))

    def _types_of(self, client: BlockClient, table: str) -> dict[str, str]:
        if table not in self._types:
            self._types[table] = {row[0]: row[1] for row in client.execute(f"DESCRIBE TABLE {table}")}
        return self._types[table]


def parts(block: Block) -> Iterator[Block]:
    """The block in pieces that are atomic as one INSERT, of one incarnation of a topic: rows of one month, whole
    records, about `MAX_INSERT_ROWS`."""
    if block.rows == 0:
        return
    months = np.asarray(block.columns["ingest_ts"]).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    offset, partition = np.asarray(block.columns["offset"]), np.asarray(block.columns["partition"])
    record = np.cumsum(_changes(offset) | _changes(partition))
    # Rows are counted at the first row of their record, so that a cut never falls within one.
    slot = np.searchsorted(record, record) // MAX_INSERT_ROWS
    topic_id = np.asarray(block.columns["topic_id"])
    other = _changes(topic_id[:, 0]) | _changes(topic_id[:, 1]) | _changes(_topics(block).codes)
    yield from cut(block, _changes(months) | _changes(slot) | other)


def _changes(values: np.ndarray) -> np.ndarray:
    """Whether each value differs from the one before it, bool[n]."""
    changes = np.zeros(len(values), dtype=np.bool_)
    changes[1:] = values[1:] != values[:-1]
    return changes


def _topics(block: Block) -> Labels:
    topics = block.columns["topic"]
    assert isinstance(topics, Labels)  # noqa: S101
    return topics


def _whence(part: Block) -> Whence:
    topics = _topics(part)
    high, low = (int(half) for half in np.asarray(part.columns["topic_id"])[0])
    partitions = np.unique(np.asarray(part.columns["partition"])).tolist()
    return Whence(part.table, topics.names[int(topics.codes[0])], UUID(int=high << 64 | low), tuple(partitions))


def _highest(client: BlockClient, what: str, whence: Whence) -> dict[int, Any]:
    return dict(client.execute(_STORED.format(what=what, table=whence.table), whence.params))
