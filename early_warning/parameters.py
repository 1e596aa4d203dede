"""The parameters of the rules, from `parameters.toml`, with what a file of the operator changes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

DEFAULT_PARAMETERS: Final = Path(__file__).with_name("parameters.toml")

RuleParameters = Mapping[str, Any]
"""Parameters of one rule, or of what is normal for one quantity, by name."""


class ParametersError(ValueError):
    """Parameters that cannot be used; the text says which, and what they may be."""


def load_parameters(path: Path | None = None) -> dict[str, Any]:
    """Those that are shipped, with what the file at `path` changes laid over them. Raises ParametersError."""
    return overlaid(_read(DEFAULT_PARAMETERS), path)


def overlaid(base: RuleParameters, path: Path | None) -> dict[str, Any]:
    """What the file at `path` changes, if there is one, laid over `base`. Raises ParametersError."""
    return dict(base) if path is None else _over(base, _read(path), str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParametersError(f"cannot read the parameters {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParametersError(f"the parameters {path} are not valid TOML: {error}") from error


def _over(base: RuleParameters, change: RuleParameters, where: str) -> dict[str, Any]:
    found = dict(base)
    for name, value in change.items():
        held = found.get(name)
        if held is None:
            raise ParametersError(f"{where}: {name!r} is no parameter; known are {', '.join(base)}")
        if isinstance(held, Mapping) != isinstance(value, Mapping):
            raise ParametersError(f"{where}: {name!r} must be {'a table' if isinstance(held, Mapping) else 'a number'}")
        found[name] = (
            _over(held, value, f"{where}: {name}") if isinstance(held, Mapping) else _number(value, name, where)
        )
    return found


def _number(value: object, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise ParametersError(f"{where}: {name!r} must be a number above 0, found {value!r}")
    return value
