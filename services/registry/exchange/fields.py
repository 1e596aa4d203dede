"""What a cell of an imported file may hold: from text to a value, or to a problem with its remedy, in Chinese."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from services.registry.codes import PROVINCES

Read = Callable[[str], Any]
"""Reads the text of a cell that is not empty. Raises CellError."""

ID_MOST: Final = 64
"""As long as a device's id in a report may be (`schemas.report_rules`)."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_SCIENTIFIC: Final = re.compile(r"\d(\.\d+)?E\+\d+")
"""A long number as spreadsheets show it: its last digits are lost."""
_MASKED: Final = re.compile(r"[\d-]*\*+[\d-]*")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}")
FORMULA: Final = tuple("=@+-")
"""How text begins that spreadsheets run. Exported as CSV it has an apostrophe before it, which is taken off again."""
_BLANKS: Final = string.whitespace + "\u3000\u00a0\ufeff\u200b"
_PHONE: Final = re.compile(r"(1[3-9]\d{9})|(0\d{2,3}-?[2-9]\d{6,7}(-\d{1,6})?)|([48]00-?\d{3}-?\d{4})|(\d{3,6})")
_DATES: Final = (
    *(re.compile(rf"(\d{{4}}){mark}(\d{{1,2}}){mark}(\d{{1,2}})") for mark in ("-", "/", r"\.")),
    re.compile(r"(\d{4})(\d{2})(\d{2})"),
    re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日"),
)
_TIME: Final = re.compile(r"[ T]\d{1,2}:[\d:.]+$")
_EARLIEST: Final = date(1980, 1, 1)
_LATEST: Final = date(2100, 1, 1)
_EXCEL_ERRORS: Final = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!"})


class CellError(Exception):
    """What is wrong with the text of a cell, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}；{remedy}")
        self.what = what
        self.remedy = remedy


def cleaned(text: str) -> str:
    """The text of a cell less blanks around it, which people do not see. Raises CellError for what no field holds."""
    text = text.strip(_BLANKS)
    if text.startswith("'") and text[1:].startswith(FORMULA):
        text = text[1:]
    if text in _EXCEL_ERRORS:
        raise CellError("是表格公式的错误值", "请在表格中修正公式，或改填实际内容")
    text = text.replace("\u3000", " ").replace("\u00a0", " ")
    if any(not one.isprintable() for one in text):
        raise CellError("含有换行或看不见的字符", "请删除这些字符；CSV 文件请核对引号")
    return text


def text_of(most: int) -> Read:
    """Any text of so many characters at most."""

    def read(text: str) -> str:
        if len(text) > most:
            raise CellError(f"有{len(text)}个字，超过{most}个", f"请缩短到{most}个字以内")
        if _SCIENTIFIC.fullmatch(text):
            raise CellError("是科学计数法，后几位已丢失", "请在表格中把该列设为文本格式后重新填写")
        return text

    return read


def identity(text: str) -> str:
    """An id, as devices and other systems write it."""
    if _SCIENTIFIC.fullmatch(text):
        raise CellError("是科学计数法，编号的后几位已丢失", "请在表格中把该列设为文本格式后重新填写完整编号")
    if len(text) > ID_MOST:
        raise CellError(f"有{len(text)}个字符，超过{ID_MOST}个", "请使用较短的编号")
    if text.startswith("*"):
        raise CellError("以“*”开头，系统保留这样的编号", "请改用其他编号")
    if any(one.isspace() for one in text):
        raise CellError("含有空格", "请删除编号中的空格")
    return text


def word_of(labels: Mapping[str, str]) -> Read:
    """A word of a code table, by its label or its code."""
    codes = {label: code for code, label in labels.items()} | {code: code for code in labels}

    def read(text: str) -> str:
        if text not in codes:
            raise CellError("不在可选范围内", f"请填：{'、'.join(labels.values())}")
        return codes[text]

    return read


def number_of(low: float, high: float, unit: str = "") -> Read:
    """A number within bounds."""

    def read(text: str) -> float:
        plain = text.removesuffix(unit) if unit else text
        if not _NUMBER.fullmatch(plain.strip()):
            raise CellError("不是数字", f"请只填数字，单位为{unit}" if unit else "请只填数字")
        value = float(plain)
        if not (math.isfinite(value) and low <= value <= high):
            raise CellError("超出范围", f"请填{low:g}到{high:g}之间的数")
        return value

    return read


def whole_of(low: int, high: int) -> Read:
    """A whole number within bounds."""

    def read(text: str) -> int:
        # A spreadsheet has no whole numbers: it writes 3 as 3.0.
        plain = text.removesuffix(".0")
        if not _WHOLE.fullmatch(plain):
            raise CellError("不是整数", "请填整数")
        value = int(plain)
        if not low <= value <= high:
            raise CellError("超出范围", f"请填{low}到{high}之间的整数")
        return value

    return read


def one_of(*values: int) -> Read:
    """One of some whole numbers."""
    read_whole = whole_of(-(10**9), 10**9)

    def read(text: str) -> int:
        value: int = read_whole(text)
        if value not in values:
            raise CellError("不在可选范围内", f"请填：{'、'.join(map(str, values))}")
        return value

    return read


def day(text: str) -> date:
    """A date. Raises CellError for one that no device of this system can have."""
    found = _day(_TIME.sub("", text))
    if found is None:
        raise CellError("不是日期", "请按“2026-03-01”的格式填写")
    if not _EARLIEST <= found <= _LATEST:
        raise CellError("年份不合理", "请填1980年到2100年之间的日期")
    return found


def _day(text: str) -> date | None:
    for form in _DATES:
        if match := form.fullmatch(text):
            try:
                return date(*map(int, match.groups()))
            except ValueError:
                return None
    return None


def yes_or_no(text: str) -> bool:
    """Whether something is so."""
    if text not in ("是", "否"):
        raise CellError("不是“是”或“否”", "请填：是、否")
    return text == "是"


def area(text: str) -> str:
    """A code of an area: six digits of GB/T 2260 down to the county, nine with the town, twelve with the community."""
    text = text.removesuffix(".0")
    if _SCIENTIFIC.fullmatch(text):
        raise CellError("是科学计数法，代码的后几位已丢失", "请在表格中把该列设为文本格式后重新填写")
    if not text.isdecimal() or not text.isascii() or len(text) not in (6, 9, 12):
        raise CellError("不是6位、9位或12位数字", "请填行政区划代码：县（区）6位，街道（乡镇）9位，社区（村）12位")
    if text[:2] not in PROVINCES:
        raise CellError(f"前两位“{text[:2]}”不是省级代码", "请核对行政区划代码（GB/T 2260）")
    return text


def phone(text: str) -> str:
    """A telephone number of China: mobile, landline with its area code, 400 and 800, and short ones."""
    text = text.removesuffix(".0").replace(" ", "").removeprefix("+86")
    if _MASKED.fullmatch(text):
        raise CellError("是隐去中间几位的号码", "请填完整号码；不改电话时请删除这一列")
    if not _PHONE.fullmatch(text):
        raise CellError("不是电话号码", "请填11位手机号，或带区号的座机号，如0598-8222222")
    return text


def masked(number: str | None) -> str | None:
    """A telephone number for those who need not call it."""
    if not number:
        return number
    if len(number) < 7:
        return "*" * len(number)
    return number[:3] + "*" * (len(number) - 7) + number[-4:] if len(number) > 7 else number[:1] + "***" + number[-3:]
