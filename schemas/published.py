"""What all records have that the registry's database publishes (`schemas.topics.PUBLISHED`)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec
from msgspec import Struct


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
