"""What chDB's own rights leave open [found by trying chDB 26.9], refused by a statement's words before chDB sees it.

- The function `file(path)` reads any file, without a grant. It is called by its name, quoted or not, also as an
  argument of APPLY or of a higher function; so its name may not occur, in letters or in escapes.
- Some table functions read a string as columns with DEFAULT, and so call `file` by a string that is put together
  (`concat('fi', 'le(...)')`); or they read it as a query, or run programs, or reach into Python. None is needed.
- INTO OUTFILE and FROM INFILE are obeyed as if the client asked for its own files.
- Tables of engines that need no grant, such as EmbeddedRocksDB and FileLog, take a path.

The whole text is looked at, strings and comments too: so there is no place to hide in by being read otherwise than by
chDB. That a string with the word `file` is refused as well is the price.
"""

from __future__ import annotations

import re
from typing import Final

from embedded.clickhouse.errors import ACCESS_DENIED, READONLY, ServerError

_READING: Final = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "USE"})
_STATEMENTS: Final = _READING | {
    "CHECK",
    "INSERT",
    "CREATE",
    "REPLACE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "RENAME",
    "EXCHANGE",
    "OPTIMIZE",
    "KILL",
    "SET",
    "DELETE",
    "UPDATE",
}
_ENGINES: Final = re.compile(
    r"(Replacing|Summing|Aggregating|Collapsing|VersionedCollapsing|Coalescing)?MergeTree|(Tiny|Stripe)?Log|Memory|Null"
    r"|Set|Join|Buffer|Merge|MaterializedView|View|Atomic"
)
# Between a name and its parenthesis: what chDB takes for space, as which all beyond ASCII counts here, and comments.
_GAP: Final = r"(?:[\x00-\x20]|[^\x00-\x7f]|/\*.*?\*/|--[^\n]*\n|\#[^\n]*\n)*"
_ALIKE: Final = "(?<![A-Za-z0-9_$])(?:{})(?![A-Za-z0-9_$])"
_FILE: Final = re.compile(_ALIKE.format("file"))
_CLIENTS_FILE: Final = re.compile(_ALIKE.format("(?:in|out)file"), re.IGNORECASE)
_TEXT_AS_CODE: Final = re.compile(
    _ALIKE.format("format|values|null|eval|executable|python|generateRandom|viewExplain|fuzzQuery|fuzzJSON")
    + rf"[`\"”]?{_GAP}\(",
    re.IGNORECASE | re.DOTALL,
)
_SEVERAL: Final = re.compile(rf"\bPARALLEL{_GAP}WITH\b", re.IGNORECASE | re.DOTALL)
_ENGINE: Final = re.compile(rf"\bENGINE{_GAP}=?{_GAP}([`\"]?\w*)", re.IGNORECASE | re.DOTALL)
_ESCAPE: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")


def check(keyword: str, text: str, reads_only: bool) -> None:
    """Raise `ServerError` if a statement of this first word is not for this user, or reaches out of the tables."""
    if keyword not in _STATEMENTS:
        raise _denied(f"{keyword or 'such a statement'} is not for clients")
    if reads_only and keyword not in _READING:
        raise ServerError(READONLY, f"{keyword}: this user may only read. (READONLY)")
    check_text(text)
    if keyword in ("CREATE", "REPLACE"):
        for found in _ENGINE.finditer(text):
            if not _ENGINES.fullmatch(found[1].strip('`"')):
                raise _denied(f"the engine {found[1]} may reach beyond the tables")


def check_text(text: str) -> None:
    """Raise `ServerError` if any part of this text would reach files, programs or Python once chDB reads it."""
    for written in (text, _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)):
        if _FILE.search(written):
            raise _denied("the word file may not occur, in a string it may be put together: concat('fi', 'le')")
        if found := _CLIENTS_FILE.search(written):
            raise _denied(f"{found[0].upper()} is not supported, send or store the rows yourself")
        if found := _TEXT_AS_CODE.search(written):
            raise _denied(f"{found[0].rstrip('(').strip()}() is not supported")
        if _SEVERAL.search(written):
            raise _denied("PARALLEL WITH is not supported")


def _denied(what: str) -> ServerError:
    return ServerError(ACCESS_DENIED, f"The embedded ClickHouse keeps to its tables: {what}. (ACCESS_DENIED)")
