"""The number of workers changes under load, and workers are restarted in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.faults.arena import Arena
from tests.faults.crew import Post

Open = Callable[..., AbstractContextManager[Arena]]


def _taken_over(post: Post) -> int:
    """How often its processes took a partition over."""
    return post.said.count(" devices restored ")


def test_scaling_detect_from_1_to_3_and_back_and_a_rolling_restart_under_load_cost_nothing(arena: Open) -> None:
    with arena(detect=1, sink=2) as ring, ring.load(71) as load:
        ring.live()
        ring.crew.scale(detect=3, sink=2)
        ring.crew.wait_ready()
        ring.live()
        assert all(_taken_over(post) for post in ring.crew.detect)
        statuses = [post.restart() for post in ring.crew.posts]
        ring.crew.wait_ready()
        ring.live()
        ring.crew.scale(detect=1, sink=1)
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert set(statuses) == {0}
    assert ring.crew.gave_up == []


def test_a_static_member_restarted_within_its_session_moves_no_partition(arena: Open) -> None:
    with arena(detect=2, sink=1, static=True, session_timeout_s=30) as ring, ring.load(72) as load:
        ring.live()
        restarted, other = ring.crew.detect
        before = _taken_over(other)
        assert before
        assert restarted.restart() == 0
        restarted.wait_ready()
        ring.live()
        assert _taken_over(other) == before
        pid = restarted.process.pid
        restarted.kill()
        restarted.next_after(pid)
        restarted.wait_ready()
        ring.live()
        assert _taken_over(other) == before
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
