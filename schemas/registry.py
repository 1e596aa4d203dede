"""What the registry tells of a device, on `emberline.registry`: one record a device, keyed by its id, compacted.

A later record of a device takes the place of an earlier one. There are no tombstones, which whoever was away for longer
than they live would never see: a device that is no more has `removed`.

A record carries in its headers which source it is from, that source's epoch and its number. A change is known by these:
numbers rise within an epoch, and need not be consecutive; the epoch rises when the source's database is made or
restored. Another system may fill the topic instead, if it does the same.

Beside the devices' entries each partition has one record under the key `*/limits`: the limits of all devices, of kinds
of device, of kinds of place, of models and of units (`LimitsEntry`). Those of one device are in its own entry.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple, Self

from msgspec import Meta, Struct, field

from schemas.published import PublishedRecord
from schemas.quantities import MAX_COMPONENTS
from schemas.records import Headers

VERSION: Final = 1
SOURCE: Final = "emberline.source"
EPOCH: Final = "emberline.epoch"
NUMBER: Final = "emberline.number"

LIMITS_KEY: Final = b"*/limits"
LIMITS_BYTES_MOST: Final = 131_072
"""Of the record under it: as text within the JSON of a control record, which holds twice that, it still fits [ours]."""

_Text = Annotated[str, Meta(max_length=255)]
_Id = Annotated[str, Meta(min_length=1, max_length=64)]


LimitSections = dict[str, dict[str, Any]]
"""By kind of alarm, what differs of its limits: what a section of `schemas/limits.toml` may have. A level is
`{"value": ..., "from": ..., "by": ..., "since_ts": ...}`: how much, from which document, set by whom and since when,
epoch ms; `{}` switches it off."""


class ComponentEntry(Struct, frozen=True, omit_defaults=True):
    """One component: `number` counts from 0, as in reports. `role` is what it measures: circuit, cable, ambient."""

    quantity: Annotated[str, Meta(max_length=64)]
    number: Annotated[int, Meta(ge=0, le=MAX_COMPONENTS - 1)]
    id: str = ""
    name: _Text = ""
    role: str = ""
    circuit: Annotated[int, Meta(ge=0, le=1_000)] = 0
    phase: str = ""
    limits: LimitSections = {}


class UnitProtectors(Struct, frozen=True, omit_defaults=True):
    """The residual-current protectors of a unit, of households (户保) and mains (总保): how many there are to be, are
    installed and in operation (requirement C8); None for not known."""

    household_due: int | None = None
    household_installed: int | None = None
    household_operating: int | None = None
    main_due: int | None = None
    main_installed: int | None = None
    main_operating: int | None = None


class DeviceEntry(PublishedRecord, frozen=True, omit_defaults=True):
    """What is to be known of one device. What is not known is empty, and 0 for a number.

    `kind`, `nominal_voltage_v` (V), `rated_current_a` (A), `phases`, `interval_s` (s) and whether people may order that
    it is cut off (`schemas.commands.CUT_OFF_KINDS`) are what detection needs; the rest is for people and for
    statistics: `area` is a code of GB/T 2260 or of statistics (6, 9 or 12 digits), `place_kind` a code of
    `services.registry.codes`. `supply_area` (台区) and `protectors` are the unit's; `installed_on` is a date, ISO 8601.
    """

    READS = VERSION

    device_id: _Id
    kind: Annotated[str, Meta(max_length=64)] = ""
    removed: bool = False
    state: str = "in_use"
    name: _Text = ""
    model: _Text = ""
    unit_id: str = ""
    unit_name: _Text = ""
    organisation_id: str = ""
    organisation_name: _Text = ""
    area: Annotated[str, Meta(max_length=12)] = ""
    place_kind: str = ""
    address: _Text = ""
    nominal_voltage_v: Annotated[float, Meta(ge=0, le=1_000)] = 0.0
    rated_current_a: Annotated[float, Meta(ge=0, le=10_000)] = 0.0
    phases: Annotated[int, Meta(ge=0, le=3)] = 0
    interval_s: Annotated[int, Meta(ge=0, le=21_600)] = 0
    cut_off_allowed: bool = False
    components: Annotated[list[ComponentEntry], Meta(max_length=640)] = field(default_factory=list)
    limits: LimitSections = field(default_factory=dict)
    supply_area: Annotated[str, Meta(max_length=64)] = ""
    installed_on: Annotated[str, Meta(max_length=10)] = ""
    protectors: UnitProtectors = UnitProtectors()


class LimitsEntry(PublishedRecord, frozen=True, omit_defaults=True):
    """The limits that hold for more than one device, where they differ from the release's. What is more special goes
    over what is more general: `default`, then the kind of device, of place, the model, the unit; then those of the
    device's entry and of its component. The whole takes the place of the one before."""

    READS = VERSION

    default: LimitSections
    kinds: dict[str, LimitSections] = field(default_factory=dict)
    place_kinds: dict[str, LimitSections] = field(default_factory=dict)
    models: dict[str, LimitSections] = field(default_factory=dict)
    units: dict[str, LimitSections] = field(default_factory=dict)


class ChangeNumber(NamedTuple):
    """By which a change is known."""

    source: str
    epoch: int
    number: int

    def to_headers(self) -> list[tuple[str, bytes]]:
        """As a record carries it."""
        return [(SOURCE, self.source.encode()), (EPOCH, b"%d" % self.epoch), (NUMBER, b"%d" % self.number)]

    @classmethod
    def from_headers(cls, headers: Headers) -> Self:
        """Read it back. Raises ValueError where it is none."""
        held = dict(headers)
        try:
            source, epoch, number = (held[name] or b"" for name in (SOURCE, EPOCH, NUMBER))
            return cls(source.decode(), int(epoch), int(number))
        except (KeyError, ValueError) as error:
            raise ValueError("it does not say which change of which source it is") from error
