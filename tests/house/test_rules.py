"""The rules of the house: who may import whom, what the READMEs must tell, what no file may hold."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import pytest

from cli.main import cli
from common.metrics import METRICS
from common.settings import described
from schemas.rights import ROLES, rights
from tests.faults.altered.dying import Moment

ROOT: Final = Path(__file__).parents[2]
MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    "common": frozenset(),
    "schemas": frozenset(),
    "embedded": frozenset(),
    "detectors": frozenset({"schemas"}),
    "sinks": frozenset({"schemas"}),
    "fleet": frozenset({"schemas"}),
    "early_warning": frozenset({"schemas"}),
    "streams": frozenset({"common", "schemas", "detectors", "sinks"}),
    "services": frozenset({"common", "schemas"}),
    "cli": frozenset(
        {"common", "schemas", "embedded", "detectors", "early_warning", "sinks", "streams", "services", "fleet"}
    ),
}
"""Package by package, which others of ours it may import. Tests and benchmarks may import all."""
OURS: Final = frozenset(MAY_IMPORT) | {"tests", "benchmarks"}
MAX_MODULE_LINES: Final = 500
MAX_MODULES: Final = 30
"""Python files of one folder: more cannot be taken in at a glance."""
MAY_STAND_TWICE: Final = {
    "Device": "the fault suite's key of a device is not the twin's device",
    "Sifted": "the fault suite sifts as detectors.sift does",
}
"""Names of classes and types that two modules define, each with why nobody confuses them."""
READMES: Final = ("README.md", "README.zh-CN.md")
# In pieces, so that this file does not hold what it forbids.
REGISTRY_HOSTS: Final = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("files", "pythonhosted"),
        ("repo1", "maven"),
        ("repo", "maven", "apache"),
        ("registry", "npmjs"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    )
)
MACHINE_PATHS: Final = tuple(
    "/" + "/".join(parts) for parts in (("work", ""), ("tmp", "venv"), ("root", ""), ("home", ""), ("Users", ""))
)
FORBIDDEN: Final = re.compile(
    "|".join([*map(re.escape, REGISTRY_HOSTS), *(r"(?<![\w.)}-])" + re.escape(path) for path in MACHINE_PATHS)])
)
CLIENT: Final = re.compile(r"\bAIOKafka(Producer|Consumer|Client|AdminClient)$")
CAN_FAIL: Final = re.compile(r"_*(check|assert|expect|until)")


def modules(*packages: str) -> list[Path]:
    """The Python files under the packages, by their path from the root."""
    return sorted(path.relative_to(ROOT) for package in packages for path in (ROOT / package).rglob("*.py"))


def tree_of(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"), str(module))


def imported(module: Path) -> set[str]:
    """The packages that a module imports, wherever in it, by their first name; its own for relative imports."""
    found = set()
    for node in ast.walk(tree_of(module)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(level=0, module=str(name)):
                found.add(name.partition(".")[0])
            case ast.Call(
                func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name.partition(".")[0])
    return found


def table_rows(readme: str, names: Iterable[str], columns: int) -> list[tuple[str, ...]]:
    """The rows of the README's tables whose first cell looks like one of `names`."""
    kinds = {re.sub(r"_.*", "_", name) for name in names}
    rows = []
    for line in (ROOT / readme).read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == columns and any(cells[0].startswith("`" + kind) for kind in kinds):
            rows.append((cells[0].strip("`"), *cells[1:]))
    return rows


def bare(cells: Sequence[str]) -> tuple[str, ...]:
    """Cells without back ticks around the words of all but the last, which is prose."""
    return (*(cell.replace("`", "") for cell in cells[:-1]), cells[-1])


def commands(command: click.Command, path: str) -> Iterator[str]:
    """The whole name of every command under `command` that is not hidden."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from commands(child, f"{path} {name}")
    else:
        yield path


def views() -> list[str]:
    """The views that the migrations make."""
    made = re.compile(r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?VIEW\s+(?:IF\s+NOT\s+EXISTS\s+)?`?(\w+)`?", re.I | re.M)
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "schemas" / "clickhouse").glob("*.sql"))]
    return [name for text in texts for name in made.findall(text)]


def tracked_files() -> list[Path]:
    """The files that git tracks here and that are there. Skips the test where git or its index is absent."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("the tracked files are known only in a git work tree with git installed")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30)
    found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    if not found:
        pytest.skip("git tracks no file here")
    return [path for path in found if path.is_file()]


def functions_of_tests() -> Iterator[tuple[str, ast.AST]]:
    """Every test function of the tests, and where it is."""
    for module in modules("tests"):
        if not module.name.startswith("test_"):
            continue
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{module}:{node.lineno} {node.name}", node


