"""ClickHouse errors: their codes, and the one place that reads chDB's error text."""

from __future__ import annotations

import re

BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
UNKNOWN_TABLE = 60
SYNTAX_ERROR = 62
UNKNOWN_DATABASE = 81
UNKNOWN_SETTING = 115
READONLY = 164
TOO_MANY_CONNECTIONS = 202
MEMORY_LIMIT_EXCEEDED = 241
NOT_ENOUGH_SPACE = 243
QUERY_WAS_CANCELLED = 394
ACCESS_DENIED = 497
AUTHENTICATION_FAILED = 516
ABORTED = 236
UNKNOWN_EXCEPTION = 1002

# chDB repeats the prefix when it wraps an error of its own.
_CODED = re.compile(r"(?:Code: (\d+)\. DB::Exception: )+(.*)", re.DOTALL)


class ServerError(Exception):
    """An error the client is told about, as ClickHouse would."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Code: {code}. {message}")
        self.code = code
        self.message = message


class ProtocolError(Exception):
    """The peer sent something that is not the protocol; the connection cannot go on."""


class DisconnectedError(Exception):
    """The peer closed the connection."""


def is_the_end(error: Exception) -> bool:
    """Whether chDB has failed inside and takes no statement any more, of no client, until its process begins anew."""
    return isinstance(error, ServerError) and error.code == ABORTED and "fatal error" in error.message


def from_chdb(error: Exception) -> ServerError:
    """Return the ClickHouse error that an exception of chDB stands for."""
    found = _CODED.search(str(error))
    if found is None:
        return ServerError(UNKNOWN_EXCEPTION, str(error))
    return ServerError(int(found[1]), found[2].strip())
