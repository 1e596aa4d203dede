"""Files into the registry: all rows are checked first, and where one is wrong nothing is changed.

Rows are known by their keys. A row that says nothing new changes nothing, so an import may be done again at any time. A
column that a file has not leaves its field as it is; an empty cell empties it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from services.registry.database import in_parts
from services.registry.entries import REMOVED
from services.registry.exchange.fields import CellError, cleaned
from services.registry.exchange.sheets import FileError, Sheet, read
from services.registry.exchange.tables import BY_NAME, DEVICES, TABLES, FieldValues, Form, FormField

SHOWN: Final = 40
"""So much of a cell's text is told back, in characters."""
Tell = Callable[[str, int], object]
"""Told of progress: what is being done, and how many rows are done."""


class RowProblem(NamedTuple):
    """What is wrong with one cell, row or header, where it is, and what to do about it."""

    file: str
    row: int
    column: str
    text: str
    what: str
    remedy: str

    def told(self) -> str:
        """One line for people."""
        where = f"{self.file} 第{self.row}行" + (f"“{self.column}”列" if self.column else "")
        text = self.text if len(self.text) <= SHOWN else f"{self.text[:SHOWN]}…"
        return f"{where}：{f'“{text}”' if text else ''}{self.what}；{self.remedy}"


class ReadRow(NamedTuple):
    """One row, and where it stands. Of fields that are `wrong` it has no value: for what else is wrong is told too."""

    file: str
    number: int
    values: FieldValues
    wrong: frozenset[str] = frozenset()


@dataclass
class Checked:
    """What files hold: rows and their keys by table, what is wrong, and the tables of which rows could not be read."""

    rows: dict[str, list[ReadRow]] = field(default_factory=lambda: {table.name: [] for table in TABLES})
    keys: dict[str, set[str]] = field(default_factory=lambda: {table.name: set() for table in TABLES})
    problems: list[RowProblem] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)


@dataclass
class TableChange:
    """How many rows of a table were new, were changed, and said nothing new; the keys of the first two; and which
    devices changed rows belonged to before."""

    table: Form
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    keys: list[str] = field(default_factory=list)
    left: set[str] = field(default_factory=set)


def keys_of(changes: Iterable[TableChange]) -> dict[str, list[str]]:
    """By table, the keys of all that is to be told of."""
    found = {one.table.name: list(one.keys) for one in changes}
    left = set().union(*(one.left for one in changes))
    return found | {DEVICES.name: sorted({*found.get(DEVICES.name, ()), *left})}


def checked(paths: Sequence[Path], tell: Tell = lambda what, count: None) -> Checked:
    """Read files and check them by themselves. Raises FileError where one cannot be read."""
    found = Checked()
    for path in paths:
        for sheet in read(path):
            where = path.name if path.suffix.lower() != ".xlsx" else f"{path.name}[{sheet.name}]"
            table = BY_NAME.get(sheet.name)
            if table is not None:
                _check_sheet(sheet, where, table, found, tell)
            elif sheet.header:
                titles = "、".join(one.title for one in TABLES)
                raise FileError(f"{where}：不知道是哪一张表；请删除这张表，或把它命名为：{titles}")
    for table in TABLES:
        _check_twice(found, table, (table.key.name,), "重复", "请只保留一行")
        if table.unique:
            _check_twice(
                found, table, table.unique, "的" + "、".join(map(table.label, table.unique)) + "都相同", "请核对序号"
            )
    return found


def check_against(found: Checked, session: Session) -> list[RowProblem]:
    """Check what files hold against the registry as well. All that is wrong, in the order of files and rows."""
    _judge(found, session)
    _check_references(found, session)
    _check_unique(found, session)
    return sorted(found.problems, key=lambda one: (one.file, one.row))


def _judge(found: Checked, session: Session) -> None:
    """Look at whole rows: at what they say, and where a file has not all columns, at what the registry has."""
    for table in TABLES:
        for some in in_parts(found.rows[table.name] if table.judges else ()):
            keys = [row.values.get(table.key.name) for row in some]
            before = _there(table, [key for key in keys if key], session)
            for key, row in zip(keys, some, strict=True):
                values = before.get(key or "", {}) | row.values | dict.fromkeys(row.wrong)
                for name, why in (one for judge in table.judges for one in judge(values)):
                    if name not in row.wrong:
                        text = "" if values.get(name) is None else str(values[name])
                        found.problems.append(
                            RowProblem(row.file, row.number, table.label(name), text, why.what, why.remedy)
                        )


