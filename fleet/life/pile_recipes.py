"""The faults and near misses of charging piles, one function each (requirement B1). See `recipes`.

What is planted at a port is written into all that the port tells: its state, power, current, settlement and counters.
"""

from __future__ import annotations

import math
from typing import Final

from fleet.life.faults import Effect, LifeDraft, LifeRecipe, LifeSite, MustTell, flapping, level, says, silent
from fleet.life.piles import CHARGE_S, CHARGE_WH, CHARGES, FLOATS, FULL, IDLE, PORT_C, PORT_V, REASON, STATE
from schemas.events import Severity

WARNING: Final = Severity.WARNING
PORT: Final = 3
"""At which port things happen."""
_W, _A, _LEAK, _CABLE, _SUPPLY = PORT, 10 + PORT, 20, 21, 22
_V: Final = 220.0
_MINUTES, _HELD, _HOUR_S = 300.0, 600.0, 3_600.0
_GRACE_S: Final = 60.0
"""For so long after a port says that it is off nothing need be told."""
_SMOOTHED_S: Final = 1_500.0
"""By so much later a shape may be told, which is smoothed [ours]."""

Points = tuple[tuple[float, float], ...]


def pile_residual_alarm(site: LifeSite) -> LifeDraft:
    return level(site, _LEAK, site.rng.uniform(34, 90), 0.5, MustTell("residual_current"))


def pile_residual_rise(site: LifeSite) -> LifeDraft:
    """From 5 to 25 mA, under the level."""
    told = MustTell("residual_current_rise", WARNING, lasts_s=_HELD)
    return LifeDraft((Effect((_LEAK,), 25, site.held, 0.3),), (told,))


def near_pile_residual(site: LifeSite) -> LifeDraft:
    """Slowly to 17 mA."""
    return LifeDraft((Effect((_LEAK,), 17, site.climbs(10_800), 0.3),))


def pile_temperature_warning(site: LifeSite) -> LifeDraft:
    return _warms(site, _CABLE, 75, 3_600, MustTell("temperature", WARNING, lasts_s=3_600, within_s=40))


def pile_temperature_alarm(site: LifeSite) -> LifeDraft:
    return _warms(site, _CABLE, 90, 1_800, MustTell("temperature", lasts_s=1_800 + 30, within_s=40))


def port_temperature_alarm(site: LifeSite) -> LifeDraft:
    return _warms(site, PORT_C + PORT, 90, 1_800, MustTell("port_temperature", lasts_s=1_800 + 30, within_s=40))


def _warms(site: LifeSite, column: int, celsius: float, seconds: float, told: MustTell) -> LifeDraft:
    return LifeDraft((Effect((column,), celsius, site.climbs(seconds), 0.2),), (told,))


def pile_temperature_rise(site: LifeSite) -> LifeDraft:
    effect = Effect((_CABLE,), 34, site.climbs(300), 0.1, added=True)
    return LifeDraft((effect,), (MustTell("temperature_rise", WARNING, lasts_s=300),), needs=(1, 600))


def pile_supply_high(site: LifeSite) -> LifeDraft:
    return level(site, _SUPPLY, 281, 1, MustTell("over_voltage", lasts_s=30))


def pile_supply_low(site: LifeSite) -> LifeDraft:
    return level(site, _SUPPLY, 90, 1, MustTell("under_voltage", lasts_s=30))


# A port, moment by moment.
def _port(
    state: float, watts: float, points: Points, noise: float = 0.01, volts: float = math.nan
) -> tuple[Effect, ...]:
    """It is in a state and draws so much, by the share of the points; what it counts is not told."""
    held = ((points[0][0], 1.0), (points[-1][0], 1.0))
    amperes = watts / _V
    return (
        Effect((STATE + PORT,), state, held),
        Effect((REASON + PORT, CHARGE_S + PORT, CHARGE_WH + PORT), math.nan, held),
        # First nothing, for a share lies between that and what the port does otherwise.
        Effect((_W, _A), 0, held),
        Effect((_W,), watts, points, noise * watts, added=True),
        Effect((_A,), amperes, points, noise * amperes, added=True),
        Effect((PORT_V + PORT,), _V if volts != volts and state in (CHARGES, FLOATS) else volts, held),
    )


