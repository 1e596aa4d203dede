"""What is registered, as the slow twin knows it. See `detectors.twin`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from detectors.limits import LimitTable, check_sections
from detectors.registered import KnownDevice, Registered
from detectors.twin.devices import Device
from schemas.limit_sections import LimitsError
from schemas.quantities import KIND_CODES
from schemas.registry import DeviceEntry, LimitsEntry


class TwinRegistry:
    """By the id of a device what is registered of it, and the limits that are in force."""

    def __init__(self, limits: LimitTable) -> None:
        self.base = self.limits = limits
        self.known: dict[str, KnownDevice] = {}
        self.room = Registered()

    def take(self, entry: DeviceEntry | LimitsEntry, devices: Iterable[Device]) -> str:
        """Have what an entry says. Why it is refused, if it is."""
        sections = [entry.limits, *(one.limits for one in entry.components)] if isinstance(entry, DeviceEntry) else []
        if isinstance(entry, LimitsEntry):
            sections = [entry.default]
            for scope in (entry.kinds, entry.place_kinds, entry.models, entry.units):
                sections += scope.values()
        try:
            check_sections(self.base, sections)
        except LimitsError as error:
            return f"限值无效：{error.chinese}"
        if isinstance(entry, LimitsEntry):
            self.limits = self.base.over(entry)
            return ""
        if entry.removed:
            self.known.pop(entry.device_id, None)
            self.room.drop(entry.device_id)
        elif self.room.put(KnownDevice.of(entry)):
            self.known[entry.device_id] = KnownDevice.of(entry)
        else:
            return "本分区登记的设备太多，或其登记内容太大，无法再登记；请增加分区"
        for device in devices:
            if device.device_id == entry.device_id:
                self.tell(device)
        return ""

    def tell(self, device: Device) -> None:
        """Let a device have what is registered of it."""
        known = self.known.get(device.device_id)
        device.registered_interval_ms = known.interval_s * 1000 if known else 0
        device.registered_kind = KIND_CODES.get(known.kind) if known else None

    def profile(self, device: Device, quantity: str, component: int) -> int:
        """By which limits a component is judged."""
        known = self.known.get(device.device_id)
        return self.limits.profile(device.device_id, device.kind, known, (quantity, component))


def read_entry(body: str) -> DeviceEntry | LimitsEntry:
    """What a record of the registry says: one that names a device is its entry."""
    try:
        told = msgspec.json.decode(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if isinstance(told, dict) and "device_id" not in told:
        return LimitsEntry.from_json(body.encode())
    return DeviceEntry.from_json(body.encode())
