"""Who races: how each is started, what it needs, and how it is seen to begin and to be done."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from benchmarks.peers.given import BEGAN, COMMIT_INTERVAL_S
from benchmarks.peers.kafka_streams import build as kafka_streams
from benchmarks.workload import PARTITIONS
from common.settings import Settings
from schemas.topics import AGGREGATES, ALARMS, REJECTS


@dataclass(frozen=True, slots=True)
class Rival:
    """One way to do the work. `began` is what it says at its first record; `commits` whether its group does.

    One without a package is in Java, and built here.
    """

    name: str
    module: str
    package: str | None
    options: tuple[str, ...] = ()
    began: str = BEGAN
    commits: bool = True
    detects: bool = True

    @property
    def installed(self) -> bool:
        """Whether its package is, or what it is built with."""
        if self.package is None:
            return kafka_streams.can_build()
        try:
            version(self.package)
        except PackageNotFoundError:
            return False
        return True

    @property
    def is_emberline(self) -> bool:
        """Whether it is ours, whose topics have fixed names and whose settings come by the environment."""
        return self.module == "streams"

    def outputs(self, group: str) -> tuple[str, str, str]:
        """The topics of alarms, aggregates and rejects."""
        if self.is_emberline:
            return ALARMS.name, AGGREGATES.name, REJECTS.name
        return f"{group}.alarms", f"{group}.aggregates", f"{group}.rejects"

    def watched_group(self, group: str) -> str:
        """The consumer group that commits."""
        return f"{group}-detect" if self.is_emberline else group

    def command(self, kafka: str, telemetry: str, group: str, folder: Path, limits: Path) -> list[str]:
        """What starts it. Raises `CannotStartError` where it has to be built and cannot be."""
        if self.is_emberline:
            return [sys.executable, "-m", "cli", "worker", "detect"]
        if self.package is None:
            state = "--no-state" not in self.options
            return kafka_streams.command(
                self.module, kafka, telemetry, group, self.outputs(group), folder, limits, state
            )
        where = ("--kafka", kafka, "--telemetry", telemetry, "--group", group)
        files = ("--folder", str(folder), "--limits", str(limits))
        return [sys.executable, "-m", self.module, *where, *files, *self.options]


def emberline_settings(kafka: str, group: str, limits: Path) -> Settings:
    """The product with every guarantee it has; checkpoints as often as the peers commit."""
    return Settings(
        kafka=kafka,
        partitions=PARTITIONS,
        fencing=True,
        group=group,
        limits_file=str(limits),
        checkpoint_interval_s=COMMIT_INTERVAL_S,
    )


_FAUST: Final = ("benchmarks.peers.faust_agent", "faust-streaming")
_QUIX: Final = ("benchmarks.peers.quix_app", "quixstreams")
_BYTEWAX: Final = ("benchmarks.peers.bytewax_flow", "bytewax")
_KAFKA_STREAMS: Final = ("emberline.App", None)
_CEILING: Final = ("benchmarks.peers.ceilings", "aiokafka")

RIVALS: Final = (
    # What emberline says when it has the first chunk of its first partition and that partition's state.
    Rival("emberline", "streams", "emberline", began="devices restored"),
    Rival("faust", *_FAUST),
    Rival("faust, no state", *_FAUST, ("--no-state",)),
    Rival("faust take", *_FAUST, ("--form", "take")),
    Rival("faust take, no state", *_FAUST, ("--form", "take", "--no-state")),
    Rival("quix", *_QUIX),
    Rival("quix, no state", *_QUIX, ("--no-state",)),
    Rival("bytewax", *_BYTEWAX, commits=False),
    Rival("bytewax, no state", *_BYTEWAX, ("--no-state",), commits=False),
    Rival("kafka streams", *_KAFKA_STREAMS),
    Rival("kafka streams, no state", *_KAFKA_STREAMS, ("--no-state",)),
    Rival("ceiling: count", *_CEILING, ("--form", "count"), detects=False),
    Rival("ceiling: parse", *_CEILING, ("--form", "parse"), detects=False),
)
BY_NAME: Final = {rival.name: rival for rival in RIVALS}