def can_fail(function: ast.AST) -> bool:
    """Whether it holds an assert, pytest.raises or a call to a helper that by its name asserts."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if CAN_FAIL.match(name) or ast.unparse(node.func) == "pytest.raises":
                return True
    return False


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    found = modules(package)
    assert found, f"{package} holds no module"
    for module in found:
        wrong = (imported(module) & OURS) - MAY_IMPORT[package] - {package}
        assert not wrong, f"{module} imports {', '.join(sorted(wrong))}"


def test_one_module_makes_the_clients_of_kafka() -> None:
    makers = {
        str(module)
        for module in modules("common", "streams", "services", "cli")
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and CLIENT.search(ast.unparse(node.func))
    }
    assert makers == {"common/kafka/clients.py"}


def test_every_package_that_is_shipped_has_its_rule_of_imports() -> None:
    shipped = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert shipped == MAY_IMPORT.keys()


def test_the_readme_has_every_setting_and_no_other() -> None:
    rows = described()
    found = [bare(row) for row in table_rows("README.md", [name for name, *_ in rows], 3)]
    assert found == rows, "README.md:\n" + "\n".join(f"| `{name}` | {value} | {what} |" for name, value, what in rows)


def test_the_readme_has_every_metric_and_no_other() -> None:
    wanted = [(one.name, one.kind, ", ".join(one.labels), one.what) for one in METRICS]
    found = [bare(row) for row in table_rows("README.md", [one.name for one in METRICS], 4)]
    rows = "\n".join(f"| `{name}` | {kind} | {labels} | {what} |" for name, kind, labels, what in wanted)
    assert found == wanted, "README.md:\n" + rows


@pytest.mark.parametrize("readme", READMES)
def test_a_readme_has_the_rights_of_every_role(readme: str) -> None:
    wanted = [
        (one.role, ", ".join(one.operations), one.resource, ", ".join(name + "*" * one.prefixed for name in one.names))
        for one in rights("GROUP")
    ]
    found = [tuple(cell.replace("`", "") for cell in row) for row in table_rows(readme, ROLES, 4)]
    listed = "\n".join(f"| `{role}` | {may} | {what} | {names} |" for role, may, what, names in wanted)
    assert found == wanted, f"{readme}:\n{listed}"


@pytest.mark.parametrize("readme", READMES)
def test_a_readme_names_every_command(readme: str) -> None:
    text = re.sub(r"\s+", " ", (ROOT / readme).read_text(encoding="utf-8"))
    named = list(commands(cli, "emberline"))
    missing = [name for name in named if not re.search(re.escape(name) + r"(?![\w-])", text)]
    assert named
    assert not missing, f"{readme} does not name: {', '.join(missing)}"


@pytest.mark.parametrize("readme", READMES)
def test_a_readme_names_every_view_as_a_view(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    named = views()
    missing = [name for name in named if not re.search(rf"`{name}`|\b(FROM|JOIN)\s+(\w+\.)?{name}\b", text, re.I)]
    assert named
    assert not missing, f"{readme} has neither `VIEW` nor FROM VIEW of: {', '.join(missing)}"


def test_no_file_names_a_package_registry_or_a_build_machine() -> None:
    files = tracked_files()
    wrong = [
        f"{path.relative_to(ROOT)}:{number} {found.group()}"
        for path in files
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1)
        if (found := FORBIDDEN.search(line))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("pieces", [*REGISTRY_HOSTS, *MACHINE_PATHS])
def test_what_no_file_may_hold_would_be_found(pieces: str) -> None:
    assert FORBIDDEN.search(f"see {pieces} there")
    assert FORBIDDEN.search(f"'{pieces}x'")
    assert not FORBIDDEN.search("benchmarks/work/main.py and https://example.com/root/")


def test_every_module_says_what_it_is() -> None:
    silent = [str(module) for module in modules(*MAY_IMPORT) if not ast.get_docstring(tree_of(module))]
    assert not silent, f"no docstring: {', '.join(silent)}"


def test_modules_stay_short() -> None:
    lengths = {module: len((ROOT / module).read_bytes().splitlines()) for module in modules(*MAY_IMPORT, "benchmarks")}
    long = {str(module): length for module, length in lengths.items() if length >= MAX_MODULE_LINES}
    assert not long, f"{MAX_MODULE_LINES} lines or more: {long}"


def test_folders_stay_small() -> None:
    held = Counter(module.parent for module in modules(*OURS))
    large = {str(folder): count for folder, count in held.items() if count > MAX_MODULES}
    assert not large, f"more than {MAX_MODULES} modules: {large}"


def defined_twice(*packages: str) -> dict[str, list[str]]:
    """By the name of a class or of a type, its underscore left out, where it is defined, if more than once."""
    found = defaultdict[str, list[str]](list)
    for module in modules(*packages):
        for node in tree_of(module).body:
            match node:
                case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                    if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", name):
                        found[name.removeprefix("_")].append(str(module))
    return {name: where for name, where in found.items() if len(where) > 1}


def test_a_name_of_a_class_means_one_thing() -> None:
    twice = defined_twice(*OURS)
    assert twice.keys() == MAY_STAND_TWICE.keys(), "\n".join(
        f"{name}: {', '.join(where)}" for name, where in twice.items()
    )


def test_every_test_can_fail() -> None:
    toothless = [where for where, function in functions_of_tests() if not can_fail(function)]
    assert not toothless, "no assert, pytest.raises or check_...:\n" + "\n".join(toothless)


def test_the_delivery_argument_names_tests_and_moments_that_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/]+/test_\w+\.py", text))
    moments = {name for row in re.findall(r"test_moments\.py \(([A-Z_, ]+)\)", text) for name in row.split(", ")}
    assert {name for name in named if not (ROOT / "tests" / name).exists()} == set()
    assert moments == {moment.name for moment in Moment}
