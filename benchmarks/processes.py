"""Processes that are measured from outside (Linux: from /proc)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

ROOT: Final = Path(__file__).parents[1]
STOP_S: Final = 15.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def in_one_of_its_own(measure: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """What `measure` returns in a fresh process, which nothing was done in before."""
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        return alone.submit(measure, *arguments, **more).result()


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run it, its words in `log`, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_s(pid: int) -> float:
    """User and system time of a process, of its children that have ended, and of those that live."""
    ticks = 0
    for one in (pid, *_children_of(pid)):
        stat = (Path("/proc") / str(one) / "stat").read_text()
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / _TICKS


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    for children in (Path("/proc") / str(pid) / "task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_children_of(child)]
    return found


def peak_mb(pid: int) -> float:
    """The largest its resident memory has been; 0 of a process that has ended."""
    return status_of(pid).get("VmHWM", 0) / 1_024


def resident_bytes() -> int:
    """The resident memory of this process."""
    return status_of(os.getpid())["VmRSS"] * 1_024


def status_of(pid: int) -> dict[str, int]:
    """What Linux tells of a process in numbers; memory is in KiB."""
    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    told = ((name, value.split()) for name, _, value in (line.partition(":") for line in lines))
    return {name: int(words[0]) for name, words in told if words and words[0].isdigit()}
