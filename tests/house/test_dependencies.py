"""What is imported is declared, and what is declared is pinned with its hashes."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from typing import Any, Final

import pytest

from tests.house.test_rules import MAY_IMPORT, OURS, ROOT, imported, modules

PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    **{package: () for package in MAY_IMPORT if package != "embedded"},
    "embedded": ("embedded",),
    "tests": ("embedded", "dev"),
    "benchmarks": ("embedded", "dev", "peers", "plots"),
}
"""Package by package, the extras that it may take for granted."""
DISTRIBUTIONS: Final = packages_distributions()
CLOSED: Final = ("aiokafka", "clickhouse-driver", "faust-streaming", "mode-streaming")
"""We overrule parts of these that are not their interface, so what comes next is tried before it is allowed."""


def normal(name: str) -> str:
    """A distribution's name as all compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    return normal(re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0])


def declared(extras: Iterable[str]) -> set[str]:
    """The distributions that pyproject.toml names, with these extras."""
    wanted = [*PROJECT["dependencies"], *(one for extra in extras for one in PROJECT["optional-dependencies"][extra])]
    return {name_of(one) for one in wanted}


def pins(lock: str) -> dict[str, int]:
    """The distributions that a lock pins to one version, and how many hashes each has."""
    found: dict[str, int] = {}
    name = ""
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([\w.-]+)==\S+", line):
            name = normal(match[1])
            found[name] = 0
        found[name] = found.get(name, 0) + line.count("--hash=sha256:")
    found.pop("", None)
    return found


@pytest.mark.parametrize("package", EXTRAS)
def test_every_import_is_a_declared_dependency(package: str) -> None:
    known = declared(EXTRAS[package])
    found = modules(package)
    assert found
    for module in found:
        foreign = imported(module) - OURS - set(sys.stdlib_module_names)
        # What is not installed, as the peers, has the name that it is imported by.
        missing = {name for name in foreign if not known & set(map(normal, DISTRIBUTIONS.get(name, [name])))}
        assert not missing, f"{module} imports {', '.join(sorted(missing))}, which pyproject.toml does not name"


def test_what_we_overrule_parts_of_is_bounded() -> None:
    bounded = {name_of(one) for one in PROJECT["dependencies"] if "<" in one}
    assert bounded >= set(CLOSED)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.lock", ("embedded", "dev")), ("requirements-bench.lock", PROJECT["optional-dependencies"])],
)
def test_the_lock_pins_all_that_is_declared_with_hashes(lock: str, extras: Iterable[str]) -> None:
    found = pins(lock)
    assert declared(extras) - found.keys() == set(), "run `make lock`"
    assert [name for name, hashes in found.items() if not hashes] == []
