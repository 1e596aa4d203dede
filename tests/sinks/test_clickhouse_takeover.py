"""A worker that stood still and wakes writes nothing its successor has written, wherever it was stopped."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Final
from uuid import UUID

import pytest
from clickhouse_driver import errors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedded.processes import Running
from schemas import topics
from sinks.blocks import merge
from sinks.clickhouse.config import Config
from sinks.clickhouse.rows import telemetry_block
from sinks.clickhouse.writer import ClickHouseSink
from sinks.contract import Block, SinkTakenOver
from tests.sinks.samples import JULY, NOON, TOPIC_ID, report, telemetry
from tests.support.platform import Ask
from tests.support.processes import until

TOPIC = topics.TELEMETRY.name
REPORT = report(temperature_c=[20.0])
_partitions = count(100)


def block(first: int, beyond: int, partition: int = 3, timestamps: Sequence[int] | None = None) -> Block:
    """Records [first, beyond), of two reports each: rows that must stay together."""
    one = REPORT | {"event_ts": timestamps[0] if timestamps else NOON}
    records = telemetry(*[[one, one]] * (beyond - first), first=first, partition=partition, timestamps=timestamps)
    return telemetry_block(records, TOPIC_ID)


def stored(query: Ask, partition: int = 3) -> list[int]:
    """The offset of every row of a partition."""
    found = query("SELECT offset FROM telemetry WHERE partition = %(partition)s ORDER BY 1", {"partition": partition})
    return [offset for (offset,) in found]


def rows_of(first: int, beyond: int) -> list[int]:
    return [offset for offset in range(first, beyond) for _ in range(2)]


@pytest.fixture
def two(config: Config) -> Iterator[tuple[ClickHouseSink, ClickHouseSink]]:
    sinks = ClickHouseSink(config), ClickHouseSink(config)
    yield sinks
    for sink in sinks:
        sink.close()


TakeoverStep = tuple[int, str, int, int]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["take", "write"]), st.integers(0, 3), st.integers(1, 4)),
        max_size=8,
    )
)
def test_whoever_takes_over_and_whoever_writes_late_every_row_is_there_once(
    steps: list[TakeoverStep], two: tuple[ClickHouseSink, ClickHouseSink], query: Ask
) -> None:
    """Two workers on one partition: each writes on from where it believes it is, or some records again."""
    partition = next(_partitions)
    owner: int | None = None
    beliefs: list[int | None] = [None, None]
    beyond = 0
    for who, what, back, records in steps:
        if what == "take":
            positions = two[who].stored_offsets(TOPIC, TOPIC_ID, [partition])
            assert positions == ({partition: beyond - 1} if beyond else {})
            owner, beliefs[who] = who, beyond
            continue
        if (belief := beliefs[who]) is None:
            continue
        try:
            two[who].write(block(max(0, belief - back), belief + records, partition))
        except SinkTakenOver:
            assert who != owner
            continue
        assert who == owner or belief + records <= beyond, "what it says is stored was not"
        beliefs[who] = belief + records
        beyond = max(beyond, belief + records)
    assert stored(query, partition) == rows_of(0, beyond)


OVERLAPS = {
    "behind": (0, 3),
    "equal": (3, 6),
    "inside": (4, 5),
    "across its beginning": (1, 5),
    "across its end": (5, 8),
    "around": (2, 9),
    "ahead": (6, 9),
}


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_a_zombies_run_leaves_nothing_twice_and_nothing_of_its_own(
    overlap: str, two: tuple[ClickHouseSink, ClickHouseSink], query: Ask
) -> None:
    zombie, successor = two
    zombie.stored_offsets(TOPIC, TOPIC_ID, [3])
    zombie.write(block(0, 3))
    assert successor.stored_offsets(TOPIC, TOPIC_ID, [3]) == {3: 2}
    successor.write(block(3, 6))
    if OVERLAPS[overlap][1] > 6:
        with pytest.raises(SinkTakenOver, match="another worker has taken over"):
            zombie.write(block(*OVERLAPS[overlap]))
    else:
        with suppress(SinkTakenOver):
            zombie.write(block(*OVERLAPS[overlap]))
    assert stored(query) == rows_of(0, 6)
    successor.write(block(6, 9))
    assert stored(query) == rows_of(0, 9)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_the_same_sink_may_write_any_records_again(overlap: str, sink: ClickHouseSink, query: Ask) -> None:
    sink.write(block(0, 6))
    first, beyond = OVERLAPS[overlap]
    sink.write(block(first, beyond))
    assert stored(query) == rows_of(0, max(6, beyond))


def test_whoever_was_displaced_goes_on_once_it_has_asked_again(
    two: tuple[ClickHouseSink, ClickHouseSink], query: Ask
) -> None:
    first, second = two
    for sink in two:
        sink.stored_offsets(TOPIC, TOPIC_ID, [3])
    with pytest.raises(SinkTakenOver):
        first.write(block(0, 2))
    assert first.stored_offsets(TOPIC, TOPIC_ID, [3]) == {}
    first.write(block(0, 2))
    with pytest.raises(SinkTakenOver):
        second.write(block(0, 4))
    assert stored(query) == rows_of(0, 2)


def test_a_lost_claim_is_not_taken_back_with_a_new_partition(
    two: tuple[ClickHouseSink, ClickHouseSink], query: Ask
) -> None:
    first, second = two
    for sink in two:
        sink.stored_offsets(TOPIC, TOPIC_ID, [3])
    with pytest.raises(SinkTakenOver):
        first.write(merge([block(0, 2), block(0, 2, partition=4)]))
    second.write(block(0, 2))
    assert (stored(query), stored(query, 4)) == (rows_of(0, 2), [])


def test_the_higher_of_two_claims_wins_also_when_it_comes_later(sink: ClickHouseSink, query: Ask) -> None:
    claim = "INSERT INTO claims SELECT %(topic)s, %(id)s, 3, %(claim)s"
    params = {"topic": TOPIC, "id": str(TOPIC_ID)}
    sink.stored_offsets(TOPIC, TOPIC_ID, [3])
    query(claim, params | {"claim": "00000000-ffffffffffffffff"})
    sink.write(block(0, 1))
    query(claim, params | {"claim": "00000001-zzzzzzzzzzzzzzzz"})
    with pytest.raises(SinkTakenOver):
        sink.write(block(1, 2))
    assert sink.stored_offsets(TOPIC, TOPIC_ID, [3]) == {3: 0}


def test_offset_zero_is_stored_once(sink: ClickHouseSink, query: Ask) -> None:
    assert sink.stored_offsets(TOPIC, TOPIC_ID, [0]) == {}
    for _ in range(2):
        sink.write(block(0, 1, partition=0))
    assert sink.stored_offsets(TOPIC, TOPIC_ID, [0]) == {0: 0}
    assert stored(query, 0) == [0, 0]


def test_of_several_partitions_in_one_insert_each_has_its_own_position(sink: ClickHouseSink, query: Ask) -> None:
    sink.write(merge([block(0, 4, partition=1), block(0, 2, partition=2)]))
    sink.write(merge([block(partition, 5, partition) for partition in (1, 2, 3)]))
    assert (stored(query, 1), stored(query, 2), stored(query, 3)) == (rows_of(0, 5), rows_of(0, 5), rows_of(3, 5))


def test_partitions_asked_for_at_once_are_all_taken_over(
    two: tuple[ClickHouseSink, ClickHouseSink], query: Ask
) -> None:
    zombie, successor = two
    zombie.write(merge([block(0, 4, partition=1), block(0, 2, partition=2)]))
    assert successor.stored_offsets(TOPIC, TOPIC_ID, [1, 2, 3]) == {1: 3, 2: 1}
    for partition in (1, 2):
        with pytest.raises(SinkTakenOver):
            zombie.write(block(0, 9, partition))
    successor.write(merge([block(4, 5, partition=1), block(2, 3, partition=2), block(0, 1, partition=3)]))
    assert [stored(query, partition) for partition in (1, 2, 3)] == [rows_of(0, 5), rows_of(0, 3), rows_of(0, 1)]


def test_as_many_partitions_as_a_topic_may_have_are_asked_for_at_once(sink: ClickHouseSink) -> None:
    assert sink.stored_offsets(TOPIC, TOPIC_ID, range(1024)) == {}
    sink.write(merge([block(0, 1, partition) for partition in range(1024)]))
    assert sink.stored_offsets(TOPIC, TOPIC_ID, range(1024)) == dict.fromkeys(range(1024), 0)


def test_of_two_incarnations_of_a_topic_in_one_block_each_is_whole(sink: ClickHouseSink, query: Ask) -> None:
    old = telemetry_block(telemetry(REPORT, first=0), UUID(int=7))
    sink.write(merge([old, block(0, 2), old]))
    assert query("SELECT topic_id, count() FROM telemetry GROUP BY topic_id ORDER BY 2") == [
        (UUID(int=7), 1), (TOPIC_ID, 4),
    ]  # fmt: skip


def test_a_block_over_a_month_boundary_is_finished_by_whoever_comes_after(
    two: tuple[ClickHouseSink, ClickHouseSink], query: Ask
) -> None:
    times = [JULY - 1, JULY, JULY + 1000, JULY + 1001]
    zombie, successor = two
    zombie.stored_offsets(TOPIC, TOPIC_ID, [3])
    zombie.write(block(0, 2, timestamps=times[:2]))
    assert successor.stored_offsets(TOPIC, TOPIC_ID, [3]) == {3: 1}
    successor.write(block(0, 4, timestamps=times))
    with suppress(SinkTakenOver):
        zombie.write(block(0, 4, timestamps=times))
    assert stored(query) == rows_of(0, 4)


class HoldingProxy:
    """A port before the server that holds back what the first connection sends from its first report on."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._first = True
        self.answer = b""
        self.port = int(self._listener.getsockname()[1])
        self.held, self.release, self.ended = threading.Event(), threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.create_connection((self._server.host, self._server.port))
                first, self._first = self._first, False
                threading.Thread(target=self._send, args=(client, upstream, first), daemon=True).start()
                threading.Thread(target=self._answer, args=(upstream, client, first), daemon=True).start()

    def _send(self, client: socket.socket, upstream: socket.socket, first: bool) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if first and b"LY-1" in data and not self.held.is_set():
                    middle = data.index(b"LY-1") + 2
                    upstream.sendall(data[:middle])
                    self.held.set()
                    self.release.wait()
                    data = data[middle:]
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)

    def _answer(self, upstream: socket.socket, client: socket.socket, first: bool) -> None:
        """Read on when the client has gone: that the server has ended the conversation is what tests wait for."""
        with suppress(OSError):
            while data := upstream.recv(65536):
                if first:
                    self.answer += data
                with suppress(OSError):
                    client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        if first:
            self.ended.set()


