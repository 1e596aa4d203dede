"""The registry as files that can be imported again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.registry import codes
from services.registry.exchange.sheets import FileError, plain, replacing, write_csv, write_xlsx
from services.registry.exchange.tables import TABLES, Form, FormField

_LABELS: Final = {
    "kind": codes.KIND_LABELS,
    "place_kind": codes.PLACE_KINDS,
    "quantity": codes.QUANTITY_LABELS,
    "role": codes.COMPONENT_ROLES,
    "phase": codes.PHASES,
}
_STATES: Final = {"devices": codes.DEVICE_STATES, "components": codes.COMPONENT_STATES}
CHUNK: Final = 5_000


class FilledForm(NamedTuple):
    """A table with the columns that are written of it, and its rows as text."""

    form: Form
    columns: Sequence[FormField]
    rows: Iterable[Sequence[str]]

    @property
    def header(self) -> list[str]:
        return [one.label for one in self.columns]


def export(session: Session, path: Path, private: bool) -> dict[str, int]:
    """Write all tables: as sheets of an XLSX, or as CSV files in a folder. How many rows each has. Raises FileError.

    People's names and telephone numbers are left out unless `private`; an import of the file leaves them as they are.
    """
    shown = {table.name: [one for one in table.columns if private or not one.private] for table in TABLES}
    filled = [FilledForm(one, shown[one.name], _rows(session, one, shown[one.name])) for one in TABLES]
    return write_forms(path, filled, private)


def write_forms(path: Path, filled: Sequence[FilledForm], private: bool) -> dict[str, int]:
    """Write tables in the way of `export`, for their owner alone if they are `private`. Raises FileError."""
    if path.suffix.lower() == ".xlsx":
        with replacing(path, private) as file:
            return write_xlsx(file, ((one.form.title, one.header, one.rows) for one in filled))
    if path.suffix:
        raise FileError(f"{path}：不支持这种文件；请给出 .xlsx 文件，或一个用来存放 CSV 文件的文件夹")
    counts = {}
    for one in filled:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{path}：无法建立这个文件夹（{error.strerror}）；请换一个位置") from error
        with replacing(path / f"{one.form.title}.csv", private) as file:
            counts[one.form.title] = write_csv(file, one.header, one.rows)
    return counts


def _rows(session: Session, table: Form, columns: Sequence[FormField]) -> Iterator[list[str]]:
    fields = [getattr(table.model, column.name) for column in columns]
    found = session.execute(select(*fields).order_by(fields[0]).execution_options(yield_per=CHUNK))
    for row in found:
        yield [text_of_cell(value, column.name, table) for value, column in zip(row, columns, strict=True)]


def text_of_cell(value: Any, name: str, table: Form) -> str:
    """A value as a cell of an exported file has it."""
    labels = _STATES[table.name] if name == "state" else _LABELS.get(name)
    match value:
        case None:
            return ""
        case bool():
            return "是" if value else "否"
        case float():
            return plain(value)
        case date():
            return value.isoformat()
        case str() if labels:
            return labels.get(value, value)
    return str(value)
