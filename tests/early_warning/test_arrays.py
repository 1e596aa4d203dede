"""Medians, quantiles, rings and lines without loops, against the slow way of saying the same."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from early_warning.arrays import clear_passed, group_counts, group_medians, others_median, placed, row_quantiles
from early_warning.judged import lasting
from early_warning.regression import SUMS, add, line_of

VALUES = st.one_of(st.just(math.nan), st.integers(-50, 50).map(float))
GROUPED = st.lists(st.tuples(st.integers(-1, 3), VALUES), max_size=12)


def _columns(pairs: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one for one, _ in pairs], np.int64), np.array([value for _, value in pairs], np.float64)


def _median(values: list[float], least: int) -> float:
    return float(np.median(values)) if len(values) >= max(least, 1) else math.nan


@given(GROUPED, st.integers(1, 4))
def test_the_median_of_a_group_is_that_of_its_numbers(pairs: list[tuple[int, float]], least: int) -> None:
    groups, values = _columns(pairs)
    wanted = [
        _median([v for other, v in pairs if other == group and not math.isnan(v)], least) if group >= 0 else math.nan
        for group, _ in pairs
    ]
    np.testing.assert_array_equal(group_medians(groups, values, least), np.array(wanted, np.float64))
    counts = [sum(other == group >= 0 and not math.isnan(v) for other, v in pairs) for group, _ in pairs]
    np.testing.assert_array_equal(group_counts(groups, values), np.array(counts, np.int64))


@given(GROUPED, st.integers(1, 3))
def test_the_median_of_the_others_leaves_out_oneself(pairs: list[tuple[int, float]], least: int) -> None:
    groups, values = _columns(pairs)
    wanted = []
    for at, (group, value) in enumerate(pairs):
        others = [v for n, (g, v) in enumerate(pairs) if g == group >= 0 and n != at and not math.isnan(v)]
        wanted.append(math.nan if math.isnan(value) else _median(others, least))
    np.testing.assert_array_equal(others_median(groups, values, least), np.array(wanted, np.float64))


@given(
    arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(1, 6)), elements=VALUES),
    st.sampled_from((0, 0.25, 0.5, 1)),
)
def test_a_quantile_of_a_row_is_one_of_its_numbers(rows: np.ndarray, share: float) -> None:
    wanted = []
    for row in rows.tolist():
        known = sorted(value for value in row if not math.isnan(value))
        wanted.append(known[int((len(known) - 1) * share)] if len(known) >= 2 else math.nan)
    np.testing.assert_array_equal(row_quantiles(rows, share, 2), np.array(wanted, np.float64))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 99)), min_size=1, max_size=30), st.integers(2, 8))
def test_a_ring_holds_what_was_put_into_it_of_its_last_moments(steps: list[tuple[int, int]], size: int) -> None:
    ring, now, held = np.full((1, size), np.nan), 0, dict[int, float]()
    for gap, value in steps:
        before, now = now, now + gap
        clear_passed(ring, np.array([before]), now)
        ring[0, now % size] = value
        held[now] = value
    wanted = [held.get(now - back, math.nan) for back in range(size)]
    np.testing.assert_array_equal(placed(ring, now, np.arange(size))[0], wanted)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-30, 30)), min_size=3, max_size=40))
def test_a_line_is_that_of_least_squares_by_weight(points: list[tuple[int, int]]) -> None:
    memory = 20.0
    sums = {f"load_{name}": np.zeros(1) for name in SUMS}
    for x, y in points:
        add(sums, "load", np.array([float(x)]), np.array([float(y)]), memory)
    line = line_of(sums, "load")
    if len({x for x, _ in points}) == 1:
        assert line.slope[0] == 0
        return
    weights = np.array([(1 - 1 / memory) ** back for back in range(len(points))][::-1])
    slope, intercept = np.polyfit([x for x, _ in points], [y for _, y in points], 1, w=np.sqrt(weights))
    assert math.isclose(line.slope[0], slope, rel_tol=1e-6, abs_tol=1e-6)
    assert math.isclose(line.intercept[0], intercept, rel_tol=1e-6, abs_tol=1e-5)


@given(arrays(np.float64, (1, 24), elements=st.one_of(st.just(math.nan), st.sampled_from((0.0, 40.0)))))
def test_what_lasts_is_half_of_the_day_and_its_last_three_values(values: np.ndarray) -> None:
    known = [value for value in values[0].tolist() if not math.isnan(value)]
    over = [value >= 30 for value in known]
    wanted = len(known) >= 3 and all(over[:3]) and sum(over) >= min(max(math.ceil(len(known) / 2), 3), 12)
    assert bool(lasting(values, 30.0, 12)[0]) is wanted
