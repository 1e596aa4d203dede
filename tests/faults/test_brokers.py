"""Brokers fail under load."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from tests.faults.arena import Arena

Open = Callable[..., AbstractContextManager[Arena]]
AWAY_S: Final = 6.0


def test_a_broker_killed_under_load_and_all_restarted_in_turn_cost_no_record(arena: Open) -> None:
    with arena(detect=2, sink=1) as ring, ring.load(61) as load:
        ring.live()
        first, *_ = ring.brokers.brokers
        first.kill()
        ring.live()
        first.start()
        ring.live()
        for broker in ring.brokers.brokers:
            broker.stop()
            broker.start()
            ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def test_with_two_of_three_brokers_lost_workers_wait_and_go_on_when_they_are_back(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(62) as load:
        ring.live()
        lost = ring.brokers.brokers[1:]
        for broker in lost:
            broker.kill()
        for post in ring.crew.posts:
            post.stays(AWAY_S)
        ring.brokers.start()
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
