"""Words by which devices say that they alarm themselves (`own_words.toml`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from schemas.alarm_kinds import AlarmKind

_SHIPPED: Final = Path(__file__).with_name("own_words.toml")
_NO_ALARM: Final = "no_alarm"
"""The line of words that are none though they end so."""
_BETWEEN: Final = re.compile(r"[^a-z0-9]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def kinds_said(words: Iterable[str]) -> dict[AlarmKind, str]:
    """The kinds of alarm that a device's words say, each with the first word that says so, in the order of kinds."""
    found: dict[AlarmKind, str] = {}
    for word in words:
        kind = _kind_of(_plain(word)) or _kind_of(_plain(_CAMEL.sub("_", word)))
        if kind is not None:
            found.setdefault(kind, word)
    return {kind: found[kind] for kind in AlarmKind if kind in found}


def _plain(word: str) -> str:
    return _BETWEEN.sub("_", word.lower()).strip("_")


def _kind_of(plain: str) -> AlarmKind | None:
    return _table().get(plain, AlarmKind.DEVICE_ALARM if plain.endswith("_alarm") else None)


@cache
def _table() -> dict[str, AlarmKind | None]:
    told = tomllib.loads(_SHIPPED.read_text(encoding="utf-8"))
    own: dict[str, AlarmKind | None] = {f"{kind}_alarm": kind for kind in AlarmKind}
    return own | {
        word: None if line == _NO_ALARM else AlarmKind(line) for line, words in told.items() for word in words
    }