def _charged_s(site: LifeSite) -> float:
    """How long a charge is planted before something else: half an hour, in whole reports."""
    return math.ceil(1_800 / site.interval_s) * site.interval_s


def _settled(site: LifeSite, code: float, begin_s: float) -> tuple[Effect, ...]:
    """The settlement, in the first report of what follows."""
    once = ((begin_s, 1.0), (begin_s + site.interval_s, 1.0))
    return Effect((REASON + PORT,), code, once), Effect((CHARGE_S + PORT,), begin_s, once)


def _after(site: LifeSite, code: float, state: float, watts: float, *tells: MustTell, volts: float = 0.4) -> LifeDraft:
    """A charge that is settled by a code; then the port is in a state in which no power may flow."""
    begin_s = _charged_s(site)
    then = ((begin_s, 1.0), (begin_s + site.lasts_s, 1.0))
    charge = _port(CHARGES, 150, ((0, 1), (begin_s, 1)))
    off = _port(state, watts, then, volts=volts)
    told = tuple(one._replace(lasts_s=begin_s + one.lasts_s) for one in tells)
    return LifeDraft((*charge, *off, *_settled(site, code, begin_s)), told, PORT)


def port_power(site: LifeSite) -> LifeDraft:
    """2.6 kW at one port, where 2 kW are the most (AP3000)."""
    return LifeDraft(_port(CHARGES, 2_600, site.held, 0.004), (MustTell("port_power", lasts_s=_MINUTES),), PORT)


def port_current(site: LifeSite) -> LifeDraft:
    """12.5 A that nothing limits, at less than 2 kW."""
    effects = (*_port(CHARGES, 1_900, site.held, 0.004), Effect((_A,), 12.5, site.held, 0.05))
    return LifeDraft(effects, (MustTell("port_current", lasts_s=30),), PORT)


def idle_voltage(site: LifeSite) -> LifeDraft:
    told = MustTell("idle_voltage", lasts_s=_GRACE_S)
    return LifeDraft(_port(IDLE, 0, site.held, volts=226), (told,), PORT)


def idle_power(site: LifeSite) -> LifeDraft:
    """Paid time is over, and the port is still on."""
    return _after(site, 3, IDLE, 120, MustTell("idle_power", lasts_s=_GRACE_S))


def unplugged_power(site: LifeSite) -> LifeDraft:
    return _after(site, 5, IDLE, 60, MustTell("unplugged_power", lasts_s=_GRACE_S))


def full_power(site: LifeSite) -> LifeDraft:
    return _after(site, 1, FULL, 90, MustTell("full_power", lasts_s=_GRACE_S))


def abnormal_power(site: LifeSite) -> LifeDraft:
    return _after(site, 14, 2, 140, MustTell("abnormal_power", lasts_s=_GRACE_S))


def near_full(site: LifeSite) -> LifeDraft:
    """A trickle of 4 W after full."""
    return _after(site, 1, FULL, 4)


def _stopped(code: float, kind: str, severity: Severity = Severity.ALARM) -> LifeRecipe:
    def recipe(site: LifeSite) -> LifeDraft:
        return _after(site, code, IDLE, 0, MustTell(kind, severity))

    recipe.__name__ = kind
    return recipe


def _in_state(code: float, name: str, told: MustTell) -> LifeRecipe:
    def recipe(site: LifeSite) -> LifeDraft:
        return LifeDraft(_port(code, 0, site.held), (told,), PORT)

    recipe.__name__ = name
    return recipe


# The shape of a charge, before and after which the port is idle.
def _shaped(site: LifeSite, watts: float, *points: tuple[float, float]) -> tuple[Effect, ...]:
    idle_s = _charged_s(site)
    moved = tuple((idle_s + seconds, share) for seconds, share in points)
    end_s = moved[-1][0]
    before, after = ((0.0, 1.0), (idle_s, 1.0)), ((end_s, 1.0), (end_s + idle_s, 1.0))
    return (
        *_port(IDLE, 0, before, volts=0.4),
        *_port(CHARGES, watts, moved),
        *_port(IDLE, 0, after, volts=0.4),
    )


