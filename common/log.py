"""Logging of a process: plain lines on standard error; an operator's error is its sentence, not a traceback."""

from __future__ import annotations

import logging
import sys
from typing import Final

from common.errors import OperatorError

_QUIET = (
    *("aiokafka", "faust", "mode", "streams.worker", "streams.transport", "aiohttp", "asyncio", "clickhouse_driver"),
    *("alembic", "sqlalchemy"),
)
"""At DEBUG they speak freely."""


_SPARSE_S: Final = 10.0
"""A client whose broker is away says so ten times a second; once in a while is enough."""


class _Sparse(logging.Filter):
    """Lets a library's complaint through only if its last one was a while ago."""

    def __init__(self) -> None:
        super().__init__()
        self._last = -_SPARSE_S
        self._unsaid = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("aiokafka"):
            return True
        if record.created - self._last < _SPARSE_S:
            self._unsaid += 1
            return False
        if self._unsaid:
            record.msg, record.args = f"{record.getMessage()} (and {self._unsaid} complaints more)", ()
        self._last, self._unsaid = record.created, 0
        return True


def readable(text: str | bytes, keep: str = "") -> str:
    """The text with all that is not printable, or no UTF-8, as escapes; the characters of `keep` are let through.

    Names of devices and gateways come from anybody, and a terminal obeys what it is sent.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode()


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.msg, record.args = readable(record.getMessage()), ()
        error = record.exc_info[1] if record.exc_info else None
        # Faust logs a crash, and all that it brings with it, with tracebacks. What crashed the worker is said once, by
        # the command line, with its traceback if it is not for the operator.
        chatter = isinstance(error, OperatorError) or record.name.startswith(_QUIET)
        if chatter and not logging.getLogger().isEnabledFor(logging.DEBUG):
            record.exc_info, record.exc_text = None, None
        return super().format(record)


def set_up_logging(level: str, libraries: int = logging.CRITICAL) -> None:
    """Log to standard error at `level`; the libraries from `libraries` up.

    A worker wants to hear them from ERROR up; a command that ends with its own sentence does not.
    """
    handler = logging.StreamHandler(sys.stderr)
    if level != "DEBUG":
        handler.addFilter(_Sparse())
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    if level == "DEBUG":
        # It would write out every request, and with those of a login the password or the token.
        logging.getLogger("aiokafka.conn").setLevel(logging.INFO)
    else:
        for name in _QUIET:
            logging.getLogger(name).setLevel(libraries)
