"""What a statement needs from the conversation: streamed rows, the client's data, or neither.

Only as much of SQL is read as that takes; everything else is chDB's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from embedded.clickhouse import guard
from embedded.clickhouse.errors import SYNTAX_ERROR, ServerError

_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"(?:\(|\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w*)", re.DOTALL)
_TRAILING_FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*$", re.IGNORECASE)

_STREAMED = {"SELECT", "WITH", "FROM"}
_READING = {"SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK"}

_IDENTIFIER = r"(?:`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|[A-Za-z_]\w*)"
_INSERT = re.compile(
    rf"INSERT\s+(?:INTO\s+)?(?:TABLE\s+)?({_IDENTIFIER}(?:\s*\.\s*{_IDENTIFIER})?)\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_SETTING = r"\w+\s*=\s*(?:'(?:[^'\\]|\\.)*'|[\w.+-]+)"
_NO_DATA = re.compile(
    rf"(SETTINGS\s+{_SETTING}(?:\s*,\s*{_SETTING})*\s+)?(?:VALUES|FORMAT\s+\w+)",
    re.IGNORECASE,
)
_VALUES = re.compile(rf"\s*(SETTINGS\s+{_SETTING}(?:\s*,\s*{_SETTING})*\s+)?VALUES\b", re.IGNORECASE)
_ESCAPES = re.compile(r"\\(.)|''", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}
_NOT_CODE = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_INPUT = re.compile(rf"{_NOT_CODE.pattern}|\binput\s*\(\s*('(?:[^'\\]|\\.|'')*')\s*\)", re.DOTALL | re.IGNORECASE)
_QUOTED_OR_PARENTHESIS = re.compile(r"`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|[()]")


@dataclass(frozen=True)
class Select:
    """A query whose result can be streamed."""

    sql: str


@dataclass(frozen=True)
class ReadStatement:
    """SHOW and the like: small results, not streamable, safe to run twice."""

    sql: str


@dataclass(frozen=True)
class Insert:
    """An INSERT whose rows the client will send."""

    table: str
    columns: str  # as written between the parentheses; "*" when left out
    settings: str

    @property
    def sql(self) -> str:
        """The statement up to where its data or FORMAT would begin."""
        columns = "" if self.columns == "*" else f"({self.columns})"
        return f"INSERT INTO {self.table} {columns} {self.settings}"


@dataclass(frozen=True)
class InsertInput:
    """INSERT ... SELECT ... FROM input('structure'): rows the client will send, through a query."""

    before: str
    columns: str  # what stood between the quotes
    after: str


@dataclass(frozen=True)
class Other:
    """Everything else: DDL, USE, SET, INSERT ... SELECT, INSERT with its values in the text."""

    sql: str


Statement = Select | ReadStatement | Insert | InsertInput | Other


def parse(sql: str, reads_only: bool = False) -> Statement:
    """Return what kind of statement `sql` is; raise `ServerError` if it is not for the user (`guard`)."""
    start = _COMMENTS.match(sql)
    text = sql[start.end() if start else 0 :].rstrip("; \t\r\n")
    if ";" in text and ";" in _NOT_CODE.sub("", text):
        raise ServerError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    word = _WORD.match(text)
    keyword = word[1].upper() if word else ""
    if keyword == "INSERT":
        guard.check(keyword, _beside_values(text), reads_only)
        return _insert(text) or _insert_input(text) or Other(text)
    guard.check(keyword, text, reads_only)
    # The rows travel as Native whatever the text says, as with a real server.
    text = _TRAILING_FORMAT.sub("", text)
    if keyword in _STREAMED:
        return Select(text)
    return ReadStatement(text) if keyword in _READING else Other(text)


def format_of(sql: str) -> str:
    """The format that a statement asks for at its end; empty if it asks for none."""
    found = _TRAILING_FORMAT.search(sql.rstrip("; \t\r\n"))
    return found[1] if found else ""


def _beside_values(text: str) -> str:
    """An INSERT without its word VALUES, which is a function elsewhere."""
    found = _INSERT.fullmatch(text)
    if found is None:
        return text
    columns, rest = _split_columns(found[2]) if found[2].startswith("(") else ("*", found[2])
    values = _VALUES.match(rest)
    return f"{found[1]} {columns} {values[1] or ''} {rest[values.end() :]}" if values else text


def _insert(text: str) -> Insert | None:
    found = _INSERT.fullmatch(text)
    if found is None:
        return None
    table, rest = found[1], found[2]
    columns, rest = _split_columns(rest) if rest.startswith("(") else ("*", rest)
    ending = _NO_DATA.fullmatch(rest.strip())
    return Insert(table, columns, ending[1] or "") if ending else None


def _insert_input(text: str) -> InsertInput | None:
    for found in _INPUT.finditer(text):
        if found[1]:
            # A client may write the format its rows come in, which is Native whatever it writes.
            columns = _ESCAPES.sub(lambda one: _CONTROL.get(one[1], one[1]) if one[1] else "'", found[1][1:-1])
            guard.check_text(columns)
            return InsertInput(text[: found.start()], columns, _TRAILING_FORMAT.sub("", text[found.end() :]))
    return None


def _split_columns(text: str) -> tuple[str, str]:
    """Split `(columns) rest` at the parenthesis that closes the first."""
    depth = 0
    for found in _QUOTED_OR_PARENTHESIS.finditer(text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            return text[1 : found.start()].strip(), text[found.end() :]
    return "*", text
