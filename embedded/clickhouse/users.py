"""Who may connect: emberline's own user, and one for people, who may only read."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from embedded.clickhouse.errors import AUTHENTICATION_FAILED, ServerError

READER = "reader"
"""The name of the user for people."""


@dataclass(frozen=True)
class User:
    """Someone who may connect."""

    name: str
    password: str = field(repr=False)
    reads_only: bool = False


@dataclass(frozen=True)
class Users:
    """All that may connect."""

    all: tuple[User, ...]

    def admit(self, name: str, password: str) -> User:
        """Return the user of this name and password, or raise `ServerError`."""
        for user in self.all:
            if hmac.compare_digest(user.password.encode(), password.encode()) and user.name == name:
                return user
        raise ServerError(
            AUTHENTICATION_FAILED,
            f"{name}: Authentication failed: password is incorrect, or there is no user "
            "with such name. (AUTHENTICATION_FAILED)",
        )
