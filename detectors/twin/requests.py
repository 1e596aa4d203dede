"""What devices are asked for, by its rules as they are written down: the twin of `detectors.requests`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from detectors.twin.devices import Device, TwinReport
from schemas.device_requests import DeviceRequest, request_id
from schemas.events import VERSION, Alarm


def read_back(device: Device, report: TwinReport, alarms: Iterable[Alarm]) -> Iterator[DeviceRequest]:
    """The request that follows from a report which came to these alarm events, if any does."""
    told = [one for one in alarms if one.event == "provisional" and not one.late]
    if not told:
        return
    first = min(told, key=lambda one: one.source_ordinal)
    is_one = all((one.quantity, one.component) == (first.quantity, first.component) for one in told)
    yield DeviceRequest(
        v=VERSION,
        request_id=request_id("read_back", first.alarm_id),
        kind="read_back",
        device_id=device.device_id,
        device_kind=device.kind_name,
        test=device.test,
        quantity=first.quantity if is_one else "",
        component=first.component if is_one else 255,
        alarm_id=first.alarm_id,
        by="emberline",
        why=first.message,
        ingest_ts=report.ingest_ts,
        expires_ts=report.ingest_ts + 120_000,
        source_offset=report.offset,
        source_ordinal=report.index,
    )
