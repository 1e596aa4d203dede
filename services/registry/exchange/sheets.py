"""Files as tables of text, and back: CSV in UTF-8 or GB 18030, and XLSX."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook
from xlsxwriter.exceptions import XlsxFileError

from common.errors import OperatorError
from services.registry.exchange.fields import FORMULA

BYTES_MOST: Final = 1_073_741_824
"""Of a file: a million devices are some 200 MB as CSV [ours]."""
ROWS_MOST: Final = 1_048_575
"""Of a sheet under its header: XLSX has no more."""
COLUMNS_MOST: Final = 100
"""Of an XLSX: the reader takes room for every cell up to the last one of each direction [ours]."""
_CSV: Final = (".csv", ".txt")
KNOWN: Final = (*_CSV, ".xlsx")
_CELL: Final = re.compile(rb'<c [^>]*?r="([A-Z]+)(\d+)"[^>]*?>')
_LOST: Final = re.compile(rb'<c [^>]*?r="([A-Z]+\d+)"[^>]*?t="e"|<c [^>]*?t="e"[^>]*?r="([A-Z]+\d+)"')
_SHEET: Final = re.compile(r"xl/worksheets/[^/]+\.xml")
_PART: Final = 4 * 1_048_576
_OVERLAP: Final = 4_096
Cell = str | float | int | bool | date | datetime | time | timedelta


class FileError(OperatorError):
    """A file that cannot be read at all; the text says what to do, in Chinese."""


class Sheet(NamedTuple):
    """One table of a file: its name, its header, and its rows as text, each with its number as people see it."""

    name: str
    header: list[str]
    rows: Iterator[tuple[int, list[str]]]


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files, and in place of a folder the files in it that can be read. Raises FileError where it has none."""
    found = []
    for path in paths:
        held = sorted(one for one in path.iterdir() if one.suffix.lower() in KNOWN) if path.is_dir() else [path]
        if not held:
            raise FileError(f"{path}：这个文件夹中没有 CSV 文件；请核对位置")
        found += held
    return found


def read(path: Path) -> list[Sheet]:
    """The tables of a file: of an XLSX all its sheets, of a CSV one named as the file. Raises FileError."""
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise FileError(f"{path}：没有这个文件；请核对文件名") from error
    except OSError as error:
        raise FileError(f"{path}：无法读取（{error.strerror}）；请核对权限") from error
    if size > BYTES_MOST:
        raise FileError(f"{path}：文件超过{BYTES_MOST >> 20} MiB；请分成几个文件导入")
    if size == 0:
        raise FileError(f"{path}：文件是空的；请先填写表头和内容")
    if path.suffix.lower() in _CSV:
        return [_csv(path)]
    if path.suffix.lower() == ".xlsx":
        return _xlsx(path)
    raise FileError(f"{path}：不支持“{path.suffix}”文件；请另存为 .xlsx 或 .csv")


def _csv(path: Path) -> Sheet:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}：无法读取（{error.strerror}）") from error
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise FileError(f"{path}：不是 UTF-8 或 GB 18030 编码的文本；请另存为“CSV UTF-8”")
    if "\0" in text:
        raise FileError(f"{path}：不是文本文件；请另存为“CSV UTF-8”")
    lines = csv.reader(io.StringIO(text, newline=""))
    return _sheet(path.stem, ([*line] for line in _told(lines, path)))


