"""The stimuli of the standards: whether what must alarm does in time, and what must not does not.

Residual current at 1.02 x the setting within 30 s (GB 50166-2019 4.8.4), temperature within 40 s (4.8.5), arcs of 14
half-cycles always and of 9 never (4.8.6); under the noise, and at intervals up to 6 h, as domain.md, Confirming, says.
Time runs from the moment of the fault, not from the report that shows it first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from benchmarks.rightness.told import T0, DeviceScript, DeviceTold, Line, arrival, clock, report, summed, tell
from schemas.events import Severity

LATENCY_MS: Final = 200
"""From a report to its arrival, which is the network's and not detection's."""
_BEFORE: Final = 40
"""Reports before the fault; at 1 s and 5 s it takes more to be steady than at 6 h."""
_UNSTEADY: Final = 0.02
"""Noise of normal values where the stimulus has none: one that never moves could be said to be a stuck sensor's."""


class Stimulus(NamedTuple):
    """What a device is shown: reports `interval_s` apart, normal, and from a moment on `level` under noise of `noise`
    (a share of it, one standard deviation), for `reports` reports: where `off` is not 0, for `on` of them, then not for
    `off`, and so on."""

    what: str
    quantity: str
    kind: str
    interval_s: float
    normal: float
    level: float
    noise: float
    reports: int
    device_kind: str = "electrical_monitor"
    on: int = 1
    off: int = 0


class ShownStimulus(NamedTuple):
    """A device that was shown a stimulus: when the fault began, and the arrivals of the reports since."""

    device_id: str
    onset_ts: int
    arrived_ts: list[int]
    values: list[float]


StimulusVerdict = Callable[[Stimulus, ShownStimulus, DeviceTold], bool]


def within(seconds: float, severity: Severity = Severity.ALARM) -> StimulusVerdict:
    """DeviceTold as bad as that, no later than so long after the fault began."""

    def holds(stimulus: Stimulus, shown: ShownStimulus, told: DeviceTold) -> bool:
        first = told.first(stimulus.kind, severity)
        return first is not None and first.ingest_ts - LATENCY_MS <= shown.onset_ts + seconds * 1_000

    return holds


def by_value(number: int) -> StimulusVerdict:
    """紧急 by that value since the fault, counted from 1."""

    def holds(stimulus: Stimulus, shown: ShownStimulus, told: DeviceTold) -> bool:
        first = told.first(stimulus.kind, Severity.ALARM)
        return first is not None and first.ingest_ts <= shown.arrived_ts[number - 1]

    return holds


def then(*events: str) -> StimulusVerdict:
    """These events, one at each value since the fault, before any other; a provisional is 警告."""

    def holds(stimulus: Stimulus, shown: ShownStimulus, told: DeviceTold) -> bool:
        first = told.of(stimulus.kind)[: len(events)]
        in_turn = [(one.event, one.ingest_ts) for one in first] == list(zip(events, shown.arrived_ts, strict=False))
        return in_turn and all(one.severity == Severity.WARNING for one in first if one.event == "provisional")

    return holds


def nothing(_: Stimulus, __: ShownStimulus, told: DeviceTold) -> bool:
    """No event of any kind."""
    return not told.alarms


def never_urgent(stimulus: Stimulus, _: ShownStimulus, told: DeviceTold) -> bool:
    """No 紧急."""
    return told.first(stimulus.kind, Severity.ALARM) is None


_RESIDUAL: Final = ("residual_current_ma", "residual_current")
_TEMPERATURE: Final = ("temperature_c", "temperature")
_ARC: Final = ("arc_half_cycles", "arc_fault")


def _fast(interval_s: float) -> Iterator[tuple[Stimulus, StimulusVerdict, str]]:
    noise = 0.1 if interval_s == 1 else 0.01
    many = int(90 / interval_s)
    told = f"1.02 x the setting, {noise:.0%} noise"
    for pile, setting in ((False, 300.0), (True, 30.0)):
        whose, kind = ("pile, ", "charging_pile") if pile else ("", "electrical_monitor")
        what, level = f"{whose}residual current {told}", 1.02 * setting
        over = Stimulus(what, *_RESIDUAL, interval_s, 0.2 * setting, level, noise, many, kind)
        yield over, within(30), "紧急 within 30 s"
    hot = Stimulus("temperature 1.02 x the setting, 0.5 % noise", *_TEMPERATURE, interval_s, 30, 71.4, 0.005, many)
    yield hot, within(40), "紧急 within 40 s"
    yield Stimulus("arc of 14", *_ARC, interval_s, 0, 14, 0, 1), within(30), "紧急 within 30 s"
    yield Stimulus("arc of 9, again and again", *_ARC, interval_s, 0, 9, 0, many), nothing, "nothing"
    yield (
        Stimulus("0.85 x the setting, 1 % noise", *_RESIDUAL, interval_s, 60, 255, 0.01, many),
        never_urgent,
        "no 紧急",
    )
    yield Stimulus("one sample of 400 mA", *_RESIDUAL, interval_s, 60, 400, 0, 1), nothing, "nothing"
    yield Stimulus("one sample of 95 ℃", *_TEMPERATURE, interval_s, 30, 95, 0, 1), nothing, "nothing"


