"""What comes from outside cannot act on the terminal of who looks at it."""

from __future__ import annotations

import logging
import unicodedata

import orjson
import pytest

from cli.output import say, say_json
from common.log import readable, set_up_logging

ACTING = {
    "escape": "\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "C1": "\x9b31m",
    "carriage return": "\r",
    "newline": "\n",
    "backspace": "\x08",
    "bidi override": "\u202e",
    "bidi isolate": "\u2066",
    "zero width": "\u200b",
    "line separator": "\u2028",
    "lone surrogate": "\udc80",
}


@pytest.mark.parametrize("acting", ACTING.values(), ids=ACTING)
def test_no_control_reaches_the_terminal(acting: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"剩余电流{acting}超限")
    out = capsys.readouterr().out
    assert out.startswith("剩余电流\\")
    assert out.endswith("超限\n")
    assert not [one for one in out[:-1] if unicodedata.category(one).startswith(("C", "Z"))]


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    assert readable(b"ab\xff\n\xe7\x81\xab") == "ab\\xff\\n火"
    assert readable("a\tb\n\x1b", keep="\n\t") == "a\tb\n\\x1b"


def test_json_is_on_one_safe_line_and_stays_the_same_value(capsys: pytest.CaptureFixture[str]) -> None:
    value = {one: [f"火{one}", "\U000e0041", 1.5, None] for one in ACTING.values() if one != "\udc80"}
    say_json(value)
    out = capsys.readouterr().out
    assert orjson.loads(out) == value
    assert out[:-1].isprintable()


def test_a_log_line_is_one_line_whoever_named_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    set_up_logging("DEBUG")
    (handler,) = root.handlers
    name = "\x1b[2J\n2026-01-01 all is well"
    line = handler.format(logging.LogRecord("streams", logging.WARNING, "", 0, "of gateway %s", (name,), None))
    assert line.endswith("of gateway \\x1b[2J\\n2026-01-01 all is well")
    assert line.isprintable()
