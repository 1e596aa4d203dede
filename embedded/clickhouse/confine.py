"""The kernel's own hold on this process: no file outside the data, no program, no connection to anywhere.

Linux's Landlock (5.13, for connections 6.7) lets a process give up rights for good. Whatever chDB's grants and
`embedded.clickhouse.guard` may have overlooked ends here. Where the kernel has none they stand alone.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_NO_NEW_PRIVILEGES: Final = 38
_ASK_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_READ: Final = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
_READ_FILE: Final = 1 << 2
_EXECUTE: Final = 1 << 0
_RIGHTS_BY_VERSION: Final = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""Rights over files that a version of Landlock knows beside those of the versions before; what is handled and not
allowed is refused."""
_TCP: Final = 2  # CONNECT_TCP, since version 4; what listens was opened before
_ABSTRACT_SOCKETS: Final = 1  # since version 6
# What chDB looks at: the machine's size and load, this process's memory. Not the environment of any process.
_LOOKS_AT: Final = (
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/self/statm",
    "/proc/self/stat",
    "/proc/self/status",
    "/proc/self/cgroup",
    "/proc/self/maps",
    # Where it may not, chDB looks for it behind the environment, which Python has moved since: now and then a crash.
    "/proc/self/auxv",
    "/dev/null",
    "/dev/urandom",
    "/etc/localtime",
    "/etc/ld.so.cache",
)
_READS_BENEATH: Final = (
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/usr/share/zoneinfo",
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/lib64",
)


def confine(data_dir: Path) -> bool:
    """Leave this thread, and all it starts, only `data_dir` and what Python imports; return whether the kernel can."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION) if sys.platform == "linux" else -1
    if version < 1:
        return False
    rights = sum(right for since, right in _RIGHTS_BY_VERSION.items() if since <= version)
    handled = struct.pack("=QQQ", rights, _TCP if version >= 4 else 0, _ABSTRACT_SOCKETS if version >= 6 else 0)
    rules = libc.syscall(_CREATE_RULESET, handled, {1: 8, 2: 8, 3: 8, 4: 16, 5: 16}.get(version, 24), 0)
    if rules < 0:
        return False
    try:
        _allow(libc, rules, rights & ~_EXECUTE, [data_dir])
        _allow(libc, rules, _READ, [*map(Path, _READS_BENEATH), *_modules()])
        _allow(libc, rules, _READ_FILE, map(Path, _LOOKS_AT))
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            return False
        return bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _modules() -> list[Path]:
    """Where Python, what is installed and this package are."""
    installed = [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    of_python = [Path(prefix) / lib for prefix in (sys.prefix, sys.base_prefix) for lib in ("lib", "lib64")]
    return [*of_python, *installed, Path(__file__).parents[1]]


def _allow(libc: ctypes.CDLL, rules: int, rights: int, paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            opened = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        except OSError:
            continue  # this machine has none
        try:
            libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
        finally:
            os.close(opened)