def _slow(interval_s: float) -> Iterator[tuple[Stimulus, StimulusVerdict, str]]:
    seldom = interval_s > 120
    twice = then("provisional", "confirmed") if seldom else by_value(2)
    once = then("provisional", "withdrawn") if seldom else nothing
    how = ("provisional, confirmed", "provisional, withdrawn") if seldom else ("紧急 by the 2nd value", "nothing")
    yield Stimulus("residual current 1.02 x the setting", *_RESIDUAL, interval_s, 60, 306, 0.003, 4), twice, how[0]
    yield Stimulus("temperature 1.02 x the setting", *_TEMPERATURE, interval_s, 30, 71.4, 0.003, 4), twice, how[0]
    yield Stimulus("one sample of 400 mA", *_RESIDUAL, interval_s, 60, 400, 0, 1), once, how[1]
    yield Stimulus("one sample of 95 ℃", *_TEMPERATURE, interval_s, 30, 95, 0, 1), once, how[1]
    yield Stimulus("arc of 14", *_ARC, interval_s, 0, 14, 0, 1), by_value(1), "紧急 by the 1st value"
    yield Stimulus("arc of 9, again and again", *_ARC, interval_s, 0, 9, 0, 4), nothing, "nothing"


def _all() -> Iterator[tuple[Stimulus, StimulusVerdict, str]]:
    for interval_s in (1, 5, 10):
        yield from _fast(interval_s)
    flicker = Stimulus("400 mA for 1 s of 2", *_RESIDUAL, 1, 60, 400, 0, 60, on=1, off=1)
    yield flicker, within(60), "紧急 within 60 s"
    for interval_s in (60, 300, 3_600, 21_600):
        yield from _slow(interval_s)


def run(seeds: int) -> list[Line]:
    """Each stimulus to so many devices, each with noise and a phase of its own."""
    stimuli = list(_all())
    shown = [[_shown(number, one[0], seed) for seed in range(seeds)] for number, one in enumerate(stimuli)]
    # Devices of one interval share partitions: a chunk of many devices is cheaper than many of one.
    told: dict[str, DeviceTold] = {}
    for interval_s in dict.fromkeys(one[0].interval_s for one in stimuli):
        of_interval = [some for one, some in zip(stimuli, shown, strict=True) if one[0].interval_s == interval_s]
        told |= tell(script for some in of_interval for script, _ in some)
    return [_line(*one, some, told) for one, some in zip(stimuli, shown, strict=True)]


def _line(
    stimulus: Stimulus,
    verdict: StimulusVerdict,
    target: str,
    shown: Sequence[tuple[DeviceScript, ShownStimulus]],
    told: Mapping[str, DeviceTold],
) -> Line:
    line = Line("stimuli", f"{stimulus.what}, each {stimulus.interval_s:g} s", target)
    for script, one in shown:
        found = told.get(script.device_id, DeviceTold())
        values = ", ".join(f"{value:.1f}" for value in one.values[:12])
        line.check(
            verdict(stimulus, one, found),
            f"{one.device_id}: from {clock(one.onset_ts)} on {stimulus.quantity} {values}; told {summed(found.alarms)}",
        )
    return line


def _shown(number: int, stimulus: Stimulus, seed: int) -> tuple[DeviceScript, ShownStimulus]:
    rng = np.random.default_rng((number, seed))
    device_id, step_ms = f"S{number:02d}-{seed}", int(stimulus.interval_s * 1_000)
    before = _BEFORE if stimulus.interval_s > 1 else 3 * _BEFORE
    onset_ts = T0 + (before - 1) * step_ms + 1 + int(rng.random() * (step_ms - 1))
    values = _values(stimulus, before, rng)
    told = {"device_kind": stimulus.device_kind}
    times = T0 + np.arange(len(values)) * step_ms
    sent = [
        arrival(ts + LATENCY_MS, report(device_id, ts, seq=seq, **told | {stimulus.quantity: [value]}))
        for seq, (ts, value) in enumerate(zip(times.tolist(), values.tolist(), strict=True))
    ]
    since = [one.ingest_ts for one in sent[before:]]
    return DeviceScript(device_id, sent), ShownStimulus(device_id, onset_ts, since, values[before:].tolist())


def _values(stimulus: Stimulus, before: int, rng: np.random.Generator) -> np.ndarray:
    """Normal values, then those of the stimulus, then a few normal ones."""
    size = before + stimulus.reports + 10
    level, noise = np.full(size, stimulus.normal), np.full(size, stimulus.noise or _UNSTEADY)
    over = before + np.arange(stimulus.reports)
    if stimulus.off:
        over = over[(over - before) % (stimulus.on + stimulus.off) < stimulus.on]
    level[over], noise[over] = stimulus.level, stimulus.noise
    return np.round(level * (1 + noise * rng.standard_normal(size)), 2)
