"""Workers of other releases than this one: of the one before, and of one that might come after."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.faults.crew import CommandLine
from tests.support.processes import REPOSITORY

BEFORE: Final = "666a82c"
"""The release that is upgraded from: its checkpoints have a hash of their layout, its events no generation."""
AFTER: Final = {
    # It takes reports that this one rejects,
    "schemas/report_rules.py": ("MAX_DEVICE_ID_LENGTH: Final = 64", "MAX_DEVICE_ID_LENGTH: Final = 96"),
    # and keeps something of devices that this one does not know.
    "detectors/state.py": ('("heard_ts", "i8"),', '("heard_ts", "i8"), ("certified_ts", "i8"),'),
}
"""By file, what a release after this one might say otherwise."""
_CODE: Final = """
import os, runpy, sys
sys.path.insert(0, {program!r})
from common.settings import described
# Its operator sets what it knows.
known = [variable for variable, *_ in described()]
for name in [name for name in os.environ if name.startswith("EMBERLINE_") and name not in known]:
    del os.environ[name]
sys.argv[0] = "emberline"
runpy.run_module("cli", run_name="__main__")
"""


def release_before(folder: Path) -> CommandLine | None:
    """Workers of the release before, from the history of this checkout, unpacked into the folder; None where the
    history does not reach back to it."""
    archive = folder / "before.tar"
    git = ["git", "-C", str(REPOSITORY), "archive", "--output", str(archive), BEFORE]
    if subprocess.run(git, check=False, capture_output=True).returncode:
        return None
    program = folder / "before"
    program.mkdir()
    shutil.unpack_archive(archive, program, filter="data")
    return _workers_of(program)


def release_after(folder: Path) -> CommandLine:
    """Workers of a release that might come after this one, put into the folder."""
    program = folder / "after"
    for package in ("cli", "common", "detectors", "embedded", "fleet", "schemas", "sinks", "streams"):
        shutil.copytree(REPOSITORY / package, program / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (here, there) in AFTER.items():
        text = (program / name).read_text(encoding="utf-8")
        assert text.count(here) == 1, f"{name} says {here!r} otherwise by now"
        (program / name).write_text(text.replace(here, there), encoding="utf-8")
    return _workers_of(program)


def _workers_of(program: Path) -> CommandLine:
    code = _CODE.format(program=str(program))
    return lambda role: [sys.executable, "-P", "-c", code, "worker", role]
