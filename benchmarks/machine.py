"""Where a benchmark ran, and with what: it goes into every result."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import timeit
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

from benchmarks.processes import ROOT
from common.settings import PREFIX

Measured = dict[str, Any]
"""What a benchmark found: a line of a JSONL file in benchmarks/results."""


_CODE: Final = (".", ":!benchmarks/results")
_REPORT: Final = orjson.dumps(
    {
        "v": 1,
        "device_id": "BJ-000001",
        "event_ts": 1_790_000_000_000,
        "temperature_c": [30.1] * 13,
    }
)
PACKAGES: Final = ("aiokafka", "chdb", "clickhouse-driver", "faust-streaming", "numpy", "orjson")


def machine() -> dict[str, Any]:
    """The machine, and how busy it was."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.platform(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "pace_us": round(pace_us(), 2),
    }


def pace_us() -> float:
    """Microseconds that parsing a report of 13 temperatures takes now, the middle of many times.

    A shared machine is at times half as fast as at others, and its own figures do not show it.
    """
    return median(timeit.repeat(lambda: orjson.loads(_REPORT), number=1_000, repeat=101)) * 1_000


def origin() -> dict[str, Any]:
    """When, of which commit, and by which command with which settings; `+` where files differ from the commit."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "--", *_CODE) else ""),
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "environment": {name: value for name, value in environment.items() if "PASSWORD" not in name},
    }


def _git(*words: str) -> str:
    """Nothing where this is no clone."""
    try:
        told = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    except OSError:
        return ""
    return told.stdout.strip()


def versions(more: Iterable[str] = ()) -> dict[str, str]:
    """Of Python and of the packages that matter."""
    return {"python": platform.python_version(), **{name: version(name) for name in sorted({*PACKAGES, *more})}}


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """The least, the middle and the most; nothing where there is no value."""
    return {"min": min(values), "median": median(values), "max": max(values)} if values else None
