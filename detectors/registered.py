"""What is registered of the devices of one partition, as detection needs it: of a million devices in little room.

Devices lie in `PAGES` pages, by a hash of their ids. A page is kept as the bytes that its checkpoint record has: packed
and compressed, for names of units and kinds repeat. It is unpacked when something of it is asked, which is seldom: when
a device is first heard, when an alarm of it is told, and when its entry changes.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypedDict

import msgspec
import numpy as np
from msgspec import Struct

from schemas.registry import DeviceEntry, LimitSections, LimitsEntry

PAGES: Final = 1024
"""Of a partition with a hundred thousand devices each holds a hundred: unpacked in 0.3 ms, 29 bytes a device
[measured]."""
PAGE_DEVICES_MOST: Final = 1_000
"""A million devices of a partition: all of the largest city in one [ours]."""
PAGE_BYTES_MOST: Final = 900_000
"""A page is one record of the checkpoints topic, which takes a mebibyte (`schemas.topics`)."""
PAGE: Final = b"registered/"
LIMITS: Final = b"limits"
"""How the keys of pages begin among the checkpoints of a partition, and the key of the limits of many devices."""
_FORM: Final = b"1"
_OPEN_MOST: Final = 8
"""Pages that are kept unpacked: alarms of one unit come together, and pages of a full partition take a megabyte."""


class KnownComponent(Struct, frozen=True, array_like=True):
    """One component, `number` from 0: what it measures, of which circuit and phase, and limits of its own."""

    quantity: str
    number: int
    role: str = ""
    circuit: int = 0
    phase: str = ""
    limits: LimitSections = {}


class KnownDevice(Struct, frozen=True, array_like=True):
    """One device as it is registered; what is not known is empty or 0. Fields may only be appended: pages of other
    releases are read by their order. `place` is where it is, in words."""

    device_id: str
    kind: str = ""
    unit_id: str = ""
    unit_name: str = ""
    place: str = ""
    area: str = ""
    place_kind: str = ""
    model: str = ""
    interval_s: int = 0
    nominal_voltage_v: float = 0.0
    rated_current_a: float = 0.0
    phases: int = 0
    components: tuple[KnownComponent, ...] = ()
    limits: LimitSections = {}
    cut_off_allowed: bool = False

    @classmethod
    def of(cls, entry: DeviceEntry) -> KnownDevice:
        """As an entry of the registry tells it."""
        return cls(
            device_id=entry.device_id,
            kind=entry.kind,
            unit_id=entry.unit_id,
            unit_name=entry.unit_name,
            place=entry.name or entry.address,
            area=entry.area,
            place_kind=entry.place_kind,
            model=entry.model,
            interval_s=entry.interval_s,
            nominal_voltage_v=entry.nominal_voltage_v,
            rated_current_a=entry.rated_current_a,
            phases=entry.phases,
            components=tuple(
                KnownComponent(one.quantity, one.number, one.role, one.circuit, one.phase, one.limits)
                for one in entry.components
            ),
            limits=entry.limits,
            cut_off_allowed=entry.cut_off_allowed,
        )

    def limits_of(self, quantity: str, number: int) -> LimitSections:
        """The limits of one component."""
        for one in self.components:
            if (one.quantity, one.number) == (quantity, number):
                return one.limits
        return {}


class _DeviceId(Struct, frozen=True, array_like=True):
    """Of a `KnownDevice` its id alone: a quarter of the time that all of it takes [measured]."""

    device_id: str


_Page = dict[str, KnownDevice]


class Registered:
    """See the module. `limits` are those of many devices, None where nothing is told of them."""

    def __init__(self) -> None:
        self.limits: LimitsEntry | None = None
        self._pages = [b""] * PAGES
        self._open: dict[int, _Page] = {}
        self._hashes = np.zeros(0, np.uint32)
        self._changed: set[int] = set()
        self._limits_changed = False

    def find(self, device_ids: Sequence[str]) -> list[KnownDevice | None]:
        """What is registered of each device."""
        hashes = _hashes(device_ids)
        found: list[KnownDevice | None] = [None] * len(device_ids)
        by_page = defaultdict[int, list[int]](list)
        for number in self._may_know(hashes).nonzero()[0].tolist():
            by_page[int(hashes[number]) % PAGES].append(number)
        for page, numbers in by_page.items():
            held = self._opened(page)
            for number in numbers:
                found[number] = held.get(device_ids[number])
        return found

    def get(self, device_id: str) -> KnownDevice | None:
        """What is registered of one device."""
        return self.find([device_id])[0]

    def put(self, device: KnownDevice) -> bool:
        """Know this of a device, in the place of what was known. False where there is no room for it, and all is as it
        was."""
        (one,) = _hashes([device.device_id])
        number = int(one) % PAGES
        page = {**self._opened(number), device.device_id: device}
        if len(page) > PAGE_DEVICES_MOST or len(value := packed(page)) > PAGE_BYTES_MOST:
            return False
        self._keep(number, page, value)
        at = int(np.searchsorted(self._hashes, one))
        if at == len(self._hashes) or self._hashes[at] != one:
            self._hashes = np.insert(self._hashes, at, one)
        return True

    def drop(self, device_id: str) -> None:
        """Know nothing of a device any more."""
        page = int(_hashes([device_id])[0]) % PAGES
        held = self._opened(page)
        if device_id in held:
            left = {name: one for name, one in held.items() if name != device_id}
            self._keep(page, left, packed(left) if left else b"")

    def set_limits(self, limits: LimitsEntry) -> None:
        """Have these limits of many devices."""
        self.limits, self._limits_changed = limits, True

    def changed(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The records of the checkpoint that say something else since this was asked last, key and value."""
        for page in sorted(self._changed):
            yield PAGE + b"%d" % page, self._pages[page] or None
        if self._limits_changed and self.limits is not None:
            yield LIMITS, self.limits.to_json()
        self._changed, self._limits_changed = set(), False

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Know what the records of a checkpoint say. Raises ValueError where one cannot be read."""
        hashes = []
        for key, value in records.items():
            if key == LIMITS:
                self.limits = LimitsEntry.from_json(value)
            elif key.startswith(PAGE):
                number = int(key.removeprefix(PAGE))
                if not 0 <= number < PAGES:
                    raise ValueError(f"there is no page {number} of registered devices")
                self._pages[number] = value
                hashes.append(_hashes([one.device_id for one in _ID_DECODER.decode(_plain(value))]))
        if hashes:
            self._hashes = np.unique(np.concatenate(hashes))

    def _may_know(self, hashes: np.ndarray) -> np.ndarray:
        """Of which hashes there may be a device, bool[n]: so that nothing is unpacked for ids that nobody has."""
        at = np.searchsorted(self._hashes, hashes)
        found = np.zeros(len(hashes), np.bool_)
        within = at < len(self._hashes)
        found[within] = self._hashes[at[within]] == hashes[within]
        return found

    def _opened(self, page: int) -> _Page:
        held = self._open.pop(page, None)
        if held is None:
            held = _unpacked(self._pages[page])
            while len(self._open) >= _OPEN_MOST:
                del self._open[next(iter(self._open))]
        self._open[page] = held
        return held

    def _keep(self, number: int, page: _Page, value: bytes) -> None:
        self._pages[number], self._open[number] = value, page
        self._changed.add(number)


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[KnownDevice])
_ID_DECODER: Final = msgspec.msgpack.Decoder(list[_DeviceId])


def packed(page: Mapping[str, KnownDevice]) -> bytes:
    """A page as it is kept, its devices in the order of their ids."""
    return _FORM + zlib.compress(_ENCODER.encode([page[name] for name in sorted(page)]))


def _unpacked(page: bytes) -> _Page:
    return {one.device_id: one for one in _DECODER.decode(_plain(page))} if page else {}


def _plain(page: bytes) -> bytes:
    """What is packed in a page."""
    if page[:1] != _FORM:
        raise ValueError("a page of registered devices is of a form that this release does not know")
    return zlib.decompress(page[1:])


def _hashes(device_ids: Sequence[str]) -> np.ndarray:
    """uint32[n]."""
    return np.fromiter((zlib.crc32(one.encode()) for one in device_ids), np.uint32, len(device_ids))


class Whereabouts(TypedDict):
    """The fields of an event that say where its device is."""

    unit_id: str
    unit_name: str
    place: str
    area: str


def whereabouts(known: KnownDevice | None) -> Whereabouts:
    """Where a device is, as far as that is registered."""
    one = known or KnownDevice("")
    return {"unit_id": one.unit_id, "unit_name": one.unit_name, "place": one.place, "area": one.area}
