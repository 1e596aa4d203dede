"""Workers of the release before, from the history of this checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.faults.crew import Command
from tests.support.processes import REPOSITORY

BEFORE: Final = "666a82c"
"""The release that is upgraded from: its checkpoints have a hash of their layout, its events no generation."""

_CODE: Final = """
import os, runpy, sys
sys.path.insert(0, {program!r})
from streams.settings import described
# Its operator sets what it knows.
known = [variable for variable, *_ in described()]
for name in [name for name in os.environ if name.startswith("EMBERLINE_") and name not in known]:
    del os.environ[name]
sys.argv[0] = "emberline"
runpy.run_module("cli")
"""


def release_before(folder: Path) -> Command | None:
    """Its workers, run from what is unpacked into the folder; None where the history does not reach back to it."""
    archive = folder / "before.tar"
    git = ["git", "-C", str(REPOSITORY), "archive", "--output", str(archive), BEFORE]
    if subprocess.run(git, check=False, capture_output=True).returncode:
        return None
    program = folder / "before"
    program.mkdir()
    shutil.unpack_archive(archive, program, filter="data")
    code = _CODE.format(program=str(program))
    return lambda role: [sys.executable, "-P", "-c", code, "worker", role]
