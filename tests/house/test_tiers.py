"""The tiers of tests hold what tests/conftest.py says of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.conftest import NIGHTLY, QUICK, TESTS

STARTERS: Final = {"embedded.kafka", "embedded.processes", "tests.support.apache_kafka", "tests.support.processes"}
"""The modules by which tests start servers. Every fixture of a conftest.py, or of tests/support, needs one of them."""


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def functions_of(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def quick_files() -> list[Path]:
    paths = [TESTS / path for path in QUICK]
    return [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]


def fixtures_of_servers() -> set[str]:
    found = set()
    for file in (*TESTS.glob("*/conftest.py"), *TESTS.glob("support/*.py")):
        for function in functions_of(file):
            if any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list):
                found.add(function.name)
    return found


def test_every_place_and_every_test_that_a_tier_names_is_there() -> None:
    assert [path for path in QUICK if not (TESTS / path).exists()] == []
    nightly = [name.split("::") for name in NIGHTLY]
    there = {(file, function.name) for file, _ in nightly for function in functions_of(TESTS / file)}
    assert {(file, name) for file, name in nightly} <= there


def test_nothing_quick_starts_a_server() -> None:
    fixtures = fixtures_of_servers()
    assert fixtures
    for file in quick_files():
        imported = {node.module for node in ast.walk(tree_of(file)) if isinstance(node, ast.ImportFrom)}
        asked = {argument.arg for function in functions_of(file) for argument in function.args.args}
        assert not imported & STARTERS, f"{file.name} imports {imported & STARTERS}"
        assert not asked & fixtures, f"{file.name} asks for {asked & fixtures}"
