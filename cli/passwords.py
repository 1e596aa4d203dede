"""The passwords of the ClickHouse that `run` and `demo` start: made once, kept where only this user can read them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def kept_password(path: Path) -> str:
    """The password in a file, made if there is none; the folder is for this user alone. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    if not path.exists():
        # Written aside first: whoever finds the file finds a whole password in it.
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
        aside.replace(path)
    return path.read_text(encoding="utf-8").strip()
