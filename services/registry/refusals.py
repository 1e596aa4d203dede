"""Why what somebody wants to do is refused, and the bounds of what they may write. Sentences are for people: Chinese,
with a remedy."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from common.errors import OperatorError
from schemas.published import MAX_NAME, MAX_TEXT

_LINES: Final = "\n\t"


class RefusedError(OperatorError):
    """It is not done; the text says why and what to do, in Chinese: `reasons`, one for each thing that is wrong."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("；".join(reasons))
        self.reasons: Sequence[str] = reasons


def name_of(text: str, label: str) -> str:
    """A person's name or account as it is kept. Raises RefusedError."""
    if "\n" in text.strip():
        raise RefusedError(f"{label}只能是一行；请去掉换行")
    return _bounded(text, label, MAX_NAME, needed=True)


def words_of(text: str, label: str, needed: bool) -> str:
    """What somebody says, as it is kept. Raises RefusedError."""
    return _bounded(text, label, MAX_TEXT, needed)


def _bounded(text: str, label: str, most: int, needed: bool) -> str:
    text = text.strip()
    if needed and not text:
        raise RefusedError(f"没有填写{label}；请填写")
    if len(text) > most:
        raise RefusedError(f"{label}有{len(text)}个字，最多{most}个；请缩短")
    # Neither database nor JSON takes all of them.
    if any(unicodedata.category(one) in ("Cc", "Cs") and one not in _LINES for one in text):
        raise RefusedError(f"{label}含有不能保存的控制字符；请重新输入")
    return text
