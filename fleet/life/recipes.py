"""The faults and near misses of monitors' life, one function each; those of piles are in `pile_recipes`. Kinds of alarm
are named as detection names them; a name that it does not know yet is counted apart by whoever judges.

Each stays clear of every limit that it does not mean to pass. What one fault shows in several quantities (a phase that
is lost has neither voltage nor current) is written into all of them.
"""

from __future__ import annotations

from typing import Final

from fleet.life.faults import Effect, LifeDraft, LifeRecipe, LifeSite, MustTell, flapping, level, nothing, says, silent
from schemas.events import Severity
from schemas.registry import LimitSections

WARNING, ALARM = Severity.WARNING, Severity.ALARM
_V: Final = 220.0
_LEAK, _CABLE, _AMPERES, _VOLTS, _WATTS = 0, 1, (5, 6, 7), (8, 9, 10), (11, 12, 13)
_ARC, _SMOKE, _INSULATION, _STATIC, _UNBALANCE = 14, 15, 16, 17, 18
_MINUTES: Final = 300.0
"""What domain.md's "for minutes" is taken for [ours]."""
_HELD: Final = 600.0
"""What a rise of leakage must last: domain.md's "held" [ours]."""
_DAY_S: Final = 86_400.0


# Leakage of a line. Under noise of 2 % it stays over the level it has passed.
def residual_warning(site: LifeSite) -> LifeDraft:
    return level(site, _LEAK, 240, 5, MustTell("residual_current", WARNING))


def residual_alarm(site: LifeSite) -> LifeDraft:
    return level(site, _LEAK, site.rng.uniform(320, 900), 5, MustTell("residual_current"))


def residual_intermittent(site: LifeSite) -> LifeDraft:
    """400 mA for a second of two: the insulation of something that turns."""
    effect = Effect((_LEAK,), 420, site.held, 5, on_s=1)
    return LifeDraft((effect,), (MustTell("residual_current", within_s=60),), needs=(1, 1))


def residual_rise(site: LifeSite) -> LifeDraft:
    """130 mA more than it was, at once, and held."""
    return LifeDraft(
        (Effect((_LEAK,), 130, site.held, added=True),), (MustTell("residual_current_rise", WARNING, lasts_s=_HELD),)
    )


def residual_creep(site: LifeSite) -> LifeDraft:
    """Over two hours to 340 mA."""
    effect = Effect((_LEAK,), 340, site.climbs(7_200), 2)
    return LifeDraft((effect,), (MustTell("residual_current", lasts_s=7_200),))


def near_residual(site: LifeSite) -> LifeDraft:
    """Slowly to just under the warning."""
    return LifeDraft((Effect((_LEAK,), 194, site.climbs(10_800), 2),))


def near_morning_rise(site: LifeSite) -> LifeDraft:
    """97 mA more within an hour, as an office in the morning, under every level."""
    low = Effect((_LEAK,), 50, site.climbs(7_200), 2)
    high = Effect((_LEAK,), 147, ((7_200, 0), (10_800, 1), (10_800 + site.lasts_s, 1)), 2)
    return LifeDraft((low, high))


def near_spike(site: LifeSite) -> LifeDraft:
    """One report of 400 mA, where the next one tells soon enough that it was nothing."""
    return LifeDraft((Effect((_LEAK,), 400, site.once),), needs=(1, 120))


# Temperature of a cable.
def temperature_warning(site: LifeSite) -> LifeDraft:
    effect = Effect((_CABLE,), 65, site.climbs(3_600), 0.2)
    return LifeDraft((effect,), (MustTell("temperature", WARNING, lasts_s=3_600, within_s=40),))


def temperature_alarm(site: LifeSite) -> LifeDraft:
    effect = Effect((_CABLE,), 78, site.climbs(1_800), 0.2)
    return LifeDraft((effect,), (MustTell("temperature", lasts_s=1_800, within_s=40),))


def temperature_rise(site: LifeSite) -> LifeDraft:
    """34 K in five minutes."""
    effect = Effect((_CABLE,), 34, site.climbs(300), 0.1, added=True)
    return LifeDraft((effect,), (MustTell("temperature_rise", WARNING, lasts_s=300),), needs=(1, 600))


def near_hot(site: LifeSite) -> LifeDraft:
    """Over two hours to 58 ℃, and steady."""
    return LifeDraft((Effect((_CABLE,), 58, site.climbs(7_200), 0.2),))


def near_power_on(site: LifeSite) -> LifeDraft:
    """One report of 85.0, which is what a probe says before it has measured."""
    return LifeDraft((Effect((_CABLE,), 85.0, site.once),))


