"""What every peer is given on its command line, and the one thing all of them say: when their first record came."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.peers.rules import PeerDevices, PeerEvent
from detectors.limits import load_limits
from schemas.events import Alarm
from streams.garbage import collect_seldom

BEGAN: Final = "the first record is here"
DONE: Final = "all is done"
COMMIT_INTERVAL_S: Final = 1.0
"""As often as emberline commits; its checkpoints are set to the same."""
LARGEST_BYTES: Final = 17 * 1_048_576
"""A reject may be as large as a record of the telemetry topic."""
LINGER_MS: Final = 5
"""What librdkafka does by itself; it spares the peer's producer requests, and only the last batch waits."""


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """Where to read and write, and whether the devices' state is to survive the process."""

    kafka: str
    telemetry: str
    group: str
    folder: Path
    limits: Path
    form: str
    state: bool

    @property
    def outputs(self) -> tuple[str, str, str]:
        """The topics of alarms, aggregates and rejects."""
        return f"{self.group}.alarms", f"{self.group}.aggregates", f"{self.group}.rejects"

    def topic_of(self, event: PeerEvent) -> str:
        """The topic an event goes to."""
        return self.outputs[0] if isinstance(event, Alarm) else self.outputs[1]

    def devices(self) -> PeerDevices:
        """What makes devices, with the limits of this run."""
        return PeerDevices(load_limits(self.limits))


def given() -> PeerConfig:
    """Read the command line, and let the garbage collector look as seldom as it does in emberline's workers."""
    collect_seldom()
    parser = argparse.ArgumentParser()
    for name in ("--kafka", "--telemetry", "--group"):
        parser.add_argument(name, required=True)
    for name in ("--folder", "--limits"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("--form", default="")
    parser.add_argument("--no-state", dest="state", action="store_false")
    return PeerConfig(**vars(parser.parse_args()))


class Beginning:
    """Says once that the first record is here."""

    def __init__(self) -> None:
        self._said = False

    def note(self) -> None:
        """A record, or several, came."""
        if not self._said:
            self._said = True
            say(BEGAN)


def say(line: str) -> None:
    """A line that the runner waits for."""
    print(line, flush=True)
