"""What early warning says: notices (提示), on `emberline.notices`.

A notice is known by its rule, its subject and its hour: whoever has seen its id has seen it. A run that is repeated
says the same, so consumers skip ids that they know."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final

from msgspec import Meta, field

from schemas.events import Severity, StreamEvent, Ts
from schemas.quantities import MAX_COMPONENTS

NOTICE_VERSION: Final = 1
EVIDENCE_MOST: Final = 16
"""Numbers that one notice may bring [ours]."""


class Notice(StreamEvent, frozen=True):
    """One thing that a rule has to say of one component, from the hour that began at `hour_ts` and has closed.

    `excess` is how far the component is from its normal, in mA or K. `evidence` are the numbers of `message`, by names
    that end with their unit; `message` and `advice` are for people, in Chinese. Unit, place and area are as they are
    registered.
    """

    notice_id: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    rule: Annotated[str, Meta(min_length=1, max_length=64)]
    rule_label: str
    device_id: Annotated[str, Meta(min_length=1, max_length=64)]
    quantity: str
    component: Annotated[int, Meta(ge=0, le=MAX_COMPONENTS - 1)]
    hour_ts: Ts
    excess: float
    message: str
    advice: str
    evidence: Annotated[dict[str, float], Meta(max_length=EVIDENCE_MOST)] = field(default_factory=dict)
    severity: Annotated[int, Meta(ge=0, le=2)] = int(Severity.NOTICE)
    severity_label: str = Severity.NOTICE.label
    device_kind: str = ""
    unit_id: str = ""
    unit_name: str = ""
    place: str = ""
    area: str = ""


def notice_id(rule: str, device_id: str, quantity: str, component: int, hour_ts: int) -> str:
    """The id of a notice, 32 hexadecimal digits of rule, subject and hour, so that a repeat is recognisable."""
    about = f"{rule}\n{device_id}\n{quantity}\n{component}\n{hour_ts}"
    return blake2b(about.encode(), digest_size=16).hexdigest()
