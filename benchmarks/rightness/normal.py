"""A month of normal life with wild samples: how often somebody is called for nothing.

Lives of some hundred devices, every one in a process of its own, together as many devices as are asked for. An alarm
counts once, as bad as it ever was told; a provisional that is withdrawn, or that nothing came after, is none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

from benchmarks.rightness.living import live
from benchmarks.rightness.told import Line, clock
from fleet.life import Life, LifeConfig
from schemas.events import Alarm, Severity
from streams.garbage import collect_seldom

URGENT_MOST, WARNING_MOST, PROVISIONAL_MOST, OF_A_DEVICE_MOST = 0.01, 0.1, 1.5, 2
"""A device-month, and alarms of one device (the issue)."""
TOLD_A_DAY_MOST: Final = 6
"""Recovered and reactivated of an alarm within any 24 h (domain.md, Life of an alarm)."""
LIFE_DEVICES: Final = 500
WORKERS: Final = 2
_DAY_MS: Final = 86_400_000
_MONTH_DAYS: Final = 30


@dataclass(slots=True)
class Calls:
    """What was told of some devices over some days: `worst` by alarm, and how it began; events by their names."""

    device_months: float = 0.0
    reports: int = 0
    worst: dict[str, int] = field(default_factory=dict)
    began: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By alarm its device, and a line that says how it began."""
    events: Counter[str] = field(default_factory=Counter)
    seesaw: list[str] = field(default_factory=list)
    """Alarms with more recoveries and reactivations in 24 h than are told."""

    def __add__(self, other: Calls) -> Calls:
        return Calls(
            self.device_months + other.device_months,
            self.reports + other.reports,
            self.worst | other.worst,
            self.began | other.began,
            self.events + other.events,
            self.seesaw + other.seesaw,
        )


def run(seed: int, devices: int, days: float, interval_s: float, say: Callable[[str], None]) -> list[Line]:
    """So many devices for so many days, each reporting at that interval."""
    lives = max(round(devices / LIFE_DEVICES), 1)
    configs = [config_of(seed, number, devices // lives, days, interval_s) for number in range(lives)]
    if lives == 1:
        return _lines(_calls(configs[0]), interval_s)
    found = Calls()
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        for done, calls in enumerate(pool.map(_calls, configs), 1):
            found += calls
            say(f"  each {interval_s:g} s: {done} of {lives} lives, {found.reports:,} reports")
    return _lines(found, interval_s)


def config_of(seed: int, number: int, devices: int, days: float, interval_s: float) -> LifeConfig:
    """One of the lives of a seed: four of five devices are monitors."""
    piles = devices // 5
    return LifeConfig(
        seed=1_000 * seed + number, monitors=devices - piles, piles=piles, days=days, intervals_s=(interval_s,)
    )


def _calls(config: LifeConfig) -> Calls:
    collect_seldom()  # as a worker does
    life = Life(config)
    found = Calls(device_months=config.devices * config.days / _MONTH_DAYS)
    turns: dict[str, list[int]] = defaultdict(list)
    for told in live(life, lambda _: None):
        found.reports += len(told.block)
        for alarm in told.alarms:
            _count(found, alarm, life)
            if alarm.event in ("recovered", "reactivated"):
                turns[alarm.alarm_id].append(alarm.ingest_ts)
    found.seesaw = [f"{found.began[alarm][1]}: {len(at)} turns" for alarm, at in turns.items() if _too_often(at)]
    return found


def _count(found: Calls, alarm: Alarm, life: Life) -> None:
    found.events[alarm.event] += 1
    if alarm.event not in ("provisional", "withdrawn"):
        found.worst[alarm.alarm_id] = max(found.worst.get(alarm.alarm_id, 0), alarm.severity)
        if alarm.alarm_id not in found.began:
            found.began[alarm.alarm_id] = alarm.device_id, began(alarm, life)


def began(alarm: Alarm, life: Life) -> str:
    """How an alarm began, for whoever looks into it: the device, its clock, and the values around the moment."""
    around = life.around(alarm.device_id, alarm.ingest_ts, alarm.quantity, alarm.component)
    values = ", ".join(f"{value:g}" for _, value in around)
    how = " 补报" * alarm.late + " by arrival" * alarm.by_arrival
    base = "" if alarm.baseline is None else f" over {alarm.baseline:.1f}"
    return (
        f"life {life.config.seed} {alarm.device_id} ({life.about(alarm.device_id, alarm.ingest_ts)}) "
        f"{alarm.kind}[{alarm.component}] {alarm.event} {alarm.severity_label}{how} "
        f"{clock(alarm.ingest_ts)}, value {alarm.value:g}{base}, limit {alarm.limit:g}"
        + (f"; made around {clock(around[0][0])}: {values}" if around else f"; {alarm.message}")
    )


def _too_often(at: Sequence[int]) -> bool:
    return any(later - first < _DAY_MS for first, later in zip(at, at[TOLD_A_DAY_MOST:], strict=False))


def _lines(calls: Calls, interval_s: float) -> list[Line]:
    of = f"each {interval_s:g} s"
    lines = [
        _rate(calls, f"紧急 a device-month, {of}", URGENT_MOST, _of(calls, Severity.ALARM)),
        _rate(calls, f"警告 a device-month, {of}", WARNING_MOST, _of(calls, Severity.WARNING, Severity.NOTICE)),
    ]
    by_device = Counter(device for device, _ in calls.began.values())
    most = by_device.most_common(1)[0][1] if by_device else 0
    many = [f"{device}: {count} alarms" for device, count in by_device.most_common() if count > OF_A_DEVICE_MOST]
    lines.append(_line(calls, f"most alarms of one device, {of}", f"<= {OF_A_DEVICE_MOST}", str(most), many))
    provisional = calls.events["provisional"] / calls.device_months
    over = ["too many"] if provisional > PROVISIONAL_MOST else []
    told = f"{provisional:.3f}"
    lines.append(_line(calls, f"provisionals a device-month, {of}", f"<= {PROVISIONAL_MOST}", told, over))
    seesaw = str(len(calls.seesaw))
    what = f"alarms with over {TOLD_A_DAY_MOST} recovered and reactivated in 24 h, {of}"
    lines.append(_line(calls, what, "0", seesaw, calls.seesaw))
    return lines


def _of(calls: Calls, *severities: Severity) -> list[str]:
    return [calls.began[alarm][1] for alarm, worst in calls.worst.items() if worst in severities]


def _rate(calls: Calls, what: str, most: float, alarms: Sequence[str]) -> Line:
    rate = len(alarms) / calls.device_months
    line = _line(calls, what, f"<= {most}", f"{rate:.4f} ({len(alarms)})", alarms if rate > most else ())
    line.failures = list(alarms)
    return line


def _line(calls: Calls, what: str, target: str, measured: str, wrong: Iterable[str]) -> Line:
    line = Line("normal", what, target, measured=measured)
    for failure in wrong:
        line.check(False, failure)
    line.checked = calls.reports
    return line
