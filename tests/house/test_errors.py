"""What errors tell people to do can be done, and what commands print goes through one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

import click
import pytest

from cli.main import cli
from common.settings import described
from tests.house.test_rules import MAY_IMPORT, commands, modules, tree_of

ERRORS: Final = frozenset(
    {
        "OperatorError",
        "ParametersError",
        "CannotStartError",
        "StartFailedError",
        "LimitsError",
        "SettingsError",
        "SinkRefused",
    }
)
"""Exceptions whose text is for the operator."""


def options(command: click.Command) -> Iterator[str]:
    """The options of a command and of all commands under it."""
    for parameter in command.params:
        yield from parameter.opts
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from options(child)


def said(node: ast.AST) -> str:
    """The constant parts of all texts in a piece of code."""
    constants = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return " ".join(one for one in constants if isinstance(one, str))


def errors(package: str) -> Iterator[tuple[str, str]]:
    """Where a package raises, or returns, an error for the operator, and its text."""
    for module in modules(package):
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS:
                yield f"{module}:{node.lineno}", said(node)


@pytest.mark.parametrize("package", [one for one in MAY_IMPORT if one not in ("schemas", "fleet")])
def test_errors_name_only_options_settings_and_commands_that_exist(package: str) -> None:
    known = {"options": set(options(cli)), "settings": {name for name, *_ in described()}}
    named = {"emberline " + " ".join(name.split()[1:]) for name in commands(cli, "emberline")}
    found = list(errors(package))
    assert found
    for where, text in found:
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= known["options"], f"{where}: {text}"
        assert set(re.findall(r"EMBERLINE_[A-Z_]+", text)) <= known["settings"], f"{where}: {text}"
        for command in re.findall(r"`(emberline [a-z ]+)`", text):
            assert command.strip() in named, f"{where}: {text}"


def test_what_an_embedded_server_says_names_no_option() -> None:
    """People meet it through `emberline run`, `demo` and `kafka up`; all of these have --brokers."""
    for where, text in errors("embedded"):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= {"--brokers"}, f"{where}: {text}"


def test_commands_print_through_one_place() -> None:
    """Which escapes what would act on a terminal; `rejects show --raw` is for pipes, the demo's display is rich's."""
    for module in modules("cli"):
        if module.as_posix() == "cli/output.py":
            continue
        calls = {ast.unparse(node.func) for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)}
        assert not calls & {"print", "click.echo", "click.secho", "sys.stdout.write"}, module
