"""The keys under which workers sign control records, and the file that holds them.

The file has one key a line, `ID HEX`: an id of 1 to 32 letters, digits, `-` or `_`, and at least 32 bytes in
hexadecimal digits. What follows a `#` is a comment. The first key signs; all verify. So a new key is first added below
the others on every worker, then moved to the top, and the old one is taken out once telemetry no longer has records of
it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Final, Self

KEY_BYTES_LEAST: Final = 32
"""As many as HMAC-SHA256 gives: shorter keys are weaker than their MAC (RFC 2104, section 3)."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SCHEME: Final = b"emberline control record 1"
"""What is signed begins so: a MAC of anything else under the same key is none of a control record."""


class ControlKeys:
    """Keys by their ids. They are shown by their ids alone."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys
        self.first = next(iter(keys), "")
        """The id of the key that signs; empty where there is none."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Read the file. Raises ValueError with a sentence that says what to do and shows no key."""
        keys: dict[str, bytes] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 2:
                raise ValueError(f"line {number} is not `ID HEX`; write an id, a space and a key in hexadecimal digits")
            key_id, digits = words
            if not _ID.fullmatch(key_id):
                raise ValueError(f"line {number}: an id has 1 to 32 letters, digits, - or _; give the key another id")
            try:
                key = bytes.fromhex(digits)
            except ValueError:
                raise ValueError(
                    f"line {number}: the key is not in hexadecimal digits; make one with `openssl rand -hex 32`"
                ) from None
            if len(key) < KEY_BYTES_LEAST:
                raise ValueError(
                    f"line {number}: the key has {len(key)} bytes and needs {KEY_BYTES_LEAST}; make one with "
                    "`openssl rand -hex 32`"
                )
            if key_id in keys:
                raise ValueError(f"line {number}: its id stands above already; give each key an id of its own")
            keys[key_id] = key
        if not keys:
            raise ValueError("it holds no key; write a line `ID HEX`, with a key by `openssl rand -hex 32`")
        return cls(keys)

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return f"ControlKeys({', '.join(self._keys)})"

    def mac(self, key_id: str, parts: Sequence[bytes]) -> bytes:
        """The MAC of the parts, HMAC-SHA256. Each part stands behind its length, so no two lists of parts are signed
        alike."""
        told = b"".join(len(part).to_bytes(8, "big") + part for part in (_SCHEME, *parts))
        return hmac.digest(self._keys[key_id], told, "sha256")

    def verify(self, key_id: str, mac: bytes, parts: Sequence[bytes]) -> bool:
        """Whether it is their MAC under the key of this id."""
        return key_id in self and hmac.compare_digest(self.mac(key_id, parts), mac)


NO_KEYS: Final = ControlKeys({})
"""Of who takes no orders."""
