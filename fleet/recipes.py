"""The faults and the near misses that can be planted, one function each: `(stage) -> draft`, None if it does not fit.

Where it depends on how often a device reports what is told of a curve, the recipe does not fit a device of which it is
neither clearly told nor clearly not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleet.links import REPEAT_AFTER_MS
from fleet.stage import (
    HEATING_MEMORY_MS,
    HEATING_S,
    RESIDUAL_ALARM_S,
    RESIDUAL_WARNING_S,
    RISE_S,
    SELDOM_MS,
    TEMPERATURE_WARNING_S,
    Draft,
    FaultStage,
    Truth,
)
from schemas.alarm_kinds import AlarmKind
from schemas.events import Severity

Recipe = Callable[[FaultStage], Draft | None]

_RESIDUAL, _TEMPERATURE, _ARC = "residual_current_ma", "temperature_c", "arc_half_cycles"
_RISE: Final = (AlarmKind.RESIDUAL_CURRENT_RISE, Severity.WARNING)
_HEATING: Final = (AlarmKind.TEMPERATURE_RISE, Severity.WARNING)
_TEMPERATURE_NOISE_C: Final = 0.05
_UNDER_C: Final = 1.0
"""Where a hot component waits under its limit: ten times what its noise and rounding reach."""
_CLIMB_MS: Final = 30_000
_CLEAR_C: Final = 17.0
"""What lies so far over its running mean lies clearly over the limit of 15 ℃."""
_REMEMBERED: Final = 16
"""Of so many reports of a device a repeat is known."""


def residual_warning(stage: FaultStage) -> Draft | None:
    """From normal to 220-280 mA: the warning level, and over what was usual."""
    return _residual_step(stage, stage.rng.uniform(40, 60), stage.rng.uniform(220, 280), Severity.WARNING)


def residual_warning_of_leaky(stage: FaultStage) -> Draft | None:
    """A line that leaks 150 mA by nature goes to 220-230 mA: a warning, but no rise of 100 mA."""
    return _residual_step(stage, 150, stage.rng.uniform(220, 230), Severity.WARNING)


def residual_alarm(stage: FaultStage) -> Draft | None:
    """From normal to clearly over the alarm level at once."""
    if stage.pile:
        return _residual_step(stage, stage.rng.uniform(4, 6), stage.rng.uniform(38, 50), Severity.ALARM)
    return _residual_step(stage, stage.rng.uniform(40, 60), stage.rng.uniform(330, 380), Severity.ALARM)


def residual_rise(stage: FaultStage) -> Draft | None:
    """Under every level, but far over what was usual."""
    if not stage.may_rise:
        return None
    if stage.pile:
        return _residual_step(stage, 4.5, stage.rng.uniform(23, 25), None)
    return _residual_step(stage, stage.rng.uniform(40, 45), stage.rng.uniform(165, 185), None)


def residual_creep(stage: FaultStage) -> Draft | None:
    """From 120 mA over the warning to 340 mA, so slowly that the warning confirms before the alarm: an escalation."""
    low, high = 120.0, 340.0
    between_ms = stage.lasts_ms(RESIDUAL_WARNING_S) + stage.margin_ms
    creep_ms = int((high - low) / (stage.limits.residual_alarm_ma - 200) * between_ms)
    needs_ms = creep_ms + stage.lasts_ms(RESIDUAL_ALARM_S)
    onset = stage.onset(needs_ms, _earliest_of_residual(stage))
    rises = _creep_rises(stage, low, high, creep_ms)
    if onset is None or rises is None:
        return None
    top_ms = onset + creep_ms
    points = ((onset, low), (top_ms, high), *stage.hold(onset, needs_ms, high, low))
    leveled = ((AlarmKind.RESIDUAL_CURRENT, Severity.ALARM),)
    return Draft(_RESIDUAL, 0, points, 2.0, (*leveled, _RISE) if rises else leveled, onset)


def _creep_rises(stage: FaultStage, low: float, high: float, creep_ms: int) -> bool | None:
    """Whether a creep is a sudden rise: over the limit while two parts of the window are still as low as before. None
    where that is not clear."""
    if not stage.may_rise:
        return False
    over_ms = int(creep_ms * (stage.limits.residual_rise_ma + 10) / (high - low)) + stage.period_ms
    if over_ms + 2 * stage.part_ms <= stage.rise_window_ms:
        return True
    # What is usual follows the creep, later by the window and the part that is not over yet.
    lags_ma = (high - low) / creep_ms * (stage.rise_window_ms + stage.part_ms)
    return None if lags_ma > stage.limits.residual_rise_ma - 10 else False


def _residual_step(stage: FaultStage, normal: float, level: float, severity: Severity | None) -> Draft | None:
    needs_ms = _residual_confirm_ms(stage, severity)
    onset = stage.onset(needs_ms, _earliest_of_residual(stage))
    if onset is None:
        return None
    points = ((onset - 1, normal), (onset, level), *stage.hold(onset, needs_ms, level, normal))
    noise = 0.3 if stage.pile else 2.0
    return Draft(_RESIDUAL, 0, points, noise, _residual_truth(stage, normal, level, severity), onset)


def _residual_confirm_ms(stage: FaultStage, severity: Severity | None) -> int:
    """Until everything it raises has confirmed: the rise, where one can, takes the longest."""
    if severity is Severity.ALARM and not stage.may_rise:
        return stage.lasts_ms(RESIDUAL_ALARM_S)
    return stage.lasts_ms(RISE_S, RESIDUAL_WARNING_S)


def _earliest_of_residual(stage: FaultStage) -> int:
    """Once it is known what is usual: a fault before that would leave it open what is a rise."""
    return stage.settled_ms if stage.may_rise else 0


def _residual_truth(stage: FaultStage, normal: float, level: float, severity: Severity | None) -> Truth:
    rises = stage.may_rise and level - normal >= stage.limits.residual_rise_ma
    leveled = () if severity is None else ((AlarmKind.RESIDUAL_CURRENT, severity),)
    return (*leveled, _RISE) if rises else leveled


def temperature_warning(stage: FaultStage) -> Draft | None:
    """Hot from the first report, then a little over the warning level: no rise."""
    return _temperature_level(stage, stage.limits.temperature_warning_c, TEMPERATURE_WARNING_S, Severity.WARNING)


def temperature_alarm(stage: FaultStage) -> Draft | None:
    """Over the warning level from the first report, then a little over the alarm level: an escalation."""
    return _temperature_level(stage, stage.limits.temperature_alarm_c, stage.limits.temperature_alarm_s, Severity.ALARM)


def _temperature_level(stage: FaultStage, limit: float, confirm_s: int, severity: Severity) -> Draft | None:
    low, high = limit - _UNDER_C, limit + 2.5
    needs_ms = stage.lasts_ms(confirm_s)
    onset = stage.onset(needs_ms)
    if onset is None:
        return None
    points = ((onset - 1, low), (onset, high), *stage.hold(onset, needs_ms, high, low - 8))
    after_ms = 0 if severity is Severity.ALARM else onset
    return Draft(_TEMPERATURE, 0, points, _TEMPERATURE_NOISE_C, ((AlarmKind.TEMPERATURE, severity),), after_ms)


def temperature_ramp(stage: FaultStage) -> Draft | None:
    """From warm to 10 ℃ over the alarm level within half a minute: so steep that it raises that too."""
    gain = stage.limits.temperature_alarm_c + 10 - 36
    raises = (_HEATING, (AlarmKind.TEMPERATURE, Severity.ALARM))
    return _climb(stage, 36.0, gain, stage.lasts_ms(HEATING_S, stage.limits.temperature_alarm_s), raises)


def temperature_rise(stage: FaultStage) -> Draft | None:
    """By 24 to 26 ℃ from 30 ℃, and over before anything is hot."""
    return _climb(stage, 30.0, stage.rng.uniform(24, 26), stage.lasts_ms(HEATING_S), (_HEATING,))


def _climb(stage: FaultStage, low: float, gain: float, confirm_ms: int, raises: Truth) -> Draft | None:
    needs_ms = _CLIMB_MS + confirm_ms
    onset = stage.onset(needs_ms)
    if onset is None or _least_over_mean_c(stage, gain) < _CLEAR_C:
        return None
    points = ((onset, low), (onset + _CLIMB_MS, low + gain), *stage.hold(onset, needs_ms, low + gain, low))
    return Draft(_TEMPERATURE, 0, points, _TEMPERATURE_NOISE_C, raises, onset)


def _least_over_mean_c(stage: FaultStage, gain: float) -> float:
    """How far over its running mean at least what has climbed by `gain` lies at its first report there: what would be
    left if it had been at its top all the while. Each report leaves a share of what lay over the mean, which waits from
    then on."""
    left = HEATING_MEMORY_MS / (HEATING_MEMORY_MS + stage.period_ms)
    return float(gain * left ** (_CLIMB_MS // stage.period_ms + 2))


def arc_warning(stage: FaultStage) -> Draft | None:
    """One report of 10 to 13 half-cycles."""
    return _single(stage, _ARC, stage.rng.randint(10, 13), ((AlarmKind.ARC_FAULT, Severity.WARNING),))


def arc_alarm(stage: FaultStage) -> Draft | None:
    """One report of 15 half-cycles or more."""
    return _single(stage, _ARC, stage.rng.randint(15, 45), ((AlarmKind.ARC_FAULT, Severity.ALARM),))


def near_arc(stage: FaultStage) -> Draft | None:
    """9 half-cycles, which must not alarm (GB 31252-2014 4.3.4)."""
    return _single(stage, _ARC, 9, ())


def near_spike(stage: FaultStage) -> Draft | None:
    """One report of 400 mA: shorter than any confirm time. Of a device that reports seldom it would be told as
    provisional, and of one that reports very often a repeat of it is not known as such."""
    if stage.period_ms > SELDOM_MS or stage.period_ms * _REMEMBERED <= 2 * REPEAT_AFTER_MS:
        return None
    return _single(stage, _RESIDUAL, 400, ())


def _single(stage: FaultStage, quantity: str, level: float, raises: Truth) -> Draft | None:
    """Exactly one report, without noise."""
    onset = stage.onset(0)
    if onset is None:
        return None
    at_ms = stage.next_report_ms(onset)
    gone = float("nan")
    points = ((at_ms - 1, gone), (at_ms, level), (at_ms + 1, gone))
    return Draft(quantity, 0, points, 0.0, raises, at_ms)


def near_residual(stage: FaultStage) -> Draft | None:
    """A line that always leaks 191 mA: just under the warning, and its own normal."""
    return Draft(_RESIDUAL, 0, ((0, 191.0), (stage.end_ms, 191.0)), 3.0, (), 0)


def near_hot(stage: FaultStage) -> Draft | None:
    """57 ℃, hot but steady."""
    return Draft(_TEMPERATURE, 0, ((0, 57.0), (stage.end_ms, 57.0)), _TEMPERATURE_NOISE_C, (), 0)


def near_rise(stage: FaultStage) -> Draft | None:
    """By 12 ℃ within half a minute: fast, but no 15 ℃ over any mean."""
    onset = stage.onset(_CLIMB_MS)
    if onset is None:
        return None
    return Draft(_TEMPERATURE, 0, ((onset, 30.0), (onset + _CLIMB_MS, 42.0)), _TEMPERATURE_NOISE_C, (), 0)
