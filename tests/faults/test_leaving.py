"""Workers that are told to leave, and workers that cannot go on."""

from __future__ import annotations

import re

from tests.faults.conftest import Open
from tests.faults.crew import Post
from tests.support.processes import until


def _metric(post: Post, name: str) -> float:
    """The sum over all labels."""
    _, text = post.worker.ask("/metrics")
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? ([\d.e+]+)$", text, re.MULTILINE))


def test_sigterm_under_full_load_leaves_in_order_and_leaves_nothing_to_do_again(arena: Open) -> None:
    with arena(detect=1, sink=1) as ring, ring.load(101, devices=600, rate=2_500) as load:
        (detect,), (sink,) = ring.crew.detect, ring.crew.sink
        ring.live()
        # One that took longer than it may would end itself, with status 1.
        left = [detect.restart(), sink.restart()]
        ring.crew.wait_ready()
        ring.live()
        worked_on_again = _metric(detect, "emberline_skipped_reports_total")
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert verdict.counts["repeated_alarms"] == 0
    assert worked_on_again == 0
    assert left == [0, 0]
    assert "left work unfinished" not in detect.said + sink.said
    assert ring.crew.gave_up == []


def test_a_worker_that_makes_no_progress_is_first_not_ready_then_ends_and_its_successor_goes_on(
    arena: Open,
) -> None:
    with arena(detect=1, sink=0, stall_s=8) as ring, ring.load(102) as load:
        (post,) = ring.crew.detect
        ring.live()
        pid = post.process.pid
        for broker in ring.brokers.brokers[1:]:
            broker.kill()
        until(lambda: post.worker.ask("/readyz")[0] == 503, "not ready")
        assert post.process.pid == pid
        post.next_after(pid)
        ended = next(one for one in post.exits if one.pid == pid)
        ring.brokers.start()
        post.wait_ready()
        ring.live()
        ring.crew.scale(detect=1, sink=1)
        verdict = ring.judge(load)
    assert ended.status == 1
    assert re.search(r"records wait and of a partition none was finished for \d+ s; restart me$", ended.last_line)
    assert verdict.complaints == []
