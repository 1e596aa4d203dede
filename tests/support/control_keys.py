"""A file of the keys that sign orders, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Final

KEYS: Final = f"k2 {'5a' * 32}\nk1 {'c3' * 32}  # the one before\n"


def keys_file(folder: Path, text: str = KEYS, name: str = "control-keys") -> Path:
    """The file, made anew."""
    path = folder / name
    path.write_text(text)
    return path
