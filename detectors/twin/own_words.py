"""Alarms by the device's own word, as the slow twin knows them. See `detectors.twin`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from detectors.messages import named, own_message
from detectors.registered import KnownDevice
from schemas.alarm_kinds import WHOLE, AlarmKind
from schemas.events import VERSION, Alarm, AlarmEvent, Severity, alarm_id

DAY_MS = 86_400_000


@dataclass
class OwnWord:
    """The alarm of one kind that a device says itself."""

    episode: int
    onset_ts: int
    active: bool = True
    told_active: bool = True
    quiet_since: int = 0
    recovered_ts: int = 0
    untold: int = 0
    repeats: list[int] = field(default_factory=list)

    def comes(self, newest: bool, ingest_ts: int) -> Iterator[AlarmEvent]:
        """A report says it once more."""
        if newest:
            self.quiet_since = 0
        if self.active or not newest:
            return
        self.active = True
        if self.told_active:
            self.untold += 1
            return
        self.told_active = True
        self.repeats = [*self.repeats, ingest_ts][-5:]
        yield AlarmEvent.REACTIVATED

    def stays_away(self, ingest_ts: int) -> Iterator[AlarmEvent]:
        """The newest report does not say it."""
        if self.active:
            self.quiet_since = self.quiet_since or ingest_ts
            if ingest_ts - self.quiet_since < 30_000:
                return
            self.active, self.recovered_ts, self.quiet_since = False, self.quiet_since, 0
            self.untold += 1
        if self.told_active and (len(self.repeats) < 5 or ingest_ts - self.repeats[0] >= DAY_MS):
            self.told_active = False
            self.untold -= 1
            self.repeats = [*self.repeats, ingest_ts][-5:]
            yield AlarmEvent.RECOVERED


def own_event(
    kind: AlarmKind,
    event: AlarmEvent,
    one: OwnWord,
    device: Any,
    known: KnownDevice | None,
    *,
    word: str,
    ts: int,
    ingest_ts: int,
    offset: int,
    index: int,
    turn: int = 0,
    by_arrival: bool = False,
    late: bool = False,
    by: str = "",
    why: str = "",
) -> Alarm:
    """An event of it."""
    severity = Severity.ALARM if event in (AlarmEvent.OPENED, AlarmEvent.REACTIVATED) else Severity.NOTICE
    return Alarm(
        v=VERSION,
        alarm_id=alarm_id(device.device_id, WHOLE, kind, one.episode, device.test),
        event=event,
        severity=severity,
        severity_label=severity.label,
        severity_highest=2,
        active=one.told_active and event in (AlarmEvent.OPENED, AlarmEvent.REACTIVATED),
        repeats_untold=one.untold,
        unit_id=known.unit_id if known else "",
        unit_name=known.unit_name if known else "",
        place=known.place if known else "",
        area=known.area if known else "",
        maintenance=ingest_ts < device.maintained_until_ts,
        kind=kind,
        device_id=device.device_id,
        device_kind=device.kind_name,
        quantity=kind.quantity,
        component=WHOLE,
        episode=one.episode,
        event_ts=one.recovered_ts if event is AlarmEvent.RECOVERED else ts,
        onset_ts=one.onset_ts,
        ingest_ts=ingest_ts,
        detected_ts=0,
        by_arrival=by_arrival,
        late=late,
        value=0.0,
        limit=0.0,
        peak=0.0,
        baseline=None,
        limit_from=f"设备自报：{word}" if word else "设备自报",
        test=device.test,
        message=own_message(kind, event, severity, named(device.device_id, known), word, device.test, late, by, why),
        source_offset=offset,
        source_ordinal=index * 65_536 + 255 * 256 + list(AlarmKind).index(kind) * 4 + turn,
        by=by,
        why=why,
    )
