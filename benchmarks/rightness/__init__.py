"""Whether detection is right: what must alarm does, in time, and nothing else. On the pure core, in virtual time.

Each part is a file: the standards' stimuli, normal life for a month, episodes over a limit that must not be missed, a
labelled fleet for a day, the recorded cases of the field.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from benchmarks.machine import Measured, machine, versions
from benchmarks.rightness import cases, episodes, labelled, normal, stimuli
from benchmarks.rightness.told import SHOWN, Line, as_case
from fleet.life import LifeConfig

_LEAST_LABELLED: Final = 100
"""Devices of each sort, so that each kind of fault has one of its own [ours]."""


@dataclass(frozen=True, slots=True)
class RightnessSize:
    """How much of each part: devices a stimulus; episodes; devices and days of normal life; the labelled fleet."""

    seeds: int
    episodes: int
    devices: int
    days: float
    labelled: tuple[LifeConfig, ...]

    def scaled(self, share: float) -> RightnessSize:
        """The same with a share of the devices, and at least as many as each kind of fault needs one."""
        return RightnessSize(
            seeds=max(round(share * self.seeds), 2),
            episodes=max(round(share * self.episodes), 1),
            devices=max(round(share * self.devices), 10),
            days=self.days,
            labelled=tuple(
                replace(
                    one,
                    monitors=max(round(share * one.monitors), _LEAST_LABELLED),
                    piles=max(round(share * one.piles), _LEAST_LABELLED),
                    faults_per_kind=max(round(share * one.faults_per_kind), 1),
                )
                for one in self.labelled
            ),
        )


FULL: Final = RightnessSize(
    seeds=100,
    episodes=5_000,
    devices=1_000,
    days=30.0,
    labelled=(labelled.DAY, labelled.FAST),
)
SMOKE: Final = RightnessSize(
    seeds=2,
    episodes=60,
    devices=30,
    days=0.25,
    labelled=(LifeConfig(monitors=70, piles=70, days=0.25, intervals_s=(60.0, 60.0, 300.0), faults_per_kind=1),),
)

RightnessPart = Callable[[int, RightnessSize, Callable[[str], None]], Sequence[Line]]
PARTS: Final[Mapping[str, RightnessPart]] = {
    "stimuli": lambda seed, size, say: stimuli.run(size.seeds),
    "episodes": lambda seed, size, say: episodes.run(seed, size.episodes),
    "normal": lambda seed, size, say: [
        line for interval_s in (60, 300) for line in normal.run(seed, size.devices, size.days, interval_s, say)
    ],
    "labelled": lambda seed, size, say: labelled.run(
        [replace(one, seed=100 * seed + number) for number, one in enumerate(size.labelled)], say
    ),
    "cases": lambda seed, size, say: cases.run(),
}


def run(seed: int, size: RightnessSize, only: Sequence[str], say: Callable[[str], None]) -> Measured:
    """Measure the parts that are named, all of them where none is."""
    lines: list[Line] = []
    seconds = {}
    for name, part in PARTS.items():
        if only and name not in only:
            continue
        say(f"{name} ...")
        began = time.perf_counter()
        found = part(seed, size, say)
        seconds[name] = round(time.perf_counter() - began, 1)
        if not found:
            say(f"{name}: left out, for what it needs is not here")
        for line in found:
            _show(line, say)
        lines += found
    return {
        "benchmark": "rightness",
        "seed": seed,
        "size": asdict(size),
        "lines": [asdict(line) | {"failures": line.failures[:SHOWN], "good": line.good} for line in lines],
        "seconds": seconds,
        "machine": machine(),
        "versions": versions(),
    }


def _show(line: Line, say: Callable[[str], None]) -> None:
    how = "right" if line.good and not line.counted_only else "counted" if line.counted_only else "WRONG"
    say(f"  {how}: {line.what}: {line.measured or f'{line.failed} of {line.checked} wrong'}; must be: {line.target}")
    for failure in line.failures[:SHOWN]:
        say(f"    {failure}")


def good(result: Measured) -> bool:
    """Whether all is as it must be."""
    return all(line["good"] for line in result["lines"])


def case_lines(number: int, seed: int) -> list[str]:
    """The records of one episode, as lines that `emberline try` reads."""
    return as_case(episodes.case_of(number, seed))
