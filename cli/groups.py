"""Groups of commands that start as fast as what they need."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click


class Commands(click.Group):
    """A group whose commands are imported when they are asked for: a command starts as fast as what it needs."""

    def __init__(self, *, where: Mapping[str, str], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._where = where

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return sorted(self._where)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in self._where:
            return None
        module, _, name = self._where[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command
