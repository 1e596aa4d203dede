"""The registry of a simulated fleet as files, and such files into a registry's database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from common.errors import OperatorError
from fleet import FleetRegistry
from services.registry.database import writing
from services.registry.exchange.exporting import FilledForm, text_of_cell, write_forms
from services.registry.exchange.importing import Checked, TableChange, applied, check_against, checked, keys_of
from services.registry.exchange.tables import BY_NAME, Form
from services.registry.outbox import tell_of


def write_registry(registry: FleetRegistry, path: Path) -> dict[str, int]:
    """Write it as sheets of an XLSX, or as CSV files in a folder. How many rows each table has. Raises FileError."""
    filled = [_filled(BY_NAME[name], rows) for name, rows in registry._asdict().items()]
    return write_forms(path, filled, private=False)


def _filled(form: Form, rows: Sequence[Any]) -> FilledForm:
    names = rows[0]._fields if rows else (form.key.name,)
    return FilledForm(form, [form.by_header[name] for name in names], _texts(form, names, rows))


def _texts(form: Form, names: Sequence[str], rows: Sequence[Any]) -> Iterator[list[str]]:
    for row in rows:
        yield [text_of_cell(value, name, form) for value, name in zip(row, names, strict=True)]


def take_in(engine: Engine, files: Sequence[Path], by: str) -> None:
    """Import files that have nothing wrong with them, as `emberline registry import` does. Raises OperatorError."""
    found = checked(files)
    with writing(engine) as session:
        tell_of(session, keys_of(applied_whole(found, session)), by)


def applied_whole(found: Checked, session: Session) -> list[TableChange]:
    """Apply files that have nothing wrong with them. Raises OperatorError."""
    if problems := check_against(found, session):
        more = f"（共{len(problems)}处错误）" if len(problems) > 1 else ""
        raise OperatorError(f"{problems[0].told()}{more}")
    return applied(found, session)