def _told(lines: Iterable[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from lines
    except csv.Error as error:
        raise FileError(f"{path}：不是有效的 CSV（{error}）；请核对引号") from error


def _xlsx(path: Path) -> list[Sheet]:
    try:
        _look_over(path)
        with CalamineWorkbook.from_path(path) as book:
            return [
                _sheet(name, ([_text(cell) for cell in row] for row in book.get_sheet_by_name(name).iter_rows()))
                for name in book.sheet_names
            ]
    except (CalamineError, zipfile.BadZipFile, zlib.error, OSError) as error:
        raise FileError(f"{path}：不是有效的 XLSX（{error}）；请用表格软件打开后重新保存") from error


def _label(cell: str) -> str:
    """A header as it is known: with the brackets of Chinese text, and without the star that marks what is required."""
    return cell.strip().strip("\ufeff*＊ ").replace("(", "（").replace(")", "）")


def _look_over(path: Path) -> None:
    """Refuse what the reader would take for something else, or what would take all memory: it reads a formula's error
    as an empty cell, and makes room for all cells up to the last."""
    with zipfile.ZipFile(path) as book:
        for name in filter(_SHEET.fullmatch, book.namelist()):
            with book.open(name) as file:
                kept = b""
                while part := file.read(_PART):
                    _look_over_part(path, kept + part)
                    kept = part[-_OVERLAP:]


def _look_over_part(path: Path, part: bytes) -> None:
    if lost := _LOST.search(part):
        where = (lost[1] or lost[2]).decode()
        raise FileError(f"{path}：单元格 {where} 是表格公式的错误值；请修正公式，或改填实际内容")
    for column, row in _CELL.findall(part):
        if len(column) > 2 or int(row) > ROWS_MOST + 1 or _column(column) > COLUMNS_MOST:
            where = (column + row).decode()
            raise FileError(f"{path}：单元格 {where} 在表格范围以外；请删除第{COLUMNS_MOST}列以后的内容")


def _column(letters: bytes) -> int:
    """The number of a column, from 1 on."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number


def _sheet(name: str, lines: Iterator[list[str]]) -> Sheet:
    header = [_label(cell) for cell in next(lines, [])]
    while header and not header[-1]:
        header.pop()
    numbered = ((number, line) for number, line in enumerate(lines, start=2) if any(cell.strip() for cell in line))
    return Sheet(name.strip(), header, numbered)


def plain(number: float) -> str:
    """A number as people write it. From 10¹⁵ on it shows that its last digits are lost: spreadsheets keep fifteen."""
    if abs(number) >= 1e15:
        return f"{number:.14E}"
    return str(int(number)) if number.is_integer() else f"{Decimal(repr(number)):f}"


def _text(cell: Cell) -> str:
    """What a cell shows, as far as it can be told."""
    match cell:
        case bool():
            return "是" if cell else "否"
        case float():
            return plain(cell)
        case datetime():
            return cell.date().isoformat()
        case date():
            return cell.isoformat()
    return str(cell)


@contextmanager
def replacing(path: Path, private: bool) -> Iterator[Path]:
    """A file to write in place of the one at the path, which it becomes only once it is whole; if it is `private`, for
    its owner alone. Raises FileError."""
    made: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        made = Path(name)
        yield made
        made.chmod(0o600 if private else 0o644)
        made.replace(path)
    except (OSError, XlsxFileError) as error:
        raise FileError(
            f"{path}：无法写入（{getattr(error, 'strerror', None) or error}）；请换一个位置，或核对磁盘空间"
        ) from error
    finally:
        if made is not None:
            with suppress(OSError):
                made.unlink(missing_ok=True)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write one table, in UTF-8 with the mark by which spreadsheets know it. How many rows it has."""
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerow([_not_run(cell) for cell in row])
            count += 1
    return count


def _not_run(cell: str) -> str:
    is_number = cell[1:].replace(".", "", 1).isdecimal()
    return f"'{cell}" if cell.startswith(FORMULA) and not is_number else cell


def write_xlsx(path: Path, sheets: Iterable[tuple[str, Sequence[str], Iterable[Sequence[str]]]]) -> dict[str, int]:
    """Write tables as sheets of one file, all cells text: spreadsheets spoil long numbers. How many rows each has."""
    counts = {}
    with xlsxwriter.Workbook(str(path), {"constant_memory": True, "strings_to_numbers": False}) as book:
        bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
        for name, header, rows in sheets:
            sheet = book.add_worksheet(name)
            sheet.set_column(0, len(header) - 1, 18, text)
            sheet.freeze_panes(1, 0)
            for column, label in enumerate(header):
                sheet.write_string(0, column, label, bold)
            number = 0
            for number, row in enumerate(rows, start=1):
                if number > ROWS_MOST:
                    raise FileError(f"{name}超过{ROWS_MOST}行，XLSX 放不下；请导出为 CSV 文件夹")
                for column, cell in enumerate(row):
                    if cell:
                        sheet.write_string(number, column, cell, text)
            counts[name] = number
    return counts
