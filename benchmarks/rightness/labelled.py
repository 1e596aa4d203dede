"""A fleet in which every kind of fault is planted, for a day: each must be told in time, and nothing without a cause.

What detection has no kind of alarm for yet is counted apart, by its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.rightness.living import live
from benchmarks.rightness.normal import began
from benchmarks.rightness.told import DeviceTold, Line, clock, summed
from fleet.life import Life, LifeConfig
from fleet.life.faults import LifeFault, MustTell
from schemas.alarm_kinds import AlarmKind
from schemas.events import Alarm, DeviceStatus, Severity
from streams.garbage import collect_seldom

DAY: Final = LifeConfig(
    monitors=2_900, piles=2_900, days=26 / 24, intervals_s=(*(60.0,) * 4, 300.0), faults_per_kind=20
)
"""A day, and two hours for what must be told within a day of its onset. A fifth of the devices report each 5 min, the
others each minute [ours]."""
FAST: Final = LifeConfig(monitors=100, piles=100, days=3 / 24, intervals_s=(1.0, 1.0, 5.0, 10.0), faults_per_kind=1)
"""Devices as fast as a report a second, for three hours: each second is a round of the core, however few there are."""


@dataclass(slots=True)
class Verdicts:
    """By what had to be told: how often, and what was missed. By severity: what was told without a cause."""

    told: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    missed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    false: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    reports: int = 0
    devices: int = 0


def run(configs: Iterable[LifeConfig], say: Callable[[str], None]) -> list[Line]:
    """Lives with faults, one after the other."""
    collect_seldom()  # as a worker does
    found = Verdicts()
    for config in configs:
        _live(config, found, say)
    return _lines(found)


def _live(config: LifeConfig, found: Verdicts, say: Callable[[str], None]) -> None:
    life = Life(config)
    by_device: dict[str, DeviceTold] = defaultdict(DeviceTold)
    at: dict[str, list[tuple[int, DeviceStatus]]] = defaultdict(list)
    found.devices += config.devices
    for told in live(life, say):
        found.reports += len(told.block)
        for alarm in told.alarms:
            by_device[alarm.device_id].alarms.append(alarm)
        for ts, status in told.statuses:
            at[status.device_id].append((ts, status))
    for fault in life.faults:
        for must, due_ts in fault.due:
            name = life.names[fault.device]
            _judge(found, fault, must, due_ts, by_device.get(name, DeviceTold()), at.get(name, ()), life)
    _find_false(found, life, by_device)


def _judge(
    found: Verdicts,
    fault: LifeFault,
    must: MustTell,
    due_ts: int,
    told: DeviceTold,
    statuses: Sequence[tuple[int, DeviceStatus]],
    life: Life,
) -> None:
    what = must.name if must.is_status else f"{must.name} {must.level.label}"
    found.told[what] += 1
    if must.is_status:
        named = [ts for ts, one in statuses if ts >= fault.onset_ts and _says(one, must.name)]
        first_ts = min(named, default=None)
    else:
        events = (one for one in told.of(must.name) if one.ingest_ts >= fault.onset_ts)
        first = next((one for one in events if one.severity >= must.level and one.event != "provisional"), None)
        first_ts = None if first is None else first.ingest_ts
    if first_ts is None or first_ts > due_ts:
        late = "never" if first_ts is None else f"{clock(first_ts)}, {(first_ts - due_ts) / 1_000:.0f} s late"
        states = [f"{clock(ts)} {one.status} {' '.join(one.faults)}".rstrip() for ts, one in statuses]
        found.missed[what].append(_missed(fault, late, due_ts, told, life) + f"; statuses: {'; '.join(states[:12])}")


def _says(status: DeviceStatus, name: str) -> bool:
    return status.status == name or any(fault == name or fault.startswith(name + ":") for fault in status.faults)


def _missed(fault: LifeFault, late: str, due_ts: int, told: DeviceTold, life: Life) -> str:
    name, interval_s = life.names[fault.device], life.interval_ms[fault.device] / 1_000
    values = ""
    for quantity in sorted(fault.quantities):
        around = life.around(name, fault.onset_ts, quantity, fault.component)
        values += f"; {quantity} {', '.join(f'{value:g}' for _, value in around)}"
    return (
        f"life {life.config.seed} {name} {fault.name} (each {interval_s:g} s) from {clock(fault.onset_ts)}{values}; "
        f"due {clock(due_ts)}, told {late}; all told: {summed(told.alarms)}"
    )


def _find_false(found: Verdicts, life: Life, by_device: Mapping[str, DeviceTold]) -> None:
    faults = {life.names[fault.device]: fault for fault in life.faults}
    worst: dict[str, Alarm] = {}
    for name, told in by_device.items():
        for alarm in told.alarms:
            if not _has_cause(alarm, faults.get(name)):
                before = worst.get(alarm.alarm_id)
                if before is None or alarm.severity > before.severity:
                    worst[alarm.alarm_id] = alarm
    for alarm in worst.values():
        sort = "provisional" if alarm.event in ("provisional", "withdrawn") else Severity(alarm.severity_highest).label
        found.false[sort].append(began(alarm, life))


def _has_cause(alarm: Alarm, fault: LifeFault | None) -> bool:
    """Whether what is planted shows in the alarm's quantity by then, or a word says it. A near miss causes nothing."""
    if fault is None or not fault.due or alarm.ingest_ts < fault.onset_ts:
        return False
    return alarm.quantity in fault.quantities or any(must.name == alarm.kind for must, _ in fault.due)


def _lines(found: Verdicts) -> list[Line]:
    kinds = set(AlarmKind)
    lines = []
    for what, count in sorted(found.told.items()):
        is_known = what.partition(" ")[0] in kinds or " " not in what
        missed = found.missed.get(what, [])
        line = Line("labelled", f"recall of {what}", "100 %, in time", count, len(missed), failures=missed)
        line.measured = f"{1 - len(missed) / count:.0%}" if is_known else "no such kind of alarm yet"
        line.counted_only = not is_known
        lines.append(line)
    for sort in ("紧急", "警告", "provisional"):
        false = found.false.get(sort, [])
        line = Line("labelled", f"{sort} without a planted cause", "0", found.devices, len(false), failures=false)
        line.counted_only = sort == "provisional"
        line.measured = f"{len(false)} of {found.devices:,} devices"
        lines.append(line)
    return lines