# Arcs: the count of one second stands by itself.
def arc_warning(site: LifeSite) -> LifeDraft:
    effect = Effect((_ARC,), site.rng.randint(10, 13), site.once)
    return LifeDraft((effect,), (MustTell("arc_fault", WARNING, within_s=30),))


def arc_alarm(site: LifeSite) -> LifeDraft:
    effect = Effect((_ARC,), site.rng.choice((14, 14, 20, 60, 100)), site.once)
    return LifeDraft((effect,), (MustTell("arc_fault", within_s=30),))


def near_arc(site: LifeSite) -> LifeDraft:
    """9 half-cycles, again and again."""
    return nothing(site, _ARC, 9, 0)


# Voltage.
def over_voltage_warning(site: LifeSite) -> LifeDraft:
    return level(site, _VOLTS[1], 243, 1, MustTell("over_voltage", WARNING, lasts_s=30), component=1)


def over_voltage_alarm(site: LifeSite) -> LifeDraft:
    return level(site, _VOLTS[1], 262, 1, MustTell("over_voltage", lasts_s=30), component=1)


def under_voltage_warning(site: LifeSite) -> LifeDraft:
    return level(site, _VOLTS[2], 193, 1, MustTell("under_voltage", WARNING, lasts_s=30), component=2)


def under_voltage_alarm(site: LifeSite) -> LifeDraft:
    return level(site, _VOLTS[2], 178, 1, MustTell("under_voltage", lasts_s=30), component=2)


def near_voltage(site: LifeSite) -> LifeDraft:
    return nothing(site, _VOLTS[0], 234.2, 0.8)


def phase_loss(site: LifeSite) -> LifeDraft:
    """One phase has neither voltage nor current."""
    columns = (_VOLTS[2], _AMPERES[2], _WATTS[2])
    return LifeDraft((Effect(columns, 0, site.held),), (MustTell("phase_loss", lasts_s=30),), 2)


def neutral_loss(site: LifeSite) -> LifeDraft:
    """Without its neutral the phases of unequal load get unequal voltages, some far too much."""
    volts = ((_VOLTS[0], 132.0), (_VOLTS[1], 268.0), (_VOLTS[2], 282.0))
    effects = tuple(Effect((column,), level, site.held, 2) for column, level in volts)
    return LifeDraft(effects, (MustTell("neutral_loss", lasts_s=30),))


def voltage_unbalance(site: LifeSite) -> LifeDraft:
    """One phase 37 % under the mean of all, and not lost."""
    volts = ((_VOLTS[0], 232.0), (_VOLTS[1], 230.0), (_VOLTS[2], 120.0))
    effects = tuple(Effect((column,), level, site.held, 1) for column, level in volts)
    return LifeDraft(effects, (MustTell("voltage_unbalance", lasts_s=30),))


def unbalance_warning(site: LifeSite) -> LifeDraft:
    """As the device itself works it out."""
    return level(site, _UNBALANCE, 21, 1, MustTell("unbalance", WARNING, lasts_s=30))


def unbalance_alarm(site: LifeSite) -> LifeDraft:
    return level(site, _UNBALANCE, 38, 1, MustTell("unbalance", lasts_s=30))


def near_unbalance(site: LifeSite) -> LifeDraft:
    return nothing(site, _UNBALANCE, 13.5, 1)


# Load.
def _drawn(site: LifeSite, share: float, *tells: MustTell) -> LifeDraft:
    """All phases draw a share of the rated current, and the power that goes with it."""
    amperes = Effect(_AMPERES, share * site.rated_a, site.held, 0.005 * site.rated_a)
    watts = Effect(_WATTS, share * site.rated_a * _V * 0.95, site.held, site.rated_a)
    return LifeDraft((amperes, watts), tells)


def overload_warning(site: LifeSite) -> LifeDraft:
    return _drawn(site, 0.98, MustTell("overload", WARNING, lasts_s=_MINUTES))


def overload_alarm(site: LifeSite) -> LifeDraft:
    return _drawn(site, 1.3, MustTell("overload", lasts_s=_MINUTES))


def over_current(site: LifeSite) -> LifeDraft:
    """A breaker should have tripped: 1.45 times its current (GB/T 10963.1)."""
    return _drawn(site, 1.7, MustTell("over_current", lasts_s=_MINUTES))


def near_overload(site: LifeSite) -> LifeDraft:
    return _drawn(site, 0.86)


