"""Where ClickHouse is, and the limits of talking to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MIN_RETENTION_DAYS: Final = 365
"""Records are kept one year at least (requirements A8 and B4)."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Config:
    """Raises ValueError, saying what to set, for what cannot work.

    `deadline_s` is how long a call tries before it gives up: longer than a server's restart, shorter than the broker's
    patience with a consumer that does not poll (5 minutes). `request_timeout_s` is for one answer; a call whose server
    hangs takes up to deadline and timeout together.
    """

    host: str = "127.0.0.1"
    port: int = 9000
    database: str = "emberline"
    user: str = "default"
    password: str = field(default="", repr=False)
    secure: bool = False
    """TLS. Certificates are checked always, by the authorities of the file `ca_certs` or those of the system."""
    ca_certs: str | None = None
    retention_days: int = 400
    """A year and a month to look back from its end [ours]."""
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 30.0
    deadline_s: float = 60.0

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.database):
            raise ValueError(f"ClickHouse database {self.database!r}: use letters, digits and _, at most 64 characters")
        if self.retention_days < MIN_RETENTION_DAYS:
            raise ValueError(
                f"ClickHouse retention_days is {self.retention_days}; records must be kept one year at least, "
                f"set it to {MIN_RETENTION_DAYS} or more"
            )
        if min(self.connect_timeout_s, self.request_timeout_s, self.deadline_s) <= 0:
            raise ValueError("ClickHouse timeouts and the deadline must be above 0 seconds")

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"
