"""Logging of a process: plain lines on standard error; an operator's error is its sentence, not a traceback."""

from __future__ import annotations

import logging
import sys

from streams.errors import OperatorError

_QUIET = ("aiokafka", "faust", "mode", "streams.worker", "streams.transport", "aiohttp", "asyncio", "clickhouse_driver")
"""At DEBUG they speak freely."""


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OperatorError):
            # Faust logs every crash with its traceback; the sentence follows once, from the command line.
            record.exc_info, record.exc_text = None, None
        return super().format(record)


def set_up_logging(level: str, libraries: int = logging.CRITICAL) -> None:
    """Log to standard error at `level`; the libraries from `libraries` up.

    A worker wants to hear them from ERROR up; a command that ends with its own sentence does not.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    if level != "DEBUG":
        for name in _QUIET:
            logging.getLogger(name).setLevel(libraries)