def _check_sheet(sheet: Sheet, where: str, table: Form, found: Checked, tell: Tell) -> None:
    columns = [table.by_header.get(label) for label in sheet.header]
    problems = list(_header_problems(sheet.header, columns, table, where))
    found.problems += problems
    if problems:
        found.unread.add(table.name)
        return
    for count, (number, cells) in enumerate(sheet.rows, start=1):
        if count % 10_000 == 0:
            tell(f"检查 {where}", count)
        values, wrong = _check_row(cells, columns, table)
        found.problems += [RowProblem(where, number, column, text, why.what, why.remedy) for column, text, why in wrong]
        if table.key.name in values:
            found.keys[table.name].add(values[table.key.name])
        fields = frozenset(table.by_header[column].name for column, _, _ in wrong if column)
        found.rows[table.name].append(ReadRow(where, number, values, fields))


def _header_problems(
    header: Sequence[str], columns: Sequence[FormField | None], table: Form, where: str
) -> Iterator[RowProblem]:
    known = "、".join(one.label for one in table.columns)
    if not header:
        yield RowProblem(where, 1, "", "", "没有表头", f"请在第一行填写列名：{known}")
        return
    for label, column in zip(header, columns, strict=True):
        if column is None:
            yield RowProblem(
                where, 1, label, "", "不是已知的列" if label else "列名是空的", f"请删除该列，或改为：{known}"
            )
        elif columns.count(column) > 1 and label == next(
            one for one, of in zip(reversed(header), reversed(columns), strict=True) if of is column
        ):
            yield RowProblem(where, 1, label, "", "出现了不止一次", "请只保留一列")
    for column in table.columns:
        if column.required and column not in columns:
            yield RowProblem(where, 1, column.label, "", "缺少这一列", "请添加该列并填写内容")


Wrong = tuple[str, str, CellError]
"""A column's label, the text there, and why it is wrong."""


def _check_row(
    cells: Sequence[str], columns: Sequence[FormField | None], table: Form
) -> tuple[FieldValues, list[Wrong]]:
    values: FieldValues = {}
    wrong: list[Wrong] = []
    if any(cell.strip() for cell in cells[len(columns) :]):
        extra = next(cell for cell in cells[len(columns) :] if cell.strip())
        wrong.append(("", extra, CellError("在表头以外", "请删除，或为它添加列名；内容含逗号时请加引号")))
    for at, column in enumerate(columns):
        assert column is not None  # noqa: S101 the header was checked
        text = cells[at] if at < len(cells) else ""
        try:
            values[column.name] = _value(text, column)
        except CellError as error:
            wrong.append((column.label, text.strip(), error))
    return values, wrong


def _value(text: str, column: FormField) -> Any:
    text = cleaned(text)
    if text:
        return column.read(text)
    if column.required:
        raise CellError("没有填", "这一列必须填写")
    return column.default


def _check_twice(found: Checked, table: Form, names: Sequence[str], what: str, remedy: str) -> None:
    seen: dict[tuple[Any, ...], ReadRow] = {}
    for row in found.rows[table.name]:
        if not row.wrong.isdisjoint(names) or (names == table.unique and row.values.get("state") == REMOVED):
            continue
        key = tuple(row.values[name] for name in names)
        first = seen.setdefault(key, row)
        if first is not row:
            which = f"与{'' if first.file == row.file else first.file + ' '}第{first.number}行"
            label = table.label(names[-1])
            found.problems.append(RowProblem(row.file, row.number, label, str(key[-1]), which + what, remedy))


def _check_references(found: Checked, session: Session) -> None:
    """Every key that a row refers to is in the files or in the registry."""
    for table in TABLES:
        for column in table.columns:
            if not column.refers_to or column.refers_to in found.unread:
                continue
            target = BY_NAME[column.refers_to]
            asked = {row.values[column.name] for row in found.rows[table.name] if row.values.get(column.name)}
            # Of a row that is wrong in itself nobody need be told again.
            asked -= found.keys[target.name]
            lacking = asked - set(_keys_there(session, target, sorted(asked)))
            found.problems += [
                RowProblem(
                    row.file,
                    row.number,
                    column.label,
                    str(text),
                    f"在{target.title}中没有",
                    f"请先登记该{target.title}，或核对编号",
                )
                for row in (found.rows[table.name] if lacking else ())
                if (text := row.values.get(column.name)) in lacking
            ]


