"""The risk index: what is well is 100, what is worse lowers it by its weight, units and areas blend."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from early_warning.risk import PARTS, RiskColour, RiskFacts, blended, colour_of, index_of, load_risk, parts_of

RISK: Final = load_risk()
WELL: Final = {
    "value": 40.0,
    "limit": 200.0,
    "excess": 0.0,
    "open_alarms": 0.0,
    "overdue_days": 0.0,
    "gap_share": 0.0,
    "age_years": 0.0,
}


def _index(**changed: float) -> float:
    facts = RiskFacts(**{name: np.array([value]) for name, value in (WELL | changed).items()})
    return float(index_of(parts_of(facts, RISK), RISK)[0])


def test_what_is_well_is_100_and_what_nobody_knows_lowers_nothing() -> None:
    assert _index() == 100
    assert _index(value=np.nan, excess=np.nan, open_alarms=np.nan, age_years=np.nan) == 100
    assert _index(limit=np.inf, excess=500.0) == 100


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"value": 900.0}, "exceedance"),
        ({"excess": 900.0}, "trend"),
        ({"open_alarms": 3.0}, "alarms"),
        ({"overdue_days": 90.0}, "rectification"),
        ({"gap_share": 1.0}, "gaps"),
        ({"age_years": 40.0}, "age"),
    ],
)
def test_a_part_that_is_as_bad_as_it_gets_costs_its_weight(changed: dict[str, float], part: str) -> None:
    assert _index(**changed) == pytest.approx(100 * (1 - RISK["weights"][part]))


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.integers(0, 5), st.floats(0, 1))
def test_a_worse_part_never_raises_it(parts: list[float], which: int, more: float) -> None:
    worse = list(parts)
    worse[which] = max(worse[which], more)
    before, after = index_of(np.array([parts, worse]), RISK)
    assert 0 <= after <= before + 1e-9 <= 100 + 1e-6
    assert len(PARTS) == 6


def test_a_unit_is_as_its_worst_blended_with_the_mean() -> None:
    index = blended(np.array([100.0, 40.0, 90.0]), np.array([0, 0, 2]), 3, RISK)
    assert index[0] == pytest.approx(0.6 * 40 + 0.4 * 70)
    assert np.isnan(index[1])
    assert index[2] == 90


@pytest.mark.parametrize(
    ("index", "colour", "label"),
    [(59.9, "red", "红"), (60, "yellow", "黄"), (79.9, "yellow", "黄"), (80, "green", "绿")],
)
def test_colours(index: float, colour: str, label: str) -> None:
    assert colour_of(index, RISK) is RiskColour(colour)
    assert RiskColour(colour).label == label