@pytest.fixture
def proxy(server: Running) -> Iterator[HoldingProxy]:
    proxy = HoldingProxy(server)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("records", [2, 4, 6])
def test_a_worker_paused_in_the_middle_of_sending_writes_nothing_when_it_wakes(
    records: int, config: Config, proxy: HoldingProxy, sink: ClickHouseSink, query: Ask
) -> None:
    zombie = ClickHouseSink(replace(config, port=proxy.port))
    raised: list[BaseException] = []

    def write() -> None:
        zombie.stored_offsets(TOPIC, TOPIC_ID, [3])
        try:
            zombie.write(block(0, records))
        except SinkTakenOver as error:
            raised.append(error)

    paused = threading.Thread(target=write)
    paused.start()
    assert proxy.held.wait(30)
    assert sink.stored_offsets(TOPIC, TOPIC_ID, [3]) == {}
    sink.write(block(0, 4))
    proxy.release.set()
    paused.join(30)
    zombie.close()
    assert stored(query) == rows_of(0, 4)
    assert raised or records <= 4
    sink.write(block(4, 5))
    assert stored(query) == rows_of(0, 5)


def test_an_attempt_given_up_that_reaches_the_server_after_its_retry_is_refused(
    config: Config, proxy: HoldingProxy, query: Ask
) -> None:
    impatient = ClickHouseSink(replace(config, port=proxy.port, request_timeout_s=1.0))
    impatient.write(block(0, 3))
    assert proxy.held.is_set()
    assert stored(query) == rows_of(0, 3)
    impatient.write(block(3, 4))
    proxy.release.set()
    assert proxy.ended.wait(30)
    impatient.close()
    assert b"another sink has claimed a partition" in proxy.answer
    assert stored(query) == rows_of(0, 4)


