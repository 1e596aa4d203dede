"""What all records have that the registry's database publishes (`schemas.topics.PUBLISHED`)."""

from __future__ import annotations

from typing import ClassVar, Final, Self

import msgspec
from msgspec import Struct

MAX_TEXT: Final = 500
"""Letters of a reason or a comment: a few sentences [ours]."""
MAX_NAME: Final = 64
"""Letters of a person's name or account, as of a contact in the registry [ours]."""


class PublishedRecord(Struct, frozen=True, omit_defaults=True):
    """A version, and JSON in and out. `READS` is the version that this program reads."""

    v: int
    READS: ClassVar[int]

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, value: bytes | None) -> Self:
        """Read a record back; fields that it does not know are left out. Raises ValueError, and says what is wrong."""
        if value is None:
            raise ValueError("it has no value")
        try:
            found = msgspec.json.decode(value, type=cls)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if found.v != cls.READS:
            raise ValueError(f"version {found.v}; this program reads version {cls.READS}")
        return found
