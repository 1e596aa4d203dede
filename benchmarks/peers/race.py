"""One rival's run in a fresh process, watched from outside: from its first record to its last commit."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.peers.given import DONE
from benchmarks.peers.rivals import Rival, emberline_settings
from benchmarks.processes import ROOT, cpu_s, peak_mb, started
from benchmarks.workload import PARTITIONS, make_emberline_anew, make_outputs
from cli.offsets import Offsets
from common.settings import PREFIX, Settings
from schemas.topics import TELEMETRY

BEGINS_S: Final = 120.0
LOOK_S: Final = 0.01
ANSWER_S: Final = 10.0
LEAST_LEFT: Final = 0.25
"""Of the records, for what is left of a run to be called its second half."""


class RaceError(Exception):
    """A rival did not get to its end; the text holds its last words."""


class Usage(NamedTuple):
    """A look at the clock and at what the process and its children have used."""

    at: float
    wall_ms: float
    cpu_s: float


class Half(NamedTuple):
    """The second half of a run: the share of the records that was `left` when half of them were seen committed."""

    left: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What was measured of one run. There is no `half` of what commits nothing, or nearly all at once."""

    began: Usage
    done: Usage
    peak_mb: float
    half: Half | None

    @property
    def seconds(self) -> float:
        """From the first record to the last commit."""
        return self.done.at - self.began.at

    @property
    def cpu_seconds(self) -> float:
        """Of the process tree, in that time."""
        return self.done.cpu_s - self.began.cpu_s


async def race(rival: Rival, kafka: str, group: str, folder: Path, limits: Path, seconds: float) -> RaceResult:
    """Run it on topics and in a group of its own. Raises `RaceError` if it ends or takes longer than `seconds`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment["PYTHONPATH"] = str(ROOT)
    if rival.is_emberline:
        settings = emberline_settings(kafka, group, limits)
        await make_emberline_anew(settings)
        environment |= settings.to_environment()
    else:
        await make_outputs(kafka, rival.outputs(group))
    command = rival.command(kafka, TELEMETRY.name, group, folder / "data", limits)
    async with Offsets(Settings(kafka=kafka), rival.watched_group(group), TELEMETRY.name, PARTITIONS) as offsets:
        ends = await offsets.ends()
        with started(command, environment, folder / "log") as process:
            watch = _ProcessWatch(process, folder / "log", rival)
            began = await watch.until(lambda: watch.said(rival.began), BEGINS_S)
            if rival.commits:
                done, half = await watch.until_committed(offsets, ends, seconds)
            else:
                done, half = await watch.until(lambda: watch.said(DONE), seconds), None
            return RaceResult(began, done, watch.peak_mb, half)


class _ProcessWatch:
    """Looks at a process until something is seen."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, rival: Rival) -> None:
        self._process, self._log, self._rival = process, log, rival
        self.peak_mb = 0.0

    def said(self, words: str) -> bool:
        """Whether the words are in its log."""
        return words.encode() in self._log.read_bytes()

    async def until(self, seen: Callable[[], bool], seconds: float) -> Usage:
        """The moment at which it was seen."""
        deadline = time.monotonic() + seconds
        while not seen():
            self._check(deadline)
            await asyncio.sleep(LOOK_S)
        return self._moment()

    async def until_committed(
        self, offsets: Offsets, ends: dict[int, int], seconds: float
    ) -> tuple[Usage, Half | None]:
        """The moment at which its group had committed all, and what came after the half."""
        deadline = time.monotonic() + seconds
        left, at_half = 1.0, None
        # Past them where a detect worker has told the log since that time passes.
        while not _reach(committed := await self._committed(offsets), ends):
            self._check(deadline)
            if at_half is None and (left := 1 - sum(committed.values()) / sum(ends.values())) <= 0.5:
                at_half = self._moment()
            await asyncio.sleep(LOOK_S)
        done = self._moment()
        # Where one commit took it far beyond the half, what is left is too little to tell.
        return done, Half(left, done.cpu_s - at_half.cpu_s) if at_half and left >= LEAST_LEFT else None

    async def _committed(self, offsets: Offsets) -> dict[int, int]:
        """What the group has committed; nothing where the broker does not answer in time."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await offsets.committed()
        except TimeoutError:
            return {}

    def _check(self, deadline: float) -> None:
        # At every look, for who has said that it is done may have ended at the next.
        self.peak_mb = max(self.peak_mb, peak_mb(self._process.pid))
        if self._process.poll() is not None or time.monotonic() > deadline:
            words = self._log.read_bytes()[-1_000:].decode(errors="replace")
            what = "took too long" if self._process.poll() is None else f"ended with {self._process.poll()}"
            raise RaceError(f"{self._rival.name} {what}: {words}")

    def _moment(self) -> Usage:
        return Usage(time.monotonic(), time.time() * 1_000, cpu_s(self._process.pid))


def _reach(committed: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return all(committed.get(number, 0) >= end for number, end in ends.items())
