"""The registry as files that can be imported again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

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


def export(session: Session, path: Path, private: bool) -> dict[str, int]:
    """Write all tables: as sheets of an XLSX, or as CSV files in a folder. How many rows each has. Raises FileError.

    People's names and telephone numbers are left out unless `private`; an import of the file leaves them as they are.
    """
    shown = {table.name: [one for one in table.columns if private or not one.private] for table in TABLES}
    headers = {table.name: [one.label for one in shown[table.name]] for table in TABLES}
    if path.suffix.lower() == ".xlsx":
        sheets = ((one.title, headers[one.name], _rows(session, one, shown[one.name])) for one in TABLES)
        with replacing(path, private) as file:
            return write_xlsx(file, sheets)
    if path.suffix:
        raise FileError(f"{path}：不支持这种文件；请给出 .xlsx 文件，或一个用来存放 CSV 文件的文件夹")
    counts = {}
    for one in TABLES:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{path}：无法建立这个文件夹（{error.strerror}）；请换一个位置") from error
        with replacing(path / f"{one.title}.csv", private) as file:
            counts[one.title] = write_csv(file, headers[one.name], _rows(session, one, shown[one.name]))
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
