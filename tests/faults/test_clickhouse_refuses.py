"""ClickHouse is there and says no under load: alarms go on, the sink says why, and once mended every row is there once.

The engine itself refuses: each fault is made by a setting it has for it, and taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from clickhouse_driver import Client

from common.settings import host_port
from tests.faults.arena import Arena
from tests.faults.clickhouse import PASSWORD
from tests.faults.conftest import Open
from tests.faults.crew import Post
from tests.faults.listener import Listener
from tests.faults.watch import TABLES
from tests.support.processes import READY_S, until

Stay = Callable[[Arena], None]
LASTS_S: Final = 5.0
FULL: Final = "error 243: its disk is full; make room"
OTHER_PASSWORD: Final = "other-s3cret"


@contextmanager
def _altered(ring: Arena, tables: Sequence[str], setting: str, value: int) -> Iterator[None]:
    """The tables have this setting for as long as the block lasts."""
    settings, (host, port) = ring.settings, host_port(ring.clickhouse.address)
    with Client(host, port, settings.clickhouse_database, password=settings.clickhouse_password) as client:
        for table in tables:
            client.execute(f"ALTER TABLE {table} MODIFY SETTING {setting} = {value}")
        yield
        for table in tables:
            client.execute(f"ALTER TABLE {table} RESET SETTING {setting}")


def _too_many_parts(ring: Arena) -> AbstractContextManager[None]:
    return _altered(ring, ["telemetry", "alarm_events"], "parts_to_throw_insert", 1)


def _full_disk(ring: Arena) -> AbstractContextManager[None]:
    return _altered(ring, ["claims", *TABLES.values()], "min_free_disk_bytes_to_perform_insert", 2**63 - 1)


def _read_only(ring: Arena) -> AbstractContextManager[None]:
    return _altered(ring, list(TABLES.values()), "table_readonly", 1)


@contextmanager
def _other_password(ring: Arena) -> Iterator[None]:
    ring.clickhouse.kill()
    ring.clickhouse.start_again(OTHER_PASSWORD)
    try:
        yield
    finally:
        ring.clickhouse.kill()
        ring.clickhouse.start_again()


def _suffered(
    arena: Open, seed: int, fault: Callable[[Arena], AbstractContextManager[None]], stay: Stay, **changes: Any
) -> Arena:
    """The arena after a fault under load: every row is there once, and alarms went out while it lasted."""
    with (
        arena(detect=1, sink=1, **changes) as ring,
        ring.load(seed, rate=200) as load,
        Listener(ring.settings) as listener,
    ):
        ring.live()
        with fault(ring):
            stay(ring)
            listener.until_alarms()
            ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    return ring


def _says(post: Post, sentence: str) -> None:
    post.worker.until(lambda: sentence in post.said, repr(sentence))


def _last_words(ring: Arena) -> set[str]:
    """What the processes said last that ended by themselves."""
    return {one.last_line for one in ring.crew.gave_up}


def _until_twice_ended(ring: Arena) -> None:
    (sink,) = ring.crew.sink
    until(lambda: len(sink.exits) >= 2, "a sink that ended twice", 2 * READY_S)


def test_while_tables_have_too_many_parts_the_sink_waits_and_says_so(arena: Open) -> None:
    def stay(ring: Arena) -> None:
        (sink,) = ring.crew.sink
        _says(sink, "error 252: it cannot merge as fast as it is written to; write fewer, larger blocks")
        sink.stays(LASTS_S)

    ring = _suffered(arena, 71, _too_many_parts, stay)
    assert ring.crew.gave_up == []


def test_while_its_disk_is_full_the_sink_waits_says_so_and_can_be_restarted(arena: Open) -> None:
    def stay(ring: Arena) -> None:
        (sink,) = ring.crew.sink
        _says(sink, FULL)
        sink.stays(LASTS_S)
        ring.watch.until(lambda look: look.sink_lag > 4 * ring.settings.insert_rows, "more waiting than fits", 60)
        assert sink.restart() == 0

    ring = _suffered(arena, 72, _full_disk, stay)
    assert ring.crew.gave_up == []


def test_a_sink_that_joins_while_another_waits_for_room_on_the_disk_costs_no_row(arena: Open) -> None:
    def stay(ring: Arena) -> None:
        _says(ring.crew.sink[0], FULL)
        ring.crew.scale(detect=1, sink=2)
        ring.crew.wait_ready()
        _says(ring.crew.sink[1], FULL)

    ring = _suffered(arena, 76, _full_disk, stay)
    # The one that waits has no patience for a rebalance, so the group may go on without it.
    assert all(words.startswith("emberline: another worker has taken over") for words in _last_words(ring))


def test_a_disk_that_stays_full_beyond_the_deadline_ends_the_sink_with_what_to_do(arena: Open) -> None:
    ring = _suffered(arena, 73, _full_disk, _until_twice_ended, clickhouse_deadline_s=2)
    where = f"ClickHouse at {ring.clickhouse.address}, database {ring.settings.clickhouse_database!r}"
    assert _last_words(ring) == {f"emberline: {where}, error 243: its disk is full; make room (tried for 2 s)"}


def test_tables_that_may_only_be_read_end_the_sink_with_what_to_do(arena: Open) -> None:
    ring = _suffered(arena, 74, _read_only, _until_twice_ended)
    where = f"ClickHouse at {ring.clickhouse.address}, database {ring.settings.clickhouse_database!r}"
    what = "a table may only be read; reset its setting table_readonly, or look at its disk"
    assert _last_words(ring) == {f"emberline: {where}, error 774: {what}"}


def test_a_wrong_password_ends_the_sink_with_what_to_do_and_is_not_told(arena: Open) -> None:
    ring = _suffered(arena, 75, _other_password, _until_twice_ended)
    where = f"ClickHouse at {ring.clickhouse.address}"
    assert _last_words(ring) == {f"emberline: {where} refuses user 'default'; check user, password and grants"}
    assert PASSWORD not in ring.crew.sink[0].said