FOR_A_DAY: Final = 1_000_000
"""Rows of 0.1 s each: such an INSERT does not end while a test waits for its end, unless something ends it."""


def predecessor(query: Ask, rows: int, seconds_a_row: float) -> threading.Thread:
    """An INSERT that the server has begun, named as a sink's by table, incarnation and partition."""
    insert = (
        "INSERT INTO telemetry (topic, topic_id, partition, offset, ingest_ts) "
        "SELECT 'emberline.telemetry', %(id)s, 3, number + sleepEachRow(%(seconds)s), now64(3) "
        "FROM numbers(%(rows)s) WHERE '3=00000000-' != '' SETTINGS max_block_size = 1"
    )

    def run() -> None:
        with suppress(errors.ServerException):
            query(insert, {"id": str(TOPIC_ID), "rows": rows, "seconds": seconds_a_row})

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: len(predecessors(query)) == 1, "the INSERT")
    return thread


def predecessors(query: Ask) -> list[tuple[str]]:
    """The ids of INSERTs that run."""
    return query("SELECT query_id FROM system.processes WHERE startsWith(query, 'INSERT INTO telemetry ')")


def test_position_waits_for_what_a_predecessor_left_running(sink: ClickHouseSink, query: Ask) -> None:
    left = predecessor(query, rows=8, seconds_a_row=0.1)
    assert sink.stored_offsets(TOPIC, TOPIC_ID, [4, 3]) == {3: 7}
    left.join()


