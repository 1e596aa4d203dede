"""The ClickHouse sink.

An INSERT is atomic within one partition of its table, that is one month of `ingest_ts`. So `write` cuts a block where
the month changes and sends each run, in order, as one INSERT of one block, which becomes one part: it is there or not.

After a lost answer nobody knows whether the run is stored. Before it is sent again the sink asks for its last row; and
since the server may still be busy with the first attempt, both carry the same deduplication token, of which the server
takes one. The token is random, made for one run of one call: it can never keep out anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np

from sinks.blocks import cut
from sinks.clickhouse.config import Config
from sinks.clickhouse.rows import TABLES
from sinks.clickhouse.service import Service, StillRunning
from sinks.clickhouse.wire import BlockClient
from sinks.columns import Labels
from sinks.contract import Block, Place

MAX_INSERT_ROWS: Final = 500_000
"""Below the million rows from which a server may make more than one part of an INSERT; 100 MB of telemetry [ours]."""
SETTINGS: Final = {
    # The answer comes when the rows are stored, not when they are queued.
    "async_insert": 0,
    "insert_deduplicate": 1,
    # One block in, one part out: neither split nor held back.
    "max_insert_block_size": 2 * MAX_INSERT_ROWS,
    "min_insert_block_size_rows": 2 * MAX_INSERT_ROWS,
    "min_insert_block_size_bytes": 0,
}
_POSITION: Final = """
    SELECT {what} FROM {table} WHERE topic = %(topic)s AND topic_id = %(topic_id)s AND `partition` = %(partition)s
    GROUP BY topic, topic_id, `partition`
"""
_RUNNING: Final = """
    SELECT query_id FROM system.processes
    WHERE startsWith(query, %(insert)s) AND current_database = currentDatabase()
"""


class ClickHouseSink:
    """See `sinks.contract.Sink`, which it is."""

    def __init__(self, config: Config) -> None:
        self._service = Service(config)

    def position(self, topic: str, topic_id: UUID, partition: int) -> int | None:
        found = self._highest("max(`offset`)", topic, topic_id, partition)
        return None if found is None else int(found)

    def source_position(self, topic: str, topic_id: UUID, partition: int) -> Place | None:
        second = "source_index" if TABLES[topic] == "rejects" else "source_ordinal"
        found = self._highest(f"max((source_offset, {second}))", topic, topic_id, partition)
        return None if found is None else (int(found[0]), int(found[1]))

    def write(self, block: Block) -> None:
        for run in runs(block):
            self._insert(run)

    def close(self) -> None:
        self._service.close()

    def _highest(self, what: str, topic: str, topic_id: UUID, partition: int) -> Any:
        self._await_running(TABLES[topic])
        sql = _POSITION.format(what=what, table=TABLES[topic])
        rows = self._service.query(sql, {"topic": topic, "topic_id": str(topic_id), "partition": partition})
        return rows[0][0] if rows else None

    def _await_running(self, table: str) -> None:
        """Wait for the INSERTs that run now: one may be the last of a predecessor that died before its answer."""
        insert = {"insert": f"INSERT INTO {table} "}
        earlier = set(self._service.query(_RUNNING, insert))

        def ask(client: BlockClient) -> None:
            if earlier & set(client.execute(_RUNNING, insert)):
                raise StillRunning(table)

        if earlier:
            self._service.call(ask)

    def _insert(self, run: Block) -> None:
        names = ", ".join(f"`{name}`" for name in run.columns)
        sql = f"INSERT INTO {run.table} ({names}) VALUES"
        settings = SETTINGS | {"insert_deduplication_token": str(uuid4())}
        attempts = 0

        def ask(client: BlockClient) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1 or not _is_stored(client, run):
                client.execute(sql, run, settings=settings)

        self._service.call(ask)


def runs(block: Block) -> Iterator[Block]:
    """The block in pieces that are atomic as one INSERT: rows of one month, whole records, about `MAX_INSERT_ROWS`."""
    if block.rows == 0:
        return
    months = np.asarray(block.columns["ingest_ts"]).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    offset, partition = np.asarray(block.columns["offset"]), np.asarray(block.columns["partition"])
    record = np.cumsum((np.diff(offset, prepend=offset[:1]) != 0) | (np.diff(partition, prepend=partition[:1]) != 0))
    # Rows are counted at the first row of their record, so that a cut never falls within one.
    slot = np.searchsorted(record, record) // MAX_INSERT_ROWS
    yield from cut(block, (np.diff(months, prepend=months[:1]) != 0) | (np.diff(slot, prepend=slot[:1]) != 0))


def _is_stored(client: BlockClient, run: Block) -> bool:
    """Whether the run's last row is in the table. An INSERT of one month is whole or not at all, so it tells of all."""
    topic, halves = run.columns["topic"], np.asarray(run.columns["topic_id"])
    assert isinstance(topic, Labels)  # noqa: S101
    topic_id = UUID(int=(int(halves[-1][0]) << 64) | int(halves[-1][1]))
    where = {
        "topic": topic.names[int(topic.codes[-1])],
        "topic_id": str(topic_id),
        "partition": int(np.asarray(run.columns["partition"])[-1]),
    }
    found = client.execute(_POSITION.format(what="max(`offset`)", table=run.table), where)
    return bool(found) and found[0][0] >= int(np.asarray(run.columns["offset"])[-1])
