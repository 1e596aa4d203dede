"""The number of workers changes under load, and workers are restarted in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient

from common.settings import Settings
from schemas.topics import DEVICE_STATUS
from tests.faults.conftest import Open
from tests.faults.crew import Post, product
from tests.faults.watch import Look
from tests.support.processes import until


def _taken_over(post: Post) -> int:
    """How often its processes took a partition over."""
    return post.said.count(" devices restored ")


def _kept(post: Post) -> int:
    """How often its processes went on with a partition that a rebalance left them."""
    return post.said.count(" devices kept")


def test_scaling_detect_from_1_to_3_and_back_and_a_rolling_restart_under_load_cost_nothing(arena: Open) -> None:
    with arena(detect=1, sink=2) as ring, ring.load(71) as load:
        ring.live()
        ring.crew.scale(detect=3, sink=2)
        ring.crew.wait_ready()
        ring.live()
        assert all(_taken_over(post) for post in ring.crew.detect)
        assert _kept(ring.crew.detect[0])
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
        restarted, other = ring.crew.detect
        until(lambda: _taken_over(restarted) > 0 < _taken_over(other), "both at work")
        ring.live()
        before = _held(ring.settings)
        taken_over = _taken_over(other)
        assert restarted.restart() == 0
        restarted.wait_ready()
        ring.live()
        pid = restarted.process.pid
        restarted.kill()
        restarted.next_after(pid)
        restarted.wait_ready()
        ring.live()
        assert _held(ring.settings) == before
        assert _taken_over(other) == taken_over
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []


def _held(settings: Settings) -> set[bytes]:
    """What each member of the detect group holds, as the coordinator has it once the group is stable."""
    seen: list[tuple[str, set[bytes]]] = []

    def stable() -> bool:
        seen.append(asyncio.run(_described(settings)))
        return seen[-1][0] == "Stable"

    until(stable, "a stable group")
    return seen[-1][1]


async def _described(settings: Settings) -> tuple[str, set[bytes]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        (response,) = await admin.describe_consumer_groups([f"{settings.group}-detect"])
    finally:
        await admin.close()
    ((_, _, state, _, _, members, *_),) = response.groups
    return state, {assignment for *_, assignment in members}


def _tells_statuses(look: Look) -> bool:
    return any(end for (topic, _), end in look.ends.items() if topic == DEVICE_STATUS.name)


def _held_up(role: str) -> Sequence[str]:
    return [sys.executable, "-m", "tests.faults.altered.held_up", "worker", role]


def test_a_worker_whose_checkpoint_is_held_up_through_a_rebalance_lets_go_and_goes_on(arena: Open) -> None:
    with arena(detect=1, sink=1, command=_held_up) as ring, ring.load(73) as load:
        # It works, and its first checkpoint has begun.
        ring.watch.until(_tells_statuses, "statuses", 60)
        ring.crew.command = product
        ring.crew.scale(detect=2, sink=1)
        ring.live()
        ring.crew.wait_ready()
        verdict = ring.judge(load)
        (held_up, _) = ring.crew.detect
        assert "Crashed" not in held_up.said
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
