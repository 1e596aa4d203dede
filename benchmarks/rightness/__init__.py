"""Whether detection is right: what must alarm does, in time, and nothing else. On the pure core, in virtual time.

Each part is a file: the standards' stimuli, normal life for a month, episodes over a limit that must not be missed, a
labelled fleet for a day, the recorded cases of the field.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from benchmarks.machine import Measured, machine, versions
from benchmarks.rightness import cases, episodes, labelled, normal, stimuli
from benchmarks.rightness.told import SHOWN, Line, as_case

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RightnessSize:
    """How much of each part: devices a stimulus; episodes; devices and days of normal life; devices of the labelled
    fleet, for how many days, their intervals, and faults of each kind in it."""

    seeds: int = 100
    episodes: int = 5_000
    devices: int = 1_000
    days: float = 30.0
    labelled_devices: int = 6_000
    labelled_days: float = labelled.DAYS
    intervals_s: tuple[float, ...] = labelled.INTERVALS_S
    faults: int = 20


FULL: Final = RightnessSize()
SMOKE: Final = RightnessSize(
    seeds=2,
    episodes=60,
    devices=30,
    days=0.25,
    labelled_devices=140,
    labelled_days=0.25,
    intervals_s=(60.0, 60.0, 300.0),
    faults=1,
)

Part = Callable[[int, RightnessSize, Say], Sequence[Line]]
PARTS: Final[Mapping[str, Part]] = {
    "stimuli": lambda seed, size, say: stimuli.run(size.seeds),
    "episodes": lambda seed, size, say: episodes.run(seed, size.episodes),
    "normal": lambda seed, size, say: [
        line for interval_s in (60, 300) for line in normal.run(seed, size.devices, size.days, interval_s, say)
    ],
    "labelled": lambda seed, size, say: labelled.run(
        seed, size.labelled_devices, size.labelled_days, size.intervals_s, size.faults, say
    ),
    "cases": lambda seed, size, say: cases.run(),
}


def run(seed: int, size: RightnessSize, only: Sequence[str], say: Say) -> Measured:
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


def _show(line: Line, say: Say) -> None:
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
