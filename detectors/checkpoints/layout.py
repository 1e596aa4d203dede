"""Which bytes of a checkpoint row are which field, by names: the layout of this release, and those of others.

A layout is JSON in a record of the checkpoints topic. The record's key is `key_of` the layout's id, and the id is a
hash of the layout. So a damaged layout is noticed, and rows of several releases lie side by side. Two releases wrote no
such records; their layouts are files in `layouts/`, named by how their rows begin. Where there is a file, it is taken
and not the record: it may say by `instead` what a field is to be that the release did not have.

A name means one thing for ever: a field whose meaning changes gets another name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from detectors.aggregates import LAST, SPREAD
from detectors.channels import CHANNEL
from detectors.charging.ports import PORT
from detectors.kinds import DETECTORS
from detectors.latch import AT_REST, LATCH
from detectors.late import LATE
from detectors.state import PORTS, ROW, ROW_AXES
from schemas.quantities import DEVICE_KINDS, QUANTITIES

VERSION: Final = 4
"""Of the form of rows, `detectors.checkpoints`. 2 and 3 are of before layouts were records, and read all the same."""
WORDS_ONLY: Final = 2
"""The version at which only a device's own words were told of it."""
_ID_BYTES: Final = {2: 4, 3: 4, VERSION: 8}
CHARGING: Final = "charging"
"""What keeps something of ports, beside the detectors."""
LAYOUT: Final = b"layout/"
"""How the key of a layout's record begins."""
MOST_BYTES: Final = 65_536
"""A layout takes some 2 kB; one that takes more is none [ours]."""

Section = tuple[str, str | int]
"""A part of a row that has entries by component: ("channel", a quantity), ("keeps", the kind of a detector),
("last", 0 or 1) or ("spread", 0 or 1)."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FIELD: Final = re.compile(
    r"([a-z][a-z0-9_]{0,63}) ([<>]i[248]|[<>]u[248]|[<>]f[48]|\|[iu]1)(?: (\d{1,3}|quantities|watched))?"
)
_RECORDS: Final = ("row", "channel", "latch", "late", "last", "spread")
_NUMBERS: Final = ("offset", "heard_ts", "device_kind", "status", "test")
"""What is looked at of a row before it is known to be one."""
_SEVERITY: Final = "severity"


class LayoutError(ValueError):
    """A record that is no layout; the text says why."""


@dataclass(frozen=True)
class Keeper:
    """A detector of a release: what it looks for, in which quantity, and what it keeps of a component."""

    kind: str
    quantity: str
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Which bytes are which field.

    `records` has the fields of each kind of entry, each as `name dtype` or `name dtype size`, where a size may be
    `quantities` or `watched`: one of each of these, in their order. `instead` is, by kind of entry or detector and by
    field, a sum of fields that the release had and of numbers."""

    beginning: bytes
    quantities: tuple[str, ...]
    device_kinds: tuple[str, ...]
    detectors: tuple[Keeper, ...]
    records: Mapping[str, tuple[str, ...]]
    instead: Mapping[str, Mapping[str, Sequence[str | int]]] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """Of the form of rows."""
        return self.beginning[0]

    @cached_property
    def watched(self) -> tuple[str, ...]:
        """The quantities that detectors look at, in the order of their channels."""
        return tuple(dict.fromkeys(detector.quantity for detector in self.detectors))

    def dtype(self, fields: Iterable[str], *first: tuple[str, str]) -> np.dtype:
        """The dtype of entries that have these fields."""
        sizes = {"quantities": len(self.quantities), "watched": len(self.watched)}
        return np.dtype([*first, *(_described(one, sizes) for one in fields)])

    @cached_property
    def row(self) -> np.dtype:
        """A device's row."""
        return self.dtype(self.records["row"])

    @cached_property
    def engaged(self) -> np.dtype:
        """A latch that is not at rest, and whose."""
        return self.dtype(self.records["latch"], ("detector", "u1"), ("component", "u1"))

    @cached_property
    def late(self) -> np.dtype:
        """What is kept of the late values of a component, and whose."""
        return self.dtype(self.records["late"], ("quantity", "u1"), ("component", "u1"))

    @cached_property
    def head(self) -> np.dtype:
        """What every row has; `spread` is 1 for a minute of several reports."""
        late = [("late", "<u2")] if self.records["late"] else []
        told = [("row", self.row), ("minute_ts", "<i8", (2,)), ("spread", "u1", (2,)), ("latches", "<u2"), *late]
        return np.dtype([("beginning", f"V{len(self.beginning)}"), *told])

    @cached_property
    def sections(self) -> Mapping[Section, np.dtype]:
        """The parts of a row that have entries by component, in their order, and what an entry is."""
        channel = self.dtype(self.records["channel"])
        found: dict[Section, np.dtype] = {("channel", one): channel for one in self.watched if channel.names}
        found |= {("keeps", one.kind): self.dtype(one.keeps) for one in self.detectors if one.keeps}
        minutes = {name: self.dtype(self.records[name]) for name in ("last", "spread")}
        return found | {(name, bucket): dtype for name, dtype in minutes.items() for bucket in (0, 1) if dtype.names}

    @cached_property
    def quantity_of(self) -> Mapping[str, str]:
        """By the kind of a detector the quantity it looks at."""
        return {detector.kind: detector.quantity for detector in self.detectors}


