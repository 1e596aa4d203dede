"""ClickHouse fails under load, is restored or is a new one: alarms go on, and nothing is lost or there twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clickhouse_driver import Client

from common.settings import host_port
from streams.storage import run_migrations
from tests.faults.arena import SETTLED_S, Arena
from tests.faults.conftest import Open
from tests.faults.listener import Listener
from tests.faults.proxy import Proxy
from tests.faults.watch import Look

AGAIN_S = 2 * SETTLED_S
"""A sink that ends and is started again, two sessions, and all that is stored once more."""


def _sink_goes_on(ring: Arena) -> None:
    committed = sum(ring.watch.looks[-1].sink.values())
    ring.watch.until(lambda look: sum(look.sink.values()) > committed, "a sink that goes on", SETTLED_S)


def test_while_clickhouse_is_killed_or_paused_alarms_go_out_and_after_it_every_row_is_there_once(
    arena: Open,
) -> None:
    patient = arena(detect=1, sink=1, stall_s=60)
    with patient as ring, ring.load(51, rate=200) as load, Listener(ring.settings) as listener:
        ring.live()
        ring.clickhouse.kill()
        listener.until_alarms()
        ring.live()
        ring.clickhouse.start_again()
        ring.stored(AGAIN_S)
        ring.clickhouse.pause()
        listener.until_alarms()
        ring.live()
        ring.clickhouse.resume()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def test_connections_cut_in_the_middle_of_inserts_leave_every_row_there_once(arena: Open) -> None:
    with arena(detect=1, sink=0) as ring, Proxy(ring.clickhouse.address) as proxy, ring.load(52) as load:
        ring.crew.settings = replace(ring.settings, clickhouse=proxy.address)
        ring.crew.scale(detect=1, sink=2)
        ring.crew.wait_ready()
        for inserts in (1, 3, 5):
            proxy.cut(inserts, seconds=30)
            _sink_goes_on(ring)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert proxy.cuts == 9
    assert ring.crew.gave_up == []


def _stored(ring: Arena) -> Look:
    """A look at what ClickHouse holds now; some rows of every table."""
    return ring.watch.until(lambda look: bool(look.stored) and len(look.stored or ()) >= 8, "rows", SETTLED_S)


@contextmanager
def _taken_away(ring: Arena) -> Iterator[None]:
    """In the block rows are taken away that were committed; after it they have to be there again."""
    before = _stored(ring)
    yield
    ring.watch.excuse(before)
    began = time.monotonic()
    ring.watch.until(lambda look: look.at > began and look.holds(before), f"it again; {ring.told()}", AGAIN_S)


def _said(ring: Arena) -> str:
    return "".join(post.said for post in ring.crew.sink)


def test_a_clickhouse_restored_while_workers_run_holds_everything_again(arena: Open, tmp_path: Path) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(61, rate=200) as load:
        ring.live()
        _stored(ring)
        ring.clickhouse.back_up(tmp_path / "backup")
        committed = sum(ring.watch.looks[-1].sink.values())
        ring.watch.until(lambda look: sum(look.sink.values()) > committed + 500, "a sink that goes on", SETTLED_S)
        with _taken_away(ring):
            ring.clickhouse.restore(tmp_path / "backup")
        assert "going back" in _said(ring)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert all(one.name.startswith("sink") for one in ring.crew.gave_up)


def test_a_clickhouse_restored_while_nothing_is_sent_and_no_sink_runs_holds_everything_again(
    arena: Open, tmp_path: Path
) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(62, rate=200) as load:
        ring.live()
        _stored(ring)
        ring.clickhouse.back_up(tmp_path / "backup")
        committed = sum(ring.watch.looks[-1].sink.values())
        ring.watch.until(lambda look: sum(look.sink.values()) > committed + 500, "a sink that goes on", SETTLED_S)
        load.stop()
        ring.settle()
        with _taken_away(ring):
            ring.crew.scale(detect=1, sink=0)
            ring.clickhouse.restore(tmp_path / "backup")
            ring.crew.scale(detect=1, sink=1)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def test_a_new_clickhouse_is_given_everything_that_kafka_has(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(63, rate=200) as load:
        ring.live()
        with _taken_away(ring):
            ring.crew.scale(detect=1, sink=0)
            host, port = host_port(ring.clickhouse.address)
            with Client(host, port, password=ring.settings.clickhouse_password) as client:
                client.execute(f"DROP DATABASE {ring.settings.clickhouse_database} SYNC")
            run_migrations(ring.settings)
            ring.crew.scale(detect=1, sink=1)
        assert "ClickHouse holds rows up to 0: going back" in _said(ring)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
