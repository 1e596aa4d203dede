"""Episodes over a limit, delivered in any order, by any clock, beside any broken neighbour, at any interval: none may
be missed. A slow judge says from what was planted what had to be told.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.rightness.deliveries import AS_MADE, DELIVERIES, KeptSpan, deliver
from benchmarks.rightness.told import T0, DeviceScript, DeviceTold, Line, clock, report, summed, tell
from detectors.trial import Arrival
from fleet.life.clocks import CLOCKS, SET_BACK, STEADY, Moments
from schemas.events import Severity

_LATENCY_MS: Final = 200
_BEFORE, _WITHIN, _AFTER = 14, 3, 4
"""Normal reports before the outage; in it, before and after the episode."""
_LIVE: Final = 8
"""Reports after the outage, by which a gateway mixes in what it kept one by one, take as many again."""


class OverLimit(NamedTuple):
    """A kind of alarm by a level, and how values look beside it."""

    quantity: str
    kind: str
    normal: float
    over: float
    severity: Severity


WATCHED: Final = (
    OverLimit("residual_current_ma", "residual_current", 60.0, 390.0, Severity.ALARM),
    OverLimit("residual_current_ma", "residual_current", 110.0, 245.0, Severity.WARNING),
    OverLimit("temperature_c", "temperature", 35.0, 91.0, Severity.ALARM),
    OverLimit("temperature_c", "temperature", 50.0, 65.0, Severity.WARNING),
    OverLimit("arc_half_cycles", "arc_fault", 1.0, 22.0, Severity.ALARM),
)
INTERVALS_S: Final = (1, 5, 10, 60, 300, 3_600, 21_600)
NEIGHBOURS: Final[Mapping[str, Mapping[str, Any]]] = {
    "none": {},
    "sentinels": {"residual_current_ma": [65535.0], "temperature_c": [-127.0, 3276.7], "unbalance_pct": [200.0]},
    "NaN": {"residual_current_ma": [float("nan")], "temperature_c": [float("nan"), float("inf")], "voltage_v": [1e400]},
    "nulls": {"residual_current_ma": [None, None], "temperature_c": [None], "current_a": None, "faults": None},
    "too many components": {"residual_current_ma": [1.0] * 100, "temperature_c": [20.0] * 100, "components": 3},
    "wrong types": {
        "residual_current_ma": ["x", {}, [], True], "temperature_c": ["31"], "current_a": {"a": 1}, "components": -5,
        "test": "no", "faults": "door", "device_kind": 7, "power_w": "12",
    },
    "unknown names": {"leakage_ma": [500.0], "temp": 99, "x" * 60 + "_ma": [1]},
}  # fmt: skip
"""What stands in a report beside the value that counts: of the same quantities after it, and as other fields."""


class Episode(NamedTuple):
    """One device: how it reports, and what is planted. `length` reports over the limit, in a row."""

    number: int
    watched: OverLimit
    interval_s: int
    clock: str
    delivery: str
    neighbour: str
    apart: bool
    numbered: bool
    as_array: bool
    length: int

    @property
    def device_id(self) -> str:
        return f"E-{self.number:05d}"

    def __str__(self) -> str:
        told = f"{self.watched.kind} {self.watched.severity.label}, {self.length} over, each {self.interval_s} s"
        ways = (
            f"clock {self.clock}",
            self.delivery,
            f"beside {self.neighbour}",
            "channels apart" if self.apart else "",
        )
        more = ("numbered" if self.numbered else "no seq", "arrays" if self.as_array else "")
        return ", ".join(one for one in (told, *ways, *more) if one)  # fmt: skip


def draw(number: int, seed: int) -> Episode:
    """The episode of that number: all ways equally often, by chance."""
    rng = np.random.default_rng((seed, number))
    watched = WATCHED[rng.integers(len(WATCHED))]
    interval_s = INTERVALS_S[rng.integers(len(INTERVALS_S))]
    delivery = DELIVERIES[rng.integers(len(DELIVERIES))]
    return Episode(
        number,
        watched,
        interval_s,
        clock=list(CLOCKS)[rng.integers(len(CLOCKS))],
        delivery=delivery,
        neighbour=list(NEIGHBOURS)[rng.integers(len(NEIGHBOURS))],
        apart=bool(rng.random() < 0.3),
        numbered=bool(rng.random() < 0.5),
        as_array=delivery in ("oldest first", "newest first") and bool(rng.random() < 0.5),
        length=_length(interval_s, watched, rng),
    )


def _length(interval_s: int, watched: OverLimit, rng: np.random.Generator) -> int:
    if watched.kind == "arc_fault":
        return 1
    if interval_s <= 10:
        return int(rng.integers(40, 90)) // interval_s + 2
    return int(rng.integers(2, 5)) if interval_s <= 120 else int(rng.integers(1, 5))


class Made(NamedTuple):
    """What a device measured, truly: times and values, and the outage that its reports may be kept by."""

    times: Sequence[int]
    values: Sequence[float]
    kept: KeptSpan
    moments: Moments


def make(episode: Episode, seed: int) -> Made:
    """Normal, then over the limit, then normal again. No two values are equal, so that none is a repeat by chance."""
    rng = np.random.default_rng((seed, episode.number, 1))
    within = _WITHIN + episode.length + _AFTER
    size = _BEFORE + within + (within if episode.delivery == "mixed with live" else 0) + _LIVE
    first = _BEFORE + _WITHIN
    values = np.full(size, episode.watched.normal)
    values[first : first + episode.length] = episode.watched.over
    if episode.watched.kind != "arc_fault":
        values = np.round(values * (1 + 0.02 * rng.uniform(-1, 1, size)), 2)
    step_ms = episode.interval_s * 1_000
    times = (T0 + np.arange(size) * step_ms + int(rng.integers(0, step_ms))).tolist()
    return Made(times, values.tolist(), KeptSpan(_BEFORE, _BEFORE + within), Moments(times[0] - 600_000, times[first]))


def must_tell(episode: Episode, made: Made) -> str:
    """What had to be told of what was planted: `alarm`, `something` (a provisional at least) or `nothing`.

    The rules of domain.md, Confirming, over the true times. Where neither the order of arrival nor the clock tells in
    which order the values were measured, nobody could know, and nothing is asked for. A clock that falls back without a
    sequence number to show it is known by the third value."""
    if episode.delivery not in AS_MADE and episode.clock not in STEADY:
        return "nothing"
    if (
        episode.clock == SET_BACK
        and not episode.numbered
        and episode.length < 3
        and episode.watched.kind != "arc_fault"
    ):
        return "nothing"
    return _by_rule(episode, made)


def _by_rule(episode: Episode, made: Made) -> str:
    over = [ts for ts, value in zip(made.times, made.values, strict=True) if value > episode.watched.over * 0.9]
    if episode.watched.kind == "arc_fault":
        return "alarm"
    if episode.interval_s <= 10:
        return "alarm" if over[-1] - over[0] >= 30_000 else "nothing"
    if episode.interval_s <= 120:
        return "alarm" if len(over) >= 2 else "nothing"
    return "alarm" if len(over) >= 2 else "something"


def script_of(episode: Episode, made: Made) -> DeviceScript:
    """The records of an episode as they arrive."""
    sent = deliver(made.times, made.kept, episode.delivery, episode.interval_s * 1_000)
    if not episode.as_array:
        arrivals = [one for ts, number in sent for one in _records(episode, made, ts + _LATENCY_MS, number)]
        return DeviceScript(episode.device_id, arrivals)
    held: dict[int, list[Any]] = defaultdict(list)
    first_ts = min(ts for ts, number in sent if made.kept.begin <= number < made.kept.end)
    for ts, number in sent:
        kept = made.kept.begin <= number < made.kept.end
        held[(first_ts if kept else ts) + _LATENCY_MS] += _reports(episode, made, number)
    return DeviceScript(episode.device_id, [_record(ts, some) for ts, some in sorted(held.items())])


def _records(episode: Episode, made: Made, ingest_ts: int, number: int) -> list[Arrival]:
    return [_record(ingest_ts + turn, [one]) for turn, one in enumerate(_reports(episode, made, number))]


def _record(ingest_ts: int, reports: Sequence[Any]) -> Arrival:
    # NaN and Infinity stand as other encoders write them, which orjson would not.
    value = json.dumps(reports[0] if len(reports) == 1 else reports).encode()
    return Arrival(ingest_ts, reports[0]["device_id"].encode(), value)


def _reports(episode: Episode, made: Made, number: int) -> list[dict[str, Any]]:
    """What the device says at that time: one report, or one a channel."""
    own_ts = CLOCKS[episode.clock](made.times[number], made.moments)
    beside, quantity = NEIGHBOURS[episode.neighbour], episode.watched.quantity
    value = [made.values[number], *(beside.get(quantity) or [])]
    others = {name: held for name, held in beside.items() if name != quantity}
    seq = {"seq": 2 * number} if episode.numbered else {}
    if not episode.apart:
        return [report(episode.device_id, own_ts, **seq, **{quantity: value}, **others)]
    later = {"seq": 2 * number + 1} if episode.numbered else {}
    other = {"voltage_v": [round(220 + number % 7 * 0.3, 1)]} | others
    return [
        report(episode.device_id, own_ts, **seq, **{quantity: value}),
        report(episode.device_id, own_ts + 100, **later, **other),
    ]


def run(seed: int, episodes: int) -> list[Line]:
    """So many episodes, by chance, each told or missed."""
    drawn = [draw(number, seed) for number in range(episodes)]
    made = {one.number: make(one, seed) for one in drawn}
    told: dict[str, DeviceTold] = {}
    for interval_s in INTERVALS_S:
        told |= tell(script_of(one, made[one.number]) for one in drawn if one.interval_s == interval_s)
    return _lines(drawn, made, told, seed)


def _lines(drawn: Sequence[Episode], made: Mapping[int, Made], told: Mapping[str, DeviceTold], seed: int) -> list[Line]:
    lines = {
        interval_s: Line("episodes", f"over a limit, each {interval_s} s", "0 missed") for interval_s in INTERVALS_S
    }
    ways = [*(f"clock {one}" for one in CLOCKS), *(f"delivered {one}" for one in DELIVERIES)]
    ways += [f"beside {one}" for one in NEIGHBOURS]
    by_way = {way: Line("episodes", f"of these, {way}", "0 missed") for way in ways}
    for one in drawn:
        must = must_tell(one, made[one.number])
        if must == "nothing":
            continue
        found = told.get(one.device_id, DeviceTold())
        good, failure = _was_told(one, must, found), _failure(one, made[one.number], found, must, seed)
        lines[one.interval_s].check(good, failure)
        for way in (f"clock {one.clock}", f"delivered {one.delivery}", f"beside {one.neighbour}"):
            by_way[way].check(good, _beside(way, one))
    for line in by_way.values():
        line.failures = [f"{count} of {told}" for told, count in Counter(line.failures).most_common()]
    return [*lines.values(), *by_way.values()]


def _beside(way: str, episode: Episode) -> str:
    """How an episode that is counted by one way was otherwise: what may have mattered beside."""
    return f"clock {episode.clock}" if way.startswith("delivered") else f"delivered {episode.delivery}"


def _was_told(episode: Episode, must: str, told: DeviceTold) -> bool:
    if must == "something":
        return bool(told.of(episode.watched.kind))
    return told.first(episode.watched.kind, episode.watched.severity) is not None


def _failure(episode: Episode, made: Made, told: DeviceTold, must: str, seed: int) -> str:
    first = _BEFORE + _WITHIN
    around = ", ".join(f"{value:g}" for value in made.values[first - 1 : first + min(episode.length, 6) + 1])
    return (
        f"{episode.device_id} (seed {seed}; {episode}): from {clock(made.times[first])} on {around}: "
        f"{must} had to be told; told {summed(told.of(episode.watched.kind))}"
    )


def case_of(number: int, seed: int) -> DeviceScript:
    """The records of one episode, to try it alone."""
    episode = draw(number, seed)
    return script_of(episode, make(episode, seed))
