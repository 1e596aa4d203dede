"""The views: files of `schemas/clickhouse/views`, made anew at every migration, after the tables.

A view holds no rows, so it needs no history: its file says what it is now, and what was written of it in earlier
migrations is replaced. Files are taken in the order of their names, for a view may ask those before it.

Three things are put in. A line that holds `{quantity}` stands for a line of each quantity (`schemas.quantities`), with
commas between. `{NAME}` stands for the text of the file `NAME.part`. `{NAME of VIEW}` is the same, of the devices and
alarms of that view alone; a part says by `{device_id}` and `{device_and_alarm_id}` where that is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from schemas.quantities import QUANTITIES

_PART: Final = re.compile(r"\{(alarms|registrations)(?: of (\w+))?\}")
_KEYS: Final = {"device_id": "device_id", "device_and_alarm_id": "device_id, alarm_id"}


_QUANTITIES: Final = tuple(quantity.name for quantity in QUANTITIES)


def views(quantities: Sequence[str] = _QUANTITIES) -> list[str]:
    """The statements by which they are made, in order."""
    found = sorted((one for one in _folder().iterdir() if one.name.endswith(".sql")), key=lambda one: one.name)
    return [one for file in found for one in statements(_rendered(file.read_text(encoding="utf-8"), quantities))]


def statements(text: str) -> list[str]:
    """The statements of a file; each ends with a semicolon at the end of a line."""
    bare = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("--"))
    return [statement.strip() for statement in re.split(r";[ \t]*(?:\n|$)", bare) if statement.strip()]


def _rendered(text: str, quantities: Sequence[str]) -> str:
    while _PART.search(text):
        text = _PART.sub(lambda found: _part(found[1], found[2]), text)
    return "\n".join(
        ",\n".join(line.replace("{quantity}", one) for one in quantities) if "{quantity}" in line else line
        for line in text.split("\n")
    )


def _part(name: str, view: str | None) -> str:
    text = _folder().joinpath(f"{name}.part").read_text(encoding="utf-8").rstrip("\n")
    for placeholder, keys in _KEYS.items():
        asked = "true" if view is None else f"({keys}) IN (SELECT {keys} FROM {view})"  # noqa: S608
        text = text.replace("{" + placeholder + "}", asked)
    # What a part asks of others, it asks of the same.
    return text if view is None else _PART.sub(lambda found: "{" + f"{found[1]} of {view}" + "}", text)


def _folder() -> Traversable:
    return files("schemas").joinpath("clickhouse", "views")
