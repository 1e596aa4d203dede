"""The data directory: ours alone, and of one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from embedded.manners import CannotStartError

_LOCK_NAME = "emberline.lock"


def take_folder(data_dir: Path) -> int:
    """Make the data directory, which nobody else may look into, and take it for this process.

    Returns what holds it; it is let go of when that is closed, or the process goes. Raises `CannotStartError`.
    """
    if "?" in str(data_dir.resolve()):  # chDB reads what follows as options
        raise CannotStartError(f"The data directory {data_dir} has a ? in its name; choose another.")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        lock = os.open(data_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStartError(
            f"Cannot write to the data directory {data_dir}: {error.strerror}. Choose another, or make it writable."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise CannotStartError(
            f"Another server already uses the data directory {data_dir}. Stop it, or choose another."
        ) from error
    return lock
