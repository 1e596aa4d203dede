"""What commands print, and the one place where it is made safe to look at.

Device ids, messages and rejected bytes come from anybody. As they are they could move the cursor, change colours and
titles, forge a line, or turn the order of what is read (bidirectional controls).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import click
import orjson

from common.log import readable

Say = Callable[[str], None]
"""Tells a person one line."""


def say(line: str, *, err: bool = False, keep: str = "") -> None:
    """Print one line for a person."""
    click.echo(readable(line, keep), err=err)


def say_json(value: Any) -> None:
    """Print one line of JSON; what is not printable is escaped as JSON escapes it, so it stays the same value."""
    line = orjson.dumps(value).decode()
    click.echo("".join(one if one.isprintable() else _escaped_in_json(one) for one in line))


def _escaped_in_json(one: str) -> str:
    units = one.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


class Labelled(Protocol):
    """A code for which users see a word."""

    @property
    def label(self) -> str: ...


def label_of(codes: Callable[[str], Labelled], code: str) -> str:
    """The word for a code of these; one that this release does not know is told as it is."""
    try:
        return codes(code).label
    except ValueError:
        return code


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of cells, one below the other, as lines of a table."""
    widths = [max(map(_width, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(padded, row, widths)).rstrip()


def padded(text: str, width: int) -> str:
    """A cell of a width in columns of a terminal."""
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """How many columns of a terminal it takes: a letter of Chinese takes two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
