"""The rules by which events follow from reports: the limits, and this program. Others may find other events."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

import detectors
import schemas
from detectors.limits import LimitTable

_PACKAGES: Final = (detectors, schemas)


def rules_of(limits: LimitTable) -> str:
    """What names the rules, 32 hexadecimal digits: the same for the same limits and program, and for no others.

    Of the program it is the text of all that decides: a release that only says the same thing otherwise counts as
    another, which costs one look at the output topics. To tell by hand what changes nothing would be forgotten once.
    """
    return blake2b(_program() + limits.digest, digest_size=16).hexdigest()


@cache
def _program() -> bytes:
    folders = [Path(package.__file__ or "").parent for package in _PACKAGES]
    texts = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".toml"))
    told = blake2b(digest_size=16)
    for path in texts:
        told.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return told.digest()
