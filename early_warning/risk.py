"""The risk index of components, units and areas (requirement C1): parts, weights, colours, all shown and editable."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from early_warning.parameters import overlaid

DEFAULT_RISK: Final = Path(__file__).with_name("risk.toml")
PARTS: Final = ("exceedance", "trend", "alarms", "rectification", "gaps", "age")
LABELS: Final = {
    "exceedance": "超限程度",
    "trend": "变化趋势",
    "alarms": "未核实告警",
    "rectification": "整改超期",
    "gaps": "数据缺失",
    "age": "使用年限",
}
"""What people who read Chinese call a part."""


class RiskColour(StrEnum):
    """How a risk index is shown."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"

    @property
    def label(self) -> str:
        return {"red": "红", "yellow": "黄", "green": "绿"}[self]


class RiskFacts(NamedTuple):
    """What is known of n components, float64[n]; NaN where nothing is, which counts as well.

    `value` and `limit` are in the unit of the quantity, `value` the highest of the last day; `excess` is that of the
    notice that stands, 0 for none. `open_alarms` are those without a verdict, `overdue_days` of the hazard that is
    overdue longest, `gap_share` of hours without a value, `age_years` since it was installed.
    """

    value: np.ndarray
    limit: np.ndarray
    excess: np.ndarray
    open_alarms: np.ndarray
    overdue_days: np.ndarray
    gap_share: np.ndarray
    age_years: np.ndarray


def load_risk(path: Path | None = None) -> dict[str, Any]:
    """How risk is counted, with what the file at `path` changes. Raises ParametersError."""
    return overlaid(tomllib.loads(DEFAULT_RISK.read_text(encoding="utf-8")), path)


def parts_of(facts: RiskFacts, risk: Mapping[str, Any]) -> np.ndarray:
    """The parts of each component, float64[n, 6], in the order of `PARTS`, 0 for well to 1 for as bad as it gets."""
    full = risk["full"]
    limit = np.where(facts.limit > 0, facts.limit, np.inf)
    span = max(full["exceedance_to"] - full["exceedance_from"], 1e-9)
    parts = (
        (facts.value / limit - full["exceedance_from"]) / span,
        facts.excess / limit / full["trend_of_limit"],
        facts.open_alarms / full["alarms"],
        facts.overdue_days / full["overdue_days"],
        facts.gap_share / full["gap_share"],
        facts.age_years / full["age_years"],
    )
    found: np.ndarray = np.clip(np.nan_to_num(np.stack(parts, axis=1), nan=0.0), 0.0, 1.0)
    return found


def index_of(parts: np.ndarray, risk: Mapping[str, Any]) -> np.ndarray:
    """The index of components from their parts, float64[n], 0 to 100: 100 is without any risk that shows."""
    weights = np.array([risk["weights"][name] for name in PARTS], np.float64)
    return np.asarray(100.0 * (1.0 - parts @ (weights / weights.sum())))


def blended(index: np.ndarray, group: np.ndarray, groups: int, risk: Mapping[str, Any]) -> np.ndarray:
    """The index of units from their components', or of areas from their units', float64[groups]; NaN for an empty one.

    `group`, int64[n], says to which each belongs: the worst of a group, blended with the mean of all.
    """
    counts = np.bincount(group, minlength=groups)
    worst = np.full(groups, np.inf)
    np.minimum.at(worst, group, index)
    mean = np.bincount(group, index, groups) / np.maximum(counts, 1)
    share = risk["blend"]["worst"]
    return np.where(counts > 0, share * np.where(counts > 0, worst, 0.0) + (1.0 - share) * mean, np.nan)


def colour_of(index: float, risk: Mapping[str, Any]) -> RiskColour:
    """Red below 60, yellow below 80, green from there on, as shipped."""
    colours = risk["colours"]
    if index < colours["red"]:
        return RiskColour.RED
    return RiskColour.YELLOW if index < colours["yellow"] else RiskColour.GREEN
