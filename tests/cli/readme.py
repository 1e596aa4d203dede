"""The code blocks of a README: the commands in them, and what each is shown to print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.processes import REPOSITORY

_COMMAND: Final = re.compile(r"(make|emberline|clickhouse-client|export|pip|python) ")


class Shown(NamedTuple):
    """A command of a README, and the lines that the block shows under it."""

    command: str
    output: tuple[str, ...]


def blocks(readme: Path) -> list[list[str]]:
    """The indented blocks of a README, in order, without their indentation; those of a paragraph apart are one."""
    found: list[list[str]] = [[]]
    blank = False
    for line in readme.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            found[-1] += [""] * (blank and bool(found[-1])) + [line[4:]]
        elif line.strip() and found[-1]:
            found.append([])
        blank = not line.strip()
    return [block for block in found if block]


def _joined(lines: list[str]) -> list[str]:
    """Lines that a backslash continues are one."""
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).split("\n")


def shown(readme: Path) -> list[Shown]:
    """The commands of a README in order. A block's output is that of its last command."""
    found: list[Shown] = []
    for block in blocks(readme):
        commands = []
        output = []
        for line in _joined(block):
            if _COMMAND.match(line):
                commands.append(re.sub(r"\s+# .*", "", line).strip())
            elif commands and line:
                output.append(line)
        found += [Shown(command, tuple(output) if command == commands[-1] else ()) for command in commands]
    return found


ENGLISH: Final = REPOSITORY / "README.md"
CHINESE: Final = REPOSITORY / "README.zh-CN.md"
