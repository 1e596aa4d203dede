"""A rolling upgrade from the commit before checkpoints described themselves, under load, and what comes of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from tests.faults.arena import Arena
from tests.faults.crew import Crew, Post, product
from tests.streams.processes import REPOSITORY

Open = Callable[..., AbstractContextManager[Arena]]
BEFORE: Final = "666a82c"
"""The release that is upgraded from: its checkpoints have a hash of their layout, its events no generation."""
SEED: Final = 44


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The program of the release before, from the history of this checkout."""
    archive = tmp_path / "before.tar"
    git = ["git", "-C", str(REPOSITORY), "archive", "--output", str(archive), BEFORE]
    made = subprocess.run(git, check=False, capture_output=True)
    if made.returncode:
        pytest.skip(f"the history of this checkout does not reach back to {BEFORE}")
    folder = tmp_path / "before"
    folder.mkdir()
    shutil.unpack_archive(archive, folder, filter="data")
    return folder


def _of(folder: Path) -> Callable[[str], Sequence[str]]:
    """Workers of the program that lies in a folder."""
    run = f"import sys, runpy; sys.path.insert(0, {str(folder)!r}); sys.argv[0] = 'emberline'; runpy.run_module('cli')"
    return lambda role: [sys.executable, "-P", "-c", run, "worker", role]


def _replace(crew: Crew, posts: list[Post], role: str) -> None:
    """One worker after the other leaves, and one of this release comes in its place."""
    crew._command = product
    for number in range(len(posts)):
        posts[number].leave()
        crew._left += posts[number].exits
        posts[number] = Post(f"new-{role}-{number}", role, crew.settings, crew._folder, product)
        posts[number].wait_ready()


def test_an_upgrade_under_load_sinks_first_loses_nothing_and_repeats_nothing(arena: Open, before: Path) -> None:
    with arena(detect=2, sink=2, command=_of(before)) as ring, ring.load(SEED) as load:
        ring.live()
        _replace(ring.crew, ring.crew.sink, "sink")
        ring.live()
        _replace(ring.crew, ring.crew.detect, "detect")
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
    assert verdict.counts["alarms"] > 0
