"""README's ten lines make a detector that alarms."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson

from tests.cli.readme import ENGLISH, blocks

REPOSITORY: Final = Path(__file__).parents[2]
RUN: Final = """
import sys
from pathlib import Path
from cli.trying.command import try_file
try_file(Path(sys.argv[1]), None, None, as_json=True)
"""
PACKAGES: Final = ("schemas", "detectors", "cli", "common")


def put_in(folder: Path) -> None:
    """Do what README says, in a copy of the packages."""
    (block,) = (block for block in blocks(ENGLISH) if block[0].startswith("# schemas/alarm_kinds.py"))
    parts = "\n".join(block).split("\n\n")
    assert sum(len(part.splitlines()) - 1 for part in parts) <= 12
    row, file, limits = ((part.split("\n", 1)[0].split(",")[0][2:], part.split("\n", 1)[1]) for part in parts)
    kinds = folder / row[0]
    before, end = kinds.read_text(encoding="utf-8").split("    def __new__", 1)
    kinds.write_text(f"{before}    {row[1]}\n\n    def __new__{end}", encoding="utf-8")
    (folder / file[0]).write_text(file[1], encoding="utf-8")
    with (folder / limits[0]).open("a", encoding="utf-8") as told:
        told.write(f"\n{limits[1]}\n")


def test_ten_lines_of_readme_make_a_detector_that_alarms(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    put_in(tmp_path)
    recorded = tmp_path / "power.jsonl"
    values = [900, 900, -2_100, -2_100, 2_100, 900]
    reports = [
        {"v": 1, "device_id": "LY-1", "device_kind": "electrical_monitor", "event_ts": 1_790_000_040_000 + n * 60_000}
        | {"power_w": [value]}
        for n, value in enumerate(values)
    ]
    lines = [orjson.dumps({"ingest_ts": one["event_ts"], "report": one}) for one in reports]
    recorded.write_bytes(b"\n".join(lines))
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(recorded)],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""}, capture_output=True, check=True,
    )  # fmt: skip
    events = [orjson.loads(line) for line in run.stdout.splitlines()]
    (alarm,) = (one["value"] for one in events if one.get("topic") == "emberline.alarms")
    assert (alarm["kind"], alarm["event"], alarm["value"], alarm["limit"]) == ("power", "opened", 2_100.0, 2_000.0)
    assert alarm["message"] == "【紧急】LY-1 第1路 功率超限：当前 2100W，限值 2000W"
