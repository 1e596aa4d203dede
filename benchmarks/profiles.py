"""Where a stage's time goes, function by function, by the standard library's profiler.

Indexing an array is no call: it counts as own time of the function that does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from cProfile import Profile
from pathlib import Path
from types import CodeType
from typing import Any, Final

TOLD: Final = 15


def shares(works: Iterable[Callable[[], object]]) -> list[dict[str, Any]]:
    """The functions with the most own time; their shares of all time, by themselves and with what they call."""
    profile = Profile()
    for work in works:
        profile.runcall(work)
    entries = profile.getstats()
    whole = sum(entry.inlinetime for entry in entries)
    return [
        {
            "function": _name(entry.code),
            "own_share": round(entry.inlinetime / whole, 3),
            "share": round(entry.totaltime / whole, 3),
        }
        for entry in sorted(entries, key=lambda entry: entry.inlinetime, reverse=True)[:TOLD]
    ]


def _name(code: CodeType | str) -> str:
    if isinstance(code, str):
        return code.strip("<>")
    path = Path(code.co_filename)
    return f"{path.parent.name}.{path.stem}.{code.co_name}"
