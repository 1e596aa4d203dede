"""Which devices are taken together: slices, so that a city fits into bounded memory.

What devices of an area have in common is the weather (`early_warning.facts`), so an area is not divided, unless it has
so many devices that a part of them shows the weather as surely; then by units. A device that is not registered has no
neighbours. A slice is what its number comes to, and means nothing by itself; where a device belongs to another one by
now, its state is taken along (`cli.hourly.learned`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from zlib import crc32

SLICES: Final = 64
"""2000 devices each of a city's 130,000, some 100 MB while they are judged; 16,000 of a million [ours]."""
AREA_MOST: Final = 2_000
"""Devices of an area that are kept together [ours]: the middle of so many is sure to a fiftieth of their spread."""


class RegisteredPlace(NamedTuple):
    """Where a device is registered: the code of its area, and its unit; empty for not known."""

    area: str
    unit_id: str


def sliced(devices: Iterable[str], places: Mapping[str, RegisteredPlace]) -> dict[int, Sequence[str]]:
    """The devices of each slice that has any, in the order of their ids."""
    parts = {area: _parts(count) for area, count in Counter(place.area for place in places.values()).items()}
    found = defaultdict[int, list[str]](list)
    for device in sorted(devices):
        found[_number(_neighbourhood(device, places.get(device), parts)) % SLICES].append(device)
    return dict(found)


def _neighbourhood(device: str, place: RegisteredPlace | None, parts: Mapping[str, int]) -> str:
    if place is None or not (place.area or place.unit_id):
        return f"device {device}"
    if not place.area:
        return f"unit {place.unit_id}"
    return f"area {place.area} {_number(place.unit_id) % parts[place.area]}"


def _parts(count: int) -> int:
    """A power of two, so that an area that grows is halved, and half of it stays where it is."""
    return 1 << max(0, (count - 1) // AREA_MOST).bit_length()


def _number(name: str) -> int:
    return crc32(name.encode())
