"""ClickHouse fails under load: alarms go on, and nothing is lost or there twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from tests.faults.arena import SETTLED_S, Arena
from tests.faults.listener import Listener
from tests.faults.proxy import Proxy

Open = Callable[..., AbstractContextManager[Arena]]


def _sink_goes_on(ring: Arena) -> None:
    committed = sum(ring.watch.looks[-1].sink.values())
    ring.watch.until(lambda look: sum(look.sink.values()) > committed, "a sink that goes on", SETTLED_S)


def test_while_clickhouse_is_killed_or_paused_alarms_go_out_and_after_it_every_row_is_there_once(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(51, rate=200) as load, Listener(ring.settings) as listener:
        ring.live()
        ring.clickhouse.kill()
        listener.until_alarms()
        ring.live()
        ring.clickhouse.start_again()
        _sink_goes_on(ring)
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