def key_of(beginning: bytes) -> bytes:
    """The key of a layout's record on the topic."""
    return LAYOUT + beginning[1:].hex().encode()


def parsed(beginning: bytes, text: bytes) -> Layout:
    """The layout that JSON tells, of rows that begin so. Raises LayoutError where it is none."""
    try:
        told: Any = orjson.loads(text) if len(text) <= MOST_BYTES else None
        layout = Layout(
            beginning,
            tuple(told["quantities"]),
            tuple(told["device_kinds"]),
            tuple(Keeper(one["kind"], one["quantity"], tuple(one["keeps"])) for one in told["detectors"]),
            {name: tuple(told[name]) for name in _RECORDS},
        )
        _check(layout)
    except (ValueError, TypeError, KeyError) as error:
        raise LayoutError(f"layout {beginning[1:].hex()} cannot be read: {error}") from error
    return layout


def _check(layout: Layout) -> None:
    """Raises ValueError where a row by this layout could not be read at all, or whatever numpy raises."""
    kinds = [detector.kind for detector in layout.detectors]
    for names in (layout.quantities, layout.device_kinds, kinds):
        if not all(map(_NAME.fullmatch, names)) or len(set(names)) < len(names) or not 0 < len(names) < 256:
            raise ValueError("names of quantities, of kinds of device or of detectors are none, or there twice")
    if not set(layout.watched) <= set(layout.quantities):
        raise ValueError("a detector looks at a quantity that is none")
    row, latch = layout.row, layout.engaged
    shapes = {name: (len(getattr(layout, axis)),) for name, axis in ROW_AXES.items()} | dict.fromkeys(_NUMBERS, ())
    if not {"width", *_NUMBERS} <= set(row.names or ()) or row["width"].base != np.uint8:
        raise ValueError("its rows lack a field that every release has")
    if any(row[name].shape != shape for name, shape in shapes.items() if name in (row.names or ())):
        raise ValueError("a field of its rows has another shape than in any release")
    if any(row[name].kind not in "iu" for name in _NUMBERS) or latch[_SEVERITY].shape:
        raise ValueError("a field is of another type than in any release")
    # All of what is made of it when first asked for.
    _ = layout.head, layout.sections, layout.late


def _described(text: str, sizes: Mapping[str, int]) -> tuple[str, str, tuple[int, ...]]:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is no field")
    name, dtype, size = found.groups()
    return name, dtype, () if size is None else (sizes[size] if size in sizes else int(size),)


def fields_of(dtype: np.dtype, axes: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The fields of a dtype as a layout describes them, where `axes` says by what the entries of some fields go."""
    return tuple(
        " ".join([name, dtype[name].base.str, *((axes or {}).get(name, str(size)) for size in dtype[name].shape)])
        for name in dtype.names or ()
    )


def described(
    rows: np.dtype = ROW, channel: np.dtype = CHANNEL, latch: np.dtype = LATCH, late: np.dtype = LATE
) -> dict[str, Any]:
    """The layout of this release, to be told as JSON."""
    return {
        "quantities": [quantity.name for quantity in QUANTITIES],
        "device_kinds": [kind.name for kind in DEVICE_KINDS],
        "detectors": [
            {
                "kind": str(detector.kind),
                "quantity": detector.quantity,
                "keeps": fields_of(detector.state[[name for name in detector.state.names or () if name != AT_REST[0]]]),
            }
            for detector in DETECTORS
        ]
        # As if it were a detector, which releases that know no ports leave out.
        + [{"kind": CHARGING, "quantity": QUANTITIES[PORTS].name, "keeps": fields_of(PORT)}],
        "row": fields_of(rows, ROW_AXES),
        # Where in memory a component's late values lie means nothing to others.
        "channel": [one for one in fields_of(channel) if not one.startswith("late ")],
        "latch": fields_of(latch),
        "late": fields_of(late),
        "last": fields_of(LAST),
        "spread": fields_of(SPREAD),
    }


def beginning_of(text: bytes) -> bytes:
    """How the rows begin whose layout this is."""
    return bytes([VERSION]) + blake2b(text, digest_size=_ID_BYTES[VERSION]).digest()


def begins(value: bytes) -> bytes:
    """How a row begins: its version and the id of its layout; b"" where its version is none."""
    return value[: 1 + _ID_BYTES[value[0]]] if value and value[0] in _ID_BYTES else b""


def _files() -> Iterator[Layout]:
    for path in sorted((Path(__file__).parent / "layouts").glob("*.json")):
        version, _, layout = path.stem.partition("-")
        text = path.read_bytes()
        instead = orjson.loads(text).get("instead", {})
        yield replace(parsed(bytes([int(version)]) + bytes.fromhex(layout), text), instead=instead)


TEXT: Final = orjson.dumps(described())
"""The layout of this release, as its record on the topic has it."""
OWN: Final = parsed(beginning_of(TEXT), TEXT)
KNOWN: Final = {layout.beginning: layout for layout in (OWN, *_files())}
"""By how rows begin, the layouts that need no record."""