def _tells(site: LifeSite, kind: str, severity: Severity, lasts_s: float) -> tuple[MustTell, ...]:
    return (MustTell(kind, severity, lasts_s=_charged_s(site) + lasts_s),)


def long_charge(site: LifeSite) -> LifeDraft:
    """45 W for over ten hours: too little for a shape."""
    end_s = 36_000 + 5 * site.interval_s
    told = _tells(site, "long_charge", Severity.ALARM, 36_000)
    return LifeDraft(_shaped(site, 45, (0, 1), (end_s, 1)), told, PORT, needs=(30, 600))


def no_fall(site: LifeSite) -> LifeDraft:
    end_s = 8 * _HOUR_S + 5 * site.interval_s
    told = _tells(site, "no_fall", WARNING, 8 * _HOUR_S)
    return LifeDraft(_shaped(site, 210, (0, 1), (end_s, 1)), told, PORT, needs=(30, 600))


def rising_plateau(site: LifeSite) -> LifeDraft:
    """From 180 to 400 W within an hour and a half, where it ought to be constant."""
    points = ((0.0, 0.45), (_HOUR_S, 0.45), (2.5 * _HOUR_S, 1.0), (3.5 * _HOUR_S, 1.0))
    told = _tells(site, "rising_plateau", Severity.ALARM, 2.5 * _HOUR_S + _SMOOTHED_S)
    return LifeDraft(_shaped(site, 400, *points), told, PORT, needs=(1, 600))


def restart_after_full(site: LifeSite) -> LifeDraft:
    """Full after an hour and a half, and an hour later charged again."""
    fallen, again = 1.5 * _HOUR_S, 2.5 * _HOUR_S
    points = ((0.0, 1.0), (fallen, 1.0), (fallen + 60, 0.04), (again, 0.04), (again + 60, 1.0), (again + _HOUR_S, 1.0))
    told = _tells(site, "restart_after_full", WARNING, again + _SMOOTHED_S)
    return LifeDraft(_shaped(site, 220, *points), told, PORT, needs=(1, 600))


def near_float(site: LifeSite) -> LifeDraft:
    """A lead-acid battery that floats for hours."""
    points = ((0.0, 1.0), (2 * _HOUR_S, 1.0), (3 * _HOUR_S, 0.05), (6 * _HOUR_S, 0.05))
    begin_s = _charged_s(site) + 3 * _HOUR_S
    floats = Effect((STATE + PORT,), FLOATS, ((begin_s, 1), (begin_s + 3 * _HOUR_S, 1)))
    return LifeDraft((*_shaped(site, 300, *points), floats), component=PORT)


def near_small(site: LifeSite) -> LifeDraft:
    """A small charger whose power never falls."""
    return LifeDraft(_shaped(site, 42, (0, 1), (9 * _HOUR_S, 1)), component=PORT, needs=(30, 600))


_JAM: Final = MustTell(f"port_fault:{PORT}:socket_jam", is_status=True)
_FUSE: Final = MustTell(f"port_fault:{PORT}:poor_contact", is_status=True)

PILE_RECIPES: Final[tuple[LifeRecipe, ...]] = (
    pile_residual_alarm, pile_residual_rise, near_pile_residual, pile_temperature_warning, pile_temperature_alarm,
    pile_temperature_rise, pile_supply_high, pile_supply_low, port_power, port_current, port_temperature_alarm,
    idle_voltage, idle_power, unplugged_power, full_power, abnormal_power, near_full,
    _in_state(9, "relay_stuck", MustTell("relay_stuck")),
    _in_state(13, "short_circuit", MustTell("short_circuit")),
    _in_state(7, "socket_jam", _JAM), _in_state(8, "poor_contact", _FUSE),
    _stopped(11, "temperature_stop"), _stopped(16, "water_stop"), _stopped(24, "fire_stop"),
    _stopped(6, "overload_stop", WARNING), _stopped(26, "voltage_stop", WARNING),
    long_charge, no_fall, rising_plateau, restart_after_full, near_float, near_small,
    says("GroundFailure", MustTell("residual_current")),
    silent(2, "offline"), silent(8, "overdue_offline"), flapping,
)  # fmt: skip
