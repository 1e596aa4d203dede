"""Control records: what workers themselves append to a partition of telemetry, so that its log alone decides.

A control record has the header `emberline.control`, whose value is its kind, the key `*/KIND` and no value. A `time`
record says only that time has passed, by its arrival at the broker. It needs no proof of who sent it: a stranger says
no more by it than by any other record.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from schemas.records import Headers, Records

CONTROL: Final = "emberline.control"
"""The header that marks a control record; its value is the kind."""
TIME: Final = b"time"
TIME_KEY: Final = b"*/time"
TIME_HEADERS: Final[Headers] = ((CONTROL, TIME),)


def is_control(value: bytes | None, headers: Headers) -> bool:
    """Whether a record is a control record of a kind that is known; any other record is judged as reports are."""
    return not value and (CONTROL, TIME) in headers


def without_control(records: Records) -> Records:
    """The records that are no control records."""
    # A control record has no value, and hardly any other record has none.
    if all(records.values):
        return records
    kept = np.array([not is_control(*one) for one in zip(records.values, records.headers, strict=True)], np.bool_)
    return records if kept.all() else records.only(kept)
