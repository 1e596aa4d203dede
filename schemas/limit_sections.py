"""Sections of limits: what may be set of one kind of alarm, within which bounds, and how one lies over another.

`limits.toml` has the release's, each with the document that it comes from. Detection reads a file of them and the
registry keeps what people change; both judge by these rules.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from schemas.alarm_kinds import AlarmKind

LEVELS: Final = ("warning", "alarm")
SECONDS: Final = ("confirm_warning_s", "confirm_alarm_s", "confirm_recovery_s", "memory_s", "window_s")
AT_ONCE_MS: Final = -1
"""The time of recovery where a single normal value is one; 0 takes two, however close."""
RETIRED: Final = ("learn_s", "learn_samples")
"""Settings of releases before: they are taken, so that what was set is not refused as a whole, and mean nothing."""
NUMBERS: Final = ("recovery_margin", *SECONDS, *RETIRED)
LABELS: Final[Mapping[str, str]] = {
    "warning": "预警值",
    "alarm": "报警值",
    "recovery_margin": "恢复回差",
    "learn_samples": "学习样本数",
    "confirm_warning_s": "预警确认时间",
    "confirm_alarm_s": "报警确认时间",
    "confirm_recovery_s": "恢复确认时间",
    "learn_s": "学习时间",
    "memory_s": "记忆时间",
    "window_s": "计算窗口",
}
"""What people who read Chinese call a setting."""
BY_OPERATOR: Final = "set by the operator"
"""The document of a level that names none."""
DEFAULTS: Final = Path(__file__).with_name("limits.toml")
_LEAST_S: Final = 0.001
"""The least that times are counted by."""
_MOST: Final = 1e12
"""Beyond every level and every time; in milliseconds it still fits an int64 [ours]."""

LimitsTable = Mapping[str, Any]


class LimitsError(ValueError):
    """Limits that cannot be used; the text says which entry and what it may be, and so does `chinese`, to people."""

    def __init__(self, text: str, chinese: str = "") -> None:
        super().__init__(text)
        self.chinese = chinese or text


def read_toml(path: Path) -> dict[str, Any]:
    """What a file of limits holds. Raises LimitsError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LimitsError(
            f"cannot read the limits file {path}: {error.strerror}",
            f"无法读取限值文件{path}（{error.strerror}）；请核对位置和权限",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LimitsError(
            f"the limits file {path} is not valid TOML: {error}", f"限值文件{path}不是有效的 TOML（{error}）；请修正"
        ) from error


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`change` over `base`, table by table; a level is replaced whole, so that it never keeps a wrong source."""
    found = dict(base)
    for name, value in change.items():
        deeper = isinstance(value, dict) and isinstance(found.get(name), dict) and name not in LEVELS
        found[name] = merged(found[name], value) if deeper else value
    return found


def limit_of(kind: AlarmKind, section: LimitsTable) -> tuple[float, ...]:
    """What a whole section comes to, in the order of `detectors.limits.LIMIT`. Raises LimitsError.

    Of a kind of which what lies below is the alarm, levels are negative: so more is worse in all that follows."""
    if unknown := section.keys() - {*LEVELS, *NUMBERS, "settable"}:
        known = ", ".join((*LEVELS, *NUMBERS))
        raise LimitsError(
            f"{min(unknown)!r} is no setting; known are {known}", f"没有名为“{min(unknown)}”的设置；可设：{known}"
        )
    warning, alarm = (_level(kind, section, name) for name in LEVELS)
    sign, below = (-1, "below") if kind.about.below else (1, "above")
    if math.isfinite(warning) and warning > alarm:
        raise LimitsError(
            f"the warning level {sign * warning:g} lies {below} the alarm level {sign * alarm:g}",
            f"预警值{sign * warning:g}{'低' if kind.about.below else '高'}于报警值{sign * alarm:g}；"
            f"预警值不能{'低' if kind.about.below else '高'}于报警值",
        )
    numbers = {name: _number(name, section.get(name, 0)) for name in NUMBERS}
    for name in kind.about.needs:
        if numbers[name] < _LEAST_S:
            raise LimitsError(
                f"{name} must be {_LEAST_S:g} or more, got {section.get(name, 0)!r}",
                f"{LABELS[name]}（{name}）必须在{_LEAST_S:g}到{_MOST:g}之间，不能是{section.get(name, 0)}",
            )
    *confirms, memory, window = (round(numbers[name] * 1000) for name in SECONDS)
    if kind.of_events:
        confirms[-1] = AT_ONCE_MS
    lowest, margin = min(warning, alarm), numbers["recovery_margin"]
    if not kind.about.below and math.isfinite(lowest) and margin >= lowest:
        raise LimitsError(
            f"recovery_margin {margin:g} must lie below the level {lowest:g}, or no value is normal again",
            f"恢复回差（recovery_margin）{margin:g}必须小于最低的限值{lowest:g}，否则任何值都不算恢复",
        )
    return warning, alarm, lowest, lowest - margin, *confirms, memory, window


def _level(kind: AlarmKind, section: LimitsTable, name: str) -> float:
    given = section.get(name, {})
    if given == {}:
        return math.inf
    value = given.get("value") if isinstance(given, dict) else given
    low, high = section["settable"]
    if value is None:
        raise LimitsError(
            f"{name} has no value, found {given!r}; {name} = {{}} would switch it off",
            f"{LABELS[name]}（{name}）没有给出 value；应在{low:g}到{high:g}之间，或写 {name} = {{}} 将其关闭",
        )
    level = _number(name, value)
    if not low <= level <= high:
        raise LimitsError(
            f"the {name} level {level:g} lies outside what may be set, {low:g} to {high:g}",
            f"{LABELS[name]}（{name}）{level:g}超出可设范围，必须在{low:g}到{high:g}之间",
        )
    return -level if kind.about.below else level


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise LimitsError(
            f"{name} must be a number from 0 up to {_MOST:g}, got {value!r}",
            f"{LABELS[name]}（{name}）必须是0到{_MOST:g}之间的数，不能是{value!r}",
        )
    return float(value)


def source_of(section: LimitsTable, name: str) -> str:
    """The document that a level of a section comes from."""
    entry = section.get(name, {})
    return str(entry.get("from", BY_OPERATOR)) if isinstance(entry, dict) else BY_OPERATOR
