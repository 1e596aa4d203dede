"""Rows of the registry as people read them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.registry.exchange.exporting import text_of_cell
from services.registry.exchange.fields import masked
from services.registry.exchange.tables import TABLES


class ShownRow(NamedTuple):
    """One row: which table it is of, and what it says by header, empty fields left out."""

    table: str
    title: str
    fields: list[tuple[str, str]]

    def as_json(self) -> dict[str, object]:
        """The same for a script."""
        return {"table": self.table, **dict(self.fields)}


def shown(session: Session, key: str, private: bool) -> list[ShownRow]:
    """The rows of this key, of whichever tables. Telephone numbers are masked unless `private`."""
    found = []
    for table in TABLES:
        columns = [getattr(table.model, column.name) for column in table.columns]
        row = session.execute(select(*columns).where(columns[0] == key)).one_or_none()
        if row is None:
            continue
        cells = [
            (
                column.label,
                text_of_cell(masked(value) if column.name == "phone" and not private else value, column.name, table),
            )
            for column, value in zip(table.columns, row, strict=True)
            if value is not None
        ]
        found.append(ShownRow(table.name, table.title, cells))
    return found
