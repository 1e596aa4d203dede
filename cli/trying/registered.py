"""What is registered, from a file: as `emberline registry import` takes it, or entries as they are on the topic."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL

from cli.registering import applied_whole
from common.errors import OperatorError
from detectors.control.changes import read_change
from schemas.registry import DeviceEntry, LimitsEntry
from services.registry.database import engine_of, in_parts, migrate, reading, writing
from services.registry.entries import entries_of
from services.registry.exchange.importing import checked
from services.registry.exchange.sheets import files_in


def entries_in(file: Path) -> Iterator[DeviceEntry | LimitsEntry]:
    """The entries of a file: XLSX, CSV or a folder of CSV files, or JSON, an entry a line. Raises OperatorError."""
    if file.suffix.lower() in (".json", ".jsonl"):
        yield from _lines(file)
    else:
        yield from _imported(file)


def _lines(file: Path) -> Iterator[DeviceEntry | LimitsEntry]:
    try:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                try:
                    yield read_change(line)
                except ValueError as error:
                    raise OperatorError(f"{file} line {number} is no entry of the registry: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {file}: {error}") from error


def _imported(file: Path) -> Iterator[DeviceEntry]:
    """Through a registry of its own, which is gone afterwards: so there is one reading of such files."""
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_of(URL.create("sqlite", database=str(Path(folder) / "registry.sqlite")))
        try:
            migrate(engine)
            found = checked(files_in([file]))
            with writing(engine) as session:
                applied_whole(found, session)
            with reading(engine) as session:
                for some in in_parts(sorted(found.keys["devices"])):
                    yield from entries_of(session, some)
        finally:
            engine.dispose()
