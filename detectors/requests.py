"""What devices are asked for because of what was found about them or ordered: `schemas.device_requests`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from schemas.alarm_kinds import WHOLE
from schemas.commands import Command
from schemas.device_requests import EXPIRES_MS, DeviceRequest, RequestKind, request_id
from schemas.events import VERSION, Alarm, AlarmEvent

ASKED_BY: Final = "emberline"


def read_backs(alarms: Sequence[Alarm]) -> list[DeviceRequest]:
    """One read-back for each report that has told of live values as provisional. `alarms` are in the order of their
    positions.

    A report asks once, however many values it tells of. So a device is asked once within the time of a request, but
    where it reports again meanwhile: then the first is answered. Of what is told late its next values are on their way.
    """
    told = [one for one in alarms if one.event == AlarmEvent.PROVISIONAL and not one.late]
    return [_read_back(index, list(of_report)) for (_, index), of_report in groupby(told, _report)]


def cut_off(command: Command, device_kind: str, offset: int, number: int, ingest_ts: int) -> DeviceRequest:
    """What a device is asked for by the order of this number of the control record at an offset, which came then."""
    return DeviceRequest(
        v=VERSION,
        request_id=request_id(RequestKind.CUT_OFF, f"{command.device_id}\n{ingest_ts}\n{offset}\n{number}"),
        kind=RequestKind.CUT_OFF,
        device_id=command.device_id,
        device_kind=device_kind,
        test=command.test,
        quantity="",
        component=WHOLE if command.component is None else command.component,
        alarm_id="",
        by=command.by,
        why=command.why,
        ingest_ts=ingest_ts,
        expires_ts=ingest_ts + EXPIRES_MS,
        source_offset=offset,
        source_ordinal=number,
    )


def _report(alarm: Alarm) -> tuple[int, int]:
    """The report that an alarm event follows from: offset, and index in its record."""
    return alarm.source_offset, alarm.source_ordinal >> 16


def _read_back(index: int, told: Sequence[Alarm]) -> DeviceRequest:
    first, places = told[0], {(one.quantity, one.component) for one in told}
    quantity, component = places.pop() if len(places) == 1 else ("", WHOLE)
    return DeviceRequest(
        v=VERSION,
        request_id=request_id(RequestKind.READ_BACK, first.alarm_id),
        kind=RequestKind.READ_BACK,
        device_id=first.device_id,
        device_kind=first.device_kind,
        test=first.test,
        quantity=quantity,
        component=component,
        alarm_id=first.alarm_id,
        by=ASKED_BY,
        why=first.message,
        ingest_ts=first.ingest_ts,
        expires_ts=first.ingest_ts + EXPIRES_MS,
        source_offset=first.source_offset,
        source_ordinal=index,
    )