def current_unbalance(site: LifeSite) -> LifeDraft:
    """Two phases at 0.7 of the rated current, the third at 0.2: 63 % under the mean."""
    shares = zip(_AMPERES, _WATTS, (0.7, 0.7, 0.2), strict=True)
    effects = tuple(
        Effect((column,), share * by * site.rated_a, site.held, 0.005 * by * site.rated_a)
        for ampere, watt, share in shares
        for column, by in ((ampere, 1.0), (watt, _V * 0.95))
    )
    return LifeDraft(effects, (MustTell("current_unbalance", WARNING, lasts_s=_MINUTES),))


def malignant_load(site: LifeSite) -> LifeDraft:
    """A heater of 2 kW is plugged in: that much more at once, at a power factor of 1."""
    amperes = Effect((_AMPERES[0],), 2_000 / _V, site.held, added=True)
    watts = Effect((_WATTS[0],), 2_000, site.held, added=True)
    told = (MustTell("malignant_load", WARNING, lasts_s=60),)
    # Where kettles are allowed it is none, so a place says from what power on it is: a dormitory, whose line is small.
    # From report to report the usual load of a large line changes by as much.
    limits: LimitSections = {"malignant_load": {"warning": {"value": 1_000}}}
    return LifeDraft((amperes, watts), told, rated_most_a=40, limits=limits)


# The rest of annex 1.
def smoke(site: LifeSite) -> LifeDraft:
    return level(site, _SMOKE, 0.7, 0.05, MustTell("smoke"))


def insulation_warning(site: LifeSite) -> LifeDraft:
    return level(site, _INSULATION, 0.8, 0.05, MustTell("insulation", WARNING))


def insulation_alarm(site: LifeSite) -> LifeDraft:
    return level(site, _INSULATION, 0.3, 0.05, MustTell("insulation"))


def static_warning(site: LifeSite) -> LifeDraft:
    return level(site, _STATIC, 15_000, 500, MustTell("static", WARNING))


def static_alarm(site: LifeSite) -> LifeDraft:
    return level(site, _STATIC, -38_000, 500, MustTell("static"))


# Sensors.
def _sensor(site: LifeSite, column: int, level: float, component: str, lasts_s: float = 0) -> LifeDraft:
    told = MustTell(f"sensor_fault:{component}", lasts_s=lasts_s, is_status=True)
    points = ((0.0, 1.0), (max(site.lasts_s, lasts_s + 4 * site.interval_s + 60), 1.0))
    return LifeDraft((Effect((column,), level, points),), (told,))


def probe_open(site: LifeSite) -> LifeDraft:
    return _sensor(site, _CABLE + 1, -127.0, "temperature_c[1]")


def probe_short(site: LifeSite) -> LifeDraft:
    return _sensor(site, _CABLE, 3_276.7, "temperature_c[0]")


def implausible(site: LifeSite) -> LifeDraft:
    return _sensor(site, _LEAK, -20.0, "residual_current_ma[0]")


def transformer_open(site: LifeSite) -> LifeDraft:
    """0 on a line that is never at 0."""
    return _sensor(site, _LEAK, 0.0, "residual_current_ma[0]", _DAY_S)


def stuck(site: LifeSite) -> LifeDraft:
    """The same value for a day."""
    return _sensor(site, _CABLE, 27.3, "temperature_c[0]", _DAY_S)


LINE_RECIPES: Final[tuple[LifeRecipe, ...]] = (
    residual_warning, residual_alarm, residual_intermittent, residual_rise, residual_creep, near_residual,
    near_morning_rise, near_spike, temperature_warning, temperature_alarm, temperature_rise, near_hot, near_power_on,
    arc_warning, arc_alarm, near_arc, over_voltage_warning, over_voltage_alarm, under_voltage_warning,
    under_voltage_alarm, near_voltage, phase_loss, neutral_loss, voltage_unbalance, unbalance_warning, unbalance_alarm,
    near_unbalance, overload_warning, overload_alarm, over_current, near_overload, current_unbalance,
    malignant_load, smoke, insulation_warning, insulation_alarm, static_warning, static_alarm, probe_open, probe_short,
    implausible, transformer_open, stuck,
    says("smoke_alarm", MustTell("smoke")),
    says("residual_current_alarm", MustTell("residual_current")),
    says("temperature_alarm", MustTell("temperature")),
    says("arc_alarm", MustTell("arc_fault")),
    says("GroundFailure", MustTell("residual_current")),
    says("trip", MustTell("device_alarm")),
    says("door_open", MustTell("door_open", is_status=True)),
    silent(2, "offline"), silent(8, "overdue_offline"), flapping,
)  # fmt: skip
