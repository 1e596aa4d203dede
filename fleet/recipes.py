"""The faults and the near misses that can be planted, one function each: `(stage) -> draft`, None if it does not fit.

Residual current steps or creeps; a step of temperature would look like a fast rise, so one that must only pass a level
stands just under it from the first report and crosses it at 6 ℃/min, against a limit of 10 ℃/min.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleet.stage import (
    RESIDUAL_ALARM_S,
    RESIDUAL_WARNING_S,
    RISE_S,
    TEMPERATURE_WARNING_S,
    Draft,
    FaultStage,
    Truth,
)
from schemas.events import AlarmKind, Severity

Recipe = Callable[[FaultStage], Draft | None]

_RESIDUAL, _TEMPERATURE, _ARC = "residual_current_ma", "temperature_c", "arc_half_cycles"
_RISE: Final = (AlarmKind.RESIDUAL_CURRENT_RISE, Severity.WARNING)
_HEATING: Final = (AlarmKind.TEMPERATURE_RISE, Severity.WARNING)
_TEMPERATURE_NOISE_C: Final = 0.05
_GENTLE_C_PER_MIN: Final = 6.0
_UNDER_C: Final = 1.0
"""Where a hot component waits under its limit: ten times what its noise and rounding reach."""


def residual_warning(stage: FaultStage) -> Draft | None:
    """From normal to 220-280 mA: the warning level, and over the learned baseline."""
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
    """Under every level, but far over the device's own baseline."""
    if not stage.may_learn:
        return None
    if stage.pile:
        return _residual_step(stage, 4.5, stage.rng.uniform(23, 25), None)
    return _residual_step(stage, stage.rng.uniform(40, 45), stage.rng.uniform(165, 185), None)


def residual_creep(stage: FaultStage) -> Draft | None:
    """From 120 mA over the warning to 340 mA, so slowly that the warning confirms before the alarm: an escalation."""
    low, high = 120.0, 340.0
    between_ms = RESIDUAL_WARNING_S * 1_000 + stage.margin_ms
    creep_ms = int((high - low) / (stage.limits.residual_alarm_ma - 200) * between_ms)
    onset = stage.onset(creep_ms + RISE_S * 1_000, _earliest_of_residual(stage))
    if onset is None:
        return None
    top_ms = onset + creep_ms
    points = ((onset, low), (top_ms, high), *stage.hold(top_ms, RISE_S * 1_000, high, low))
    return Draft(_RESIDUAL, 0, points, 2.0, _residual_truth(stage, low, high, Severity.ALARM), onset)


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
    if severity is Severity.ALARM and not stage.may_learn:
        return RESIDUAL_ALARM_S * 1_000
    return max(RISE_S, RESIDUAL_WARNING_S) * 1_000


def _earliest_of_residual(stage: FaultStage) -> int:
    """After learning: a fault while the baseline is learned would leave it open what is a rise."""
    return stage.learned_ms if stage.may_learn else 0


def _residual_truth(stage: FaultStage, normal: float, level: float, severity: Severity | None) -> Truth:
    rises = stage.may_learn and level - normal >= stage.limits.residual_rise_ma
    leveled = () if severity is None else ((AlarmKind.RESIDUAL_CURRENT, severity),)
    return (*leveled, _RISE) if rises else leveled


def temperature_warning(stage: FaultStage) -> Draft | None:
    """Hot from the first report, then gently over the warning level."""
    return _temperature_level(stage, stage.limits.temperature_warning_c, TEMPERATURE_WARNING_S, Severity.WARNING)


def temperature_alarm(stage: FaultStage) -> Draft | None:
    """Over the warning level from the first report, then gently over the alarm level: an escalation."""
    return _temperature_level(stage, stage.limits.temperature_alarm_c, stage.limits.temperature_alarm_s, Severity.ALARM)


def _temperature_level(stage: FaultStage, limit: float, confirm_s: int, severity: Severity) -> Draft | None:
    low, high = limit - _UNDER_C, limit + 2.5
    climb_ms = int((high - low) / _GENTLE_C_PER_MIN * 60_000)
    needs_ms = max(climb_ms, int(_UNDER_C / _GENTLE_C_PER_MIN * 60_000) + confirm_s * 1_000)
    onset = stage.onset(needs_ms)
    if onset is None:
        return None
    held = stage.hold(onset + climb_ms, confirm_s * 1_000, high, low - 8)
    after_ms = 0 if severity is Severity.ALARM else onset
    points = ((onset, low), (onset + climb_ms, high), *held)
    return Draft(_TEMPERATURE, 0, points, _TEMPERATURE_NOISE_C, ((AlarmKind.TEMPERATURE, severity),), after_ms)


def temperature_ramp(stage: FaultStage) -> Draft | None:
    """From warm to 10 ℃ over the alarm level within some windows of the rate of rise: steep, so it raises that too."""
    raises = (_HEATING, (AlarmKind.TEMPERATURE, Severity.ALARM))
    climb_ms = _steep_climb_ms(stage)
    gain = stage.limits.temperature_alarm_c + 10 - 36
    if gain / climb_ms * 60_000 < 15:
        return None  # devices that report so seldom would not see it as steep
    return _climb(stage, 36.0, gain, climb_ms, stage.limits.temperature_alarm_s * 1_000, raises)


def temperature_rise(stage: FaultStage) -> Draft | None:
    """15.5 to 17.5 ℃/min from 30 ℃, and over before anything is hot."""
    climb_ms = _steep_climb_ms(stage)
    gain = stage.rng.uniform(15.5, 17.5) * climb_ms / 60_000
    if gain > 26:
        return None
    return _climb(stage, 30.0, gain, climb_ms, 0, (_HEATING,))


def _steep_climb_ms(stage: FaultStage) -> int:
    """Two whole windows lie within it however the windows fall."""
    return 3 * stage.window_ms + stage.period_ms


def _climb(stage: FaultStage, low: float, gain: float, climb_ms: int, confirm_ms: int, raises: Truth) -> Draft | None:
    onset = stage.onset(climb_ms + confirm_ms)
    if onset is None:
        return None
    top_ms = onset + climb_ms
    points = ((onset, low), (top_ms, low + gain), *stage.hold(top_ms, confirm_ms, low + gain, low))
    return Draft(_TEMPERATURE, 0, points, _TEMPERATURE_NOISE_C, raises, onset)


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
    """One report of 400 mA: shorter than any confirm time, unless the device reports so seldom that one must do."""
    if 2 * stage.period_ms >= RESIDUAL_ALARM_S * 1_000:
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


def near_slow_rise(stage: FaultStage) -> Draft | None:
    """4 ℃/min up to 56 ℃."""
    climb_ms = int((56 - 30) / 4 * 60_000)
    return Draft(_TEMPERATURE, 0, ((0, 30.0), (climb_ms, 56.0)), _TEMPERATURE_NOISE_C, (), 0)