def test_position_ends_what_a_predecessor_left_running_and_does_not_end(sink: ClickHouseSink, query: Ask) -> None:
    left = predecessor(query, rows=FOR_A_DAY, seconds_a_row=0.1)
    positions = sink.stored_offsets(TOPIC, TOPIC_ID, [4, 3])
    assert predecessors(query) == []
    left.join()
    sink.write(block(positions.get(3, -1) + 1, 40))
    assert len(set(stored(query))) == 40


def test_inserts_into_other_partitions_are_left_alone(sink: ClickHouseSink, query: Ask) -> None:
    other = predecessor(query, rows=FOR_A_DAY, seconds_a_row=0.1)
    assert sink.stored_offsets(TOPIC, TOPIC_ID, [33, 34]) == {}
    ((running,),) = predecessors(query)
    query("KILL QUERY WHERE query_id = %(id)s SYNC", {"id": running})
    other.join()


def test_a_run_is_one_part_and_keeps_its_order(sink: ClickHouseSink, query: Ask) -> None:
    sink.write(merge([block(0, 50, partition) for partition in (1, 2)]))
    sink.write(merge([block(20, 90, partition, [NOON] * 70) for partition in (1, 2)]))
    parts = query(
        "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'telemetry' AND level = 0 "
        "ORDER BY name"
    )
    assert parts == [(200,), (160,)]


def of_now(first: int, beyond: int) -> Block:
    """Rows that retention does not take."""
    return block(first, beyond, timestamps=[int(time.time() * 1_000)] * (beyond - first))


def take_away(query: Ask, since: int) -> None:
    """As a backup does that is put in place of what there was."""
    query(f"ALTER TABLE telemetry DELETE WHERE `offset` >= {since} SETTINGS mutations_sync = 1")


@pytest.mark.parametrize("left", [0, 4])
def test_nothing_is_stored_behind_a_hole_where_rows_are_gone(left: int, sink: ClickHouseSink, query: Ask) -> None:
    sink.write(of_now(0, 6))
    sink.write(of_now(6, 8))
    take_away(query, left)
    with pytest.raises(SinkTakenOver, match="holds fewer rows than this worker has stored"):
        sink.write(of_now(8, 9))
    assert stored(query) == rows_of(0, left)
    assert sink.stored_offsets(TOPIC, TOPIC_ID, [3]) == ({3: left - 1} if left else {})
    sink.write(of_now(left, 9))
    assert stored(query) == rows_of(0, 9)


def test_rows_that_are_gone_before_the_first_insert_are_missed_too(
    two: tuple[ClickHouseSink, ClickHouseSink], query: Ask
) -> None:
    two[0].write(of_now(0, 6))
    assert two[1].stored_offsets(TOPIC, TOPIC_ID, [3]) == {3: 5}
    take_away(query, 2)
    with pytest.raises(SinkTakenOver, match="holds fewer rows"):
        two[1].write(of_now(6, 7))


def test_rows_that_retention_has_taken_are_not_missed(sink: ClickHouseSink, query: Ask) -> None:
    long_ago = int((time.time() - 401 * 86_400) * 1_000)
    sink.write(block(0, 6, timestamps=[long_ago] * 6))
    take_away(query, 0)
    sink.write(of_now(6, 8))
    assert stored(query) == rows_of(6, 8)
