"""Requests over ClickHouse's HTTP interface, as any client would make them."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from embedded.processes import Running


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


def ask(
    server: Running,
    sql: str,
    user: str = "default",
    password: str = "",
    method: str = "GET",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request; `sql` goes in the URL if there is any."""
    given = {**(parameters or {}), **({"query": sql} if sql else {})}
    who = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
    connection = http.client.HTTPConnection(server.host, server.http_port)
    try:
        connection.request(method, "/?" + urlencode(given), body, {**who, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read())
    finally:
        connection.close()