def _keys_there(session: Session, table: Form, keys: Sequence[str]) -> Iterator[str]:
    key = getattr(table.model, table.key.name)
    for some in in_parts(keys):
        yield from session.scalars(select(key).where(key.in_(some)))


def _check_unique(found: Checked, session: Session) -> None:
    """What must be unique of rows is so of those too that are in the registry and not in the files."""
    for table in TABLES:
        rows = found.rows[table.name]
        if not table.unique or not rows:
            continue
        mine = found.keys[table.name]
        by_first = defaultdict[str, dict[tuple[Any, ...], ReadRow]](dict)
        whole = (row for row in rows if row.wrong.isdisjoint(table.unique))
        for row in (row for row in whole if row.values.get("state") != REMOVED):
            of_row = tuple(row.values[name] for name in table.unique)
            by_first[of_row[0]][of_row] = row
        columns = [getattr(table.model, name) for name in (table.key.name, *table.unique)]
        for some in in_parts(sorted(by_first)):
            there = getattr(table.model, "state") != REMOVED  # noqa: B009 a table of which it is known by its form alone
            for key, *others in session.execute(select(*columns).where(columns[1].in_(some), there)):
                taken = by_first[others[0]].get(tuple(others))
                if taken is not None and key not in mine:
                    found.problems.append(
                        RowProblem(
                            taken.file,
                            taken.number,
                            table.label(table.unique[-1]),
                            str(others[-1]),
                            f"已由{table.title}“{key}”占用",
                            "请核对序号",
                        )
                    )


def applied(found: Checked, session: Session, tell: Tell = lambda what, count: None) -> list[TableChange]:
    """Write what was checked, in the session's transaction. What was changed, table by table."""
    return [_apply(table, found.rows[table.name], session, tell) for table in TABLES if found.rows[table.name]]


def _apply(table: Form, rows: Sequence[ReadRow], session: Session, tell: Tell) -> TableChange:
    change, key = TableChange(table), table.key.name
    new: list[FieldValues] = []
    other: list[FieldValues] = []
    for some in in_parts(rows):
        given = {row.values[key]: row.values for row in some}
        before = _there(table, list(given), session)
        new += [values for name, values in given.items() if name not in before]
        changed = [before[name] | values for name, values in given.items() if name in before]
        changed = [values for values in changed if values != before[values[key]]]
        change.left |= {before[values[key]]["device_id"] for values in changed if "device_id" in values}
        change.unchanged += len(given) - len(changed) - sum(name not in before for name in given)
        other += changed
    # What changes goes out of the way first: rows may change places with each other, or make place for new ones.
    _make_way(table, [values[key] for values in other], session)
    done = 0
    for write, values in ((_update, other), (_insert, new)):
        for part in in_parts(values):
            write(table, part, session)
            done += len(part)
            tell(f"写入{table.title}", done)
    change.new, change.changed = len(new), len(other)
    change.keys = [values[key] for values in (*new, *other)]
    return change


def _there(table: Form, keys: Sequence[str], session: Session) -> dict[str, FieldValues]:
    """The rows of these keys, by key."""
    names = [column.name for column in table.columns]
    columns = [getattr(table.model, name) for name in names]
    held = session.execute(select(*columns).where(columns[0].in_(keys)))
    return {row[0]: dict(zip(names, row, strict=True)) for row in held}


def _make_way(table: Form, keys: Sequence[str], session: Session) -> None:
    if table.unique:
        column = getattr(table.model, table.unique[-1])
        for some in in_parts(keys):
            away = update(table.model).where(getattr(table.model, table.key.name).in_(some))
            session.execute(away.values({column: -column}).execution_options(synchronize_session=False))


def _insert(table: Form, rows: Sequence[FieldValues], session: Session) -> None:
    defaults = {column.name: column.default for column in table.columns}
    session.execute(insert(table.model), [defaults | values for values in rows])


def _update(table: Form, rows: Sequence[FieldValues], session: Session) -> None:
    session.execute(update(table.model), list(rows))
