"""How many partitions there were: what a partition's own record says of it, and for how long that counts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.partitioner import HURRY_MS, MOVES_MS, Widths

T0 = 1_790_000_040_000
TWICE = Widths().widened(4, T0).widened(6, T0 + 10).widened(12, T0 + 20)


def test_topics_that_were_never_widened_had_no_fewer_partitions() -> None:
    once = Widths().widened(4, T0)
    assert (Widths().now, once.now) == (0, 4)
    assert (once.former(T0), once.hurry(T0)) == ([], False)


def test_the_newest_count_before_comes_first_and_each_for_a_week() -> None:
    assert (TWICE.now, TWICE.former(T0 + 20)) == (12, [6, 4])
    assert TWICE.former(T0 + 10 + MOVES_MS) == [6, 4]
    assert TWICE.former(T0 + 11 + MOVES_MS) == [6]
    assert TWICE.former(T0 + 21 + MOVES_MS) == []


def test_they_were_widened_a_moment_ago_for_a_quarter_of_an_hour() -> None:
    assert TWICE.hurry(T0 + 20 + HURRY_MS)
    assert not TWICE.hurry(T0 + 21 + HURRY_MS)


@pytest.mark.parametrize("seen", [6, 12])
def test_no_worker_takes_them_for_fewer_again(seen: int) -> None:
    assert TWICE.widened(seen, T0 + 99) == TWICE


def test_they_come_back_as_they_were_kept() -> None:
    assert Widths.from_json(orjson.loads(orjson.dumps(TWICE.counts))) == TWICE


@pytest.mark.parametrize("kept", [None, 7, {}, [], [4], [[4]], [[4, "yesterday"]], [None, [[], []]]])
def test_what_no_worker_writes_says_nothing(kept: Any) -> None:
    assert Widths.from_json(kept) == Widths()
