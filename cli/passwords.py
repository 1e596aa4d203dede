"""The secrets of what `run` and `demo` start: made once, kept where only this user can read them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def kept_password(path: Path) -> str:
    """The password in a file, made if there is none; the folder is for this user alone. Raises OSError."""
    _keep(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8").strip()


def kept_control_keys(path: Path) -> Path:
    """The file of the keys that sign orders in the log, made with one if there is none. Raises OSError."""
    _keep(path, f"k1 {secrets.token_hex(32)}")
    return path


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    if not path.exists():
        # Written aside first: whoever finds the file finds a whole password in it.
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
        aside.replace(path)
