"""Workers that stand still for longer than their session and then wake."""

from __future__ import annotations

from typing import Final

import pytest

from tests.faults.conftest import Open

PAUSED_S: Final = 8.0
"""Sessions are 3 s; a rebalance and a restore come after."""


@pytest.mark.parametrize("role", ["detect", "sink"])
def test_a_worker_paused_for_longer_than_its_session_ends_and_writes_nothing_its_successor_wrote(
    arena: Open, role: str
) -> None:
    with arena(detect=2, sink=2) as ring, ring.load(41, rate=200) as load:
        zombie = getattr(ring.crew, role)[0]
        ring.live()
        pid = zombie.process.pid
        zombie.pause()
        ring.wait(PAUSED_S)
        ring.live()
        zombie.resume()
        zombie.next_after(pid)
        verdict = ring.judge(load)
    assert verdict.complaints == []
    (ended,) = (one for one in zombie.exits if one.pid == pid)
    assert ended.status == 1
    assert ended.last_line.startswith("emberline: ")
