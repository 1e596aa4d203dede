"""What the registry's records do to a partition: an entry of a device, and the limits of many devices."""

from __future__ import annotations

from typing import Final

import msgspec

from detectors.limits import LimitTable, check_sections
from detectors.registered import KnownDevice
from detectors.state import PartitionState
from schemas.limit_sections import LimitsError
from schemas.registry import DeviceEntry, LimitsEntry

NO_ROOM: Final = "本分区登记的设备太多，或其登记内容太大，无法再登记；请增加分区"


class _NamesDevice(msgspec.Struct):
    """By what the two are told apart."""

    device_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def read_change(body: str) -> DeviceEntry | LimitsEntry:
    """What a record of the registry says. Raises ValueError."""
    try:
        names_device = msgspec.json.decode(body, type=_NamesDevice).device_id is not msgspec.UNSET
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return (DeviceEntry if names_device else LimitsEntry).from_json(body.encode())


def change(entry: DeviceEntry | LimitsEntry, state: PartitionState, limits: LimitTable) -> str:
    """Have what an entry says from now on. Why it is refused, empty where it is not: then nothing is changed."""
    try:
        check_sections(limits, _sections(entry))
    except LimitsError as error:
        return f"限值无效：{error.chinese}"
    if isinstance(entry, LimitsEntry):
        state.set_limits(entry)
    elif not state.register(entry.device_id, None if entry.removed else KnownDevice.of(entry)):
        return NO_ROOM
    return ""


def _sections(entry: DeviceEntry | LimitsEntry) -> list[dict[str, dict[str, object]]]:
    if isinstance(entry, DeviceEntry):
        return [entry.limits, *(one.limits for one in entry.components)]
    scopes = (entry.kinds, entry.place_kinds, entry.models, entry.units)
    return [entry.default, *(section for scope in scopes for section in scope.values())]
