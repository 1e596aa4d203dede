"""ClickHouse fails under load: alarms go on, and nothing is lost or there twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from tests.faults.arena import Arena
from tests.faults.listener import Heard, Listener
from tests.faults.proxy import Proxy

Open = Callable[..., AbstractContextManager[Arena]]
ALARM_MS: Final = 5_000
AWAY_S: Final = 8.0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _late(heard: Sequence[Heard]) -> list[Heard]:
    return [one for one in heard if one.delay_ms > ALARM_MS]


def test_while_clickhouse_is_killed_or_paused_alarms_go_out_within_5_s_and_after_it_every_row_is_there_once(
    arena: Open,
) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(51, rate=200) as load, Listener(ring.settings) as listener:
        ring.live()
        begin_ms = _now_ms()
        ring.clickhouse.kill()
        ring.wait(AWAY_S)
        ring.clickhouse.start_again()
        ring.wait(3)
        ring.clickhouse.pause()
        ring.wait(AWAY_S)
        ring.clickhouse.resume()
        end_ms = _now_ms()
        verdict = ring.judge(load)
    heard = listener.between(begin_ms, end_ms)
    assert verdict.complaints == []
    assert len(heard) > 5
    assert _late(heard) == []
    assert ring.crew.gave_up == []


def test_connections_cut_in_the_middle_of_inserts_leave_every_row_there_once(arena: Open) -> None:
    with arena(detect=1, sink=0) as ring, Proxy(ring.clickhouse.address) as proxy, ring.load(52) as load:
        ring.crew.settings = replace(ring.settings, clickhouse=proxy.address)
        ring.crew.scale(detect=1, sink=2)
        ring.crew.wait_ready()
        for inserts in (1, 3, 5):
            proxy.cut(inserts, seconds=30)
            ring.wait(1)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert proxy.cuts == 9
    assert ring.crew.gave_up == []
