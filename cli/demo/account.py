"""The demo: the whole stack, a fleet whose truth is known, and an account of what came out at the far ends.

Everything is counted from outside: alarms are read back from their topic by a consumer of its own, rows are counted by
asking ClickHouse. Response is from the scheduled time of a report to its alarm being read back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np

from cli.demo.registry import DevicePlace, fill_registry, is_well_named, order_reset, places_of, until_applied
from cli.demo.topics import read_all
from cli.output import Say
from cli.send import Sender
from cli.simulate import SentReports, send_fleet
from cli.stack import Stack, running_stack
from common.errors import OperatorError
from common.log import readable
from common.settings import Settings
from common.times import now_ms
from fleet import Fleet, FleetConfig
from fleet.bad import CASES
from fleet.faults import KINDS
from schemas.alarm_kinds import AlarmKind
from schemas.events import Alarm, AlarmEvent
from schemas.topics import ALARMS, REJECTS, TELEMETRY
from sinks.clickhouse.service import Service
from streams.storage import config_of
from streams.topics import topic_ids

RISE_WINDOW_S: Final = 30
"""The demo judges rises of leakage within 30 s instead of half an hour, so that a minute can show one."""
RECOVER_S: Final = 5
"""And a recovery counts after 5 s instead of 30 to 60, so that a minute shows some, and one of them can be reset."""
RESPONSE_MOST_MS: Final = {"charging_pile": 5_000}
"""Requirement B3 for charging piles; everything else has RESPONSE_OTHER_MOST_MS, requirement A6."""
RESPONSE_OTHER_MOST_MS: Final = 20_000
BEGINS_IN_MS: Final = 2_000
"""Until the fleet's first report is due: by then who sends and who watches are connected, which is no response."""
SETTLE_S: Final = 60.0
"""How long the last reports may take into ClickHouse before they count as lost."""
RESET_S: Final = 20.0
"""How long a reset may take to be read back before it counts as lost: as long as an alarm may (requirement A6)."""
SAMPLED_DEVICES: Final = 20
SAMPLE_INTERVAL_S: Final = 0.25
"""Often enough to see a second well, seldom enough that asking is no load of its own."""
COUNT_INTERVAL_S: Final = 2.0
BAD_RECORDS: Final = 2 * len(CASES)
"""Two of each case."""
_RAISING: Final = (AlarmEvent.OPENED, AlarmEvent.CONFIRMED, AlarmEvent.ESCALATED)
"""By these an alarm is raised. A provisional is none until it is confirmed."""
_NO_ALARM: Final = (AlarmEvent.PROVISIONAL, AlarmEvent.WITHDRAWN)


@dataclass(slots=True)
class Account:
    """What a run came to. Times in milliseconds; `ok` is what the exit status says."""

    ok: bool = False
    devices: int = 0
    devices_registered: int = 0
    devices_reporting: int = 0
    devices_unregistered: int = 0
    """Of those that report."""
    devices_unregistered_expected: int = 0
    registry_ms: float = 0
    """From when everything else was ready until detection had applied all that is registered."""
    seconds: float = 0
    records_sent: int = 0
    reports_sent: int = 0
    reports_stored: int = 0
    reports_rejected: int = 0
    reports_lost: int = 0
    reports_duplicated: int = 0
    rate_per_second: float = 0
    alarms_expected: int = 0
    alarms_raised: int = 0
    alarms_missed: int = 0
    alarms_false: int = 0
    alarms_late: int = 0
    alarms_repeated: int = 0
    alarms_provisional: int = 0
    """Told by a first value, before they were alarms."""
    alarms_withdrawn: int = 0
    """Of those."""
    alarms_named: int = 0
    """Of devices that are registered, every event with the unit and place of its device."""
    alarms_misnamed: int = 0
    alarms_unregistered: int = 0
    """Of devices that are not registered."""
    reset_ms: float | None = None
    """From the order to the event; None where nothing was reset."""
    reset_lost: bool = False
    response_ms_p50: float = 0
    response_ms_p99: float = 0
    response_ms_p999: float = 0
    response_ms_max: float = 0
    from_ingest_ms_p50: float = 0
    from_ingest_ms_p99: float = 0
    from_ingest_ms_p999: float = 0
    from_ingest_ms_max: float = 0
    clickhouse_visible_ms_p50: float = 0
    clickhouse_visible_ms_p99: float = 0
    clickhouse_visible_ms_p999: float = 0
    clickhouse_visible_ms_max: float = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    unregistered: list[str] = field(default_factory=list)
    message: str = ""
    """Of one alarm."""
    kinds_not_planted: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The account as one JSON object."""
        return asdict(self)


@dataclass(slots=True)
class Live:
    """What is seen while the run goes on."""

    sent: SentReports = field(default_factory=SentReports)
    stored: int = 0
    lag: int = 0
    alarms: dict[tuple[str, int, str], int] = field(default_factory=dict)
    """Opened or confirmed, with the highest severity."""
    provisional: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """By the id that their alarms have."""
    messages: list[str] = field(default_factory=list)
    responses_ms: list[float] = field(default_factory=list)
    from_ingest_ms: list[float] = field(default_factory=list)
    late: int = 0
    repeated: int = 0
    told: set[tuple[str, str]] = field(default_factory=set)
    visible_ms: list[float] = field(default_factory=list)
    places: dict[str, DevicePlace] = field(default_factory=dict)
    """Of registered devices."""
    misnamed: set[tuple[str, int, str]] = field(default_factory=set)
    newest: dict[str, Alarm] = field(default_factory=dict)
    """The last event of each alarm."""
    seen_at: dict[str, float] = field(default_factory=dict)
    """When that was read back, by `time.monotonic`."""


Show = Callable[[Live], Awaitable[None]]
Meanwhile = Callable[[Stack], Awaitable[None]]


async def nothing_else(stack: Stack) -> None:
    """A quiet run."""


async def run_demo(
    settings: Settings,
    config: FleetConfig,
    say: Say,
    show: Show,
    kafka: int = 0,
    meanwhile: Meanwhile = nothing_else,
) -> Account:
    """Run the stack under the fleet for its seconds and account for everything. Raises OperatorError.

    `meanwhile` is what else happens to the stack, from the moment the fleet begins.
    """
    settings = replace(settings, limits_file=str(quick_limits(Path(settings.data_dir))))
    registry, began_ts = Fleet(config).registry, now_ms()
    fill = partial(fill_registry, registry=registry)
    async with running_stack(settings, say, any_port=True, kafka=kafka, fill_registry=fill) as stack:
        live = Live(places=places_of(registry))
        registry_ms = await _applied(stack, live, began_ts, say)
        ids = await topic_ids(stack.settings, [TELEMETRY.name, REJECTS.name])
        service = Service(config_of(stack.settings))
        fleet = Fleet(replace(config, start_ts=now_ms() + BEGINS_IN_MS))
        rows = _SampledRows(service, fleet, ids[TELEMETRY.name], live)
        watchers = [
            asyncio.create_task(_watch_alarms(stack.settings, live)),
            asyncio.create_task(rows.keep_looking()),
            asyncio.create_task(_count_rows(service, ids[TELEMETRY.name], live)),
            asyncio.create_task(_keep(show, live, stack.check)),
            asyncio.create_task(_then_wait(meanwhile(stack))),
        ]
        try:
            await _or_failure(_send_and_settle(stack.settings, fleet, service, ids, live), watchers)
            await rows.look()
            account = await asyncio.to_thread(_account, fleet, service, ids, live)
            account.registry_ms = registry_ms
            await _or_failure(_reset_one(stack.settings, live, account), watchers)
            return account
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            service.close()


async def _applied(stack: Stack, live: Live, began_ts: int, say: Say) -> float:
    """Wait until detection knows what is registered. How long that took, in ms."""
    began = time.monotonic()
    await until_applied(stack, set(live.places), began_ts)
    registry_ms = round((time.monotonic() - began) * 1_000, 1)
    units = len({place.unit_id for place in live.places.values()})
    say(f"registry            {len(live.places)} devices of {units} units, in detection after {registry_ms:.0f} ms")
    return registry_ms


async def _reset_one(settings: Settings, live: Live, account: Account) -> None:
    """Reset an alarm that has recovered, the worst one, and wait until that is read back."""
    recovered = [alarm for alarm in live.newest.values() if alarm.event == AlarmEvent.RECOVERED]
    if not recovered:
        return
    alarm = max(recovered, key=lambda one: (one.severity_highest, one.event_ts))
    began = await asyncio.to_thread(order_reset, settings, alarm)
    while time.monotonic() - began < RESET_S:
        if live.newest[alarm.alarm_id].event == AlarmEvent.RESET:
            account.reset_ms = round((live.seen_at[alarm.alarm_id] - began) * 1_000, 1)
            return
        await asyncio.sleep(0.01)
    account.ok, account.reset_lost = False, True


async def _then_wait(work: Awaitable[None]) -> None:
    await work
    await asyncio.Event().wait()


def quick_limits(folder: Path) -> Path:
    """The file of what differs in the demo, made in the folder. Raises OperatorError."""
    path = folder / "demo-limits.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(_quick_sections()), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}; set EMBERLINE_DATA_DIR") from error
    return path


def _quick_sections() -> Iterator[str]:
    for kind in AlarmKind:
        yield f"[default.{kind}]\nconfirm_recovery_s = {RECOVER_S}"
        if kind is AlarmKind.RESIDUAL_CURRENT_RISE:
            yield f"window_s = {RISE_WINDOW_S}"


async def _or_failure(work: Awaitable[None], watchers: list[asyncio.Task[None]]) -> None:
    """Do the work, but fail as soon as a watcher does."""
    working = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({working, *watchers}, return_when=asyncio.FIRST_COMPLETED)
    if working not in done:
        working.cancel()
    for task in done:
        task.result()


async def _send_and_settle(
    settings: Settings, fleet: Fleet, service: Service, ids: dict[str, UUID], live: Live
) -> None:
    async with Sender(settings) as sender:
        await send_fleet(fleet, sender, live.sent)
    # Both ends: at high rates either may be behind the other, and what comes last counts too.
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        stored, rejected, _ = await asyncio.to_thread(_counts, service, ids)
        live.stored = stored
        if stored + rejected >= live.sent.reports + live.sent.rejected and not _missed(fleet, live):
            return
        await asyncio.sleep(SAMPLE_INTERVAL_S)


async def _watch_alarms(settings: Settings, live: Live) -> None:
    async with aclosing(read_all(settings, ALARMS.name)) as values:
        async for value in values:
            note_alarm(Alarm.from_json(value), live)


def note_alarm(alarm: Alarm, live: Live) -> None:
    """Take down an event that was read back."""
    about = (alarm.device_id, alarm.component, alarm.kind)
    live.messages.append(readable(alarm.message))
    live.newest[alarm.alarm_id], live.seen_at[alarm.alarm_id] = alarm, time.monotonic()
    if not is_well_named(alarm, live.places):
        live.misnamed.add(about)
    if (alarm.alarm_id, alarm.event) in live.told:
        # Whoever takes over sends again what no checkpoint covers; who consumes alarms has known this one before.
        live.repeated += 1
    elif alarm.event == AlarmEvent.PROVISIONAL:
        live.provisional[alarm.alarm_id] = about
    elif alarm.event in _RAISING:
        live.told.add((alarm.alarm_id, alarm.event))
        live.alarms[about] = max(live.alarms.get(about, 0), alarm.severity)
        seen_ts = now_ms()
        response_ms = seen_ts - alarm.event_ts
        live.responses_ms.append(response_ms)
        live.from_ingest_ms.append(seen_ts - alarm.ingest_ts)
        live.late += response_ms > RESPONSE_MOST_MS.get(alarm.device_kind, RESPONSE_OTHER_MOST_MS)


class _SampledRows:
    """How long reports of some devices take until ClickHouse shows them, exact to the interval of asking."""

    def __init__(self, service: Service, fleet: Fleet, topic_id: UUID, live: Live) -> None:
        self._service, self._topic_id, self._live = service, topic_id, live
        devices = fleet.device_ids[:: max(1, len(fleet.device_ids) // SAMPLED_DEVICES)]
        # Of each by itself: a partition may be slower than the others, and its reports count too.
        self._seen_ts = dict.fromkeys(devices, fleet.config.start_ts)

    async def keep_looking(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(SAMPLE_INTERVAL_S)

    async def look(self) -> None:
        """Note what is visible now and was not before, but what its device handed in later."""
        rows = await asyncio.to_thread(
            self._service.query,
            "SELECT device_id, toUnixTimestamp64Milli(event_ts) AS ts FROM telemetry "
            "WHERE device_id IN %(devices)s AND event_ts > fromUnixTimestamp64Milli(%(seen)s) "
            "AND topic_id = %(topic_id)s AND event_ts <= ingest_ts AND ingest_ts < event_ts + INTERVAL 500 MILLISECOND "
            "ORDER BY ts",
            {
                "devices": list(self._seen_ts),
                "seen": min(self._seen_ts.values()),
                "topic_id": str(self._topic_id),
            },
        )
        asked_ts = now_ms()
        for device_id, ts in rows:
            if ts > self._seen_ts[device_id]:
                self._live.visible_ms.append(asked_ts - ts)
                self._seen_ts[device_id] = ts


async def _count_rows(service: Service, topic_id: UUID, live: Live) -> None:
    while True:
        rows = await asyncio.to_thread(
            service.query, "SELECT count() FROM telemetry WHERE topic_id = %(topic_id)s", {"topic_id": str(topic_id)}
        )
        live.stored = rows[0][0]
        live.lag = max(0, live.sent.reports - live.stored)
        await asyncio.sleep(COUNT_INTERVAL_S)


async def _keep(show: Show, live: Live, check: Callable[[], None]) -> None:
    while True:
        check()
        await show(live)
        await asyncio.sleep(0.5)


def _counts(service: Service, ids: dict[str, UUID]) -> tuple[int, int, int]:
    """Rows of reports, rows of rejects, and rows that are there more than once."""
    sql = (
        "SELECT count(), count() - uniqExact(topic, topic_id, partition, offset, index) FROM {} WHERE topic_id = %(id)s"
    )
    stored, twice = service.query(sql.format("telemetry"), {"id": str(ids[TELEMETRY.name])})[0]
    rejected, rejected_twice = service.query(sql.format("rejects"), {"id": str(ids[REJECTS.name])})[0]
    return stored, rejected, twice + rejected_twice


def _account(fleet: Fleet, service: Service, ids: dict[str, UUID], live: Live) -> Account:
    stored, rejected, twice = _counts(service, ids)
    expected, missed = _expected(fleet), _missed(fleet, live)
    false = _false(expected, live)
    sent = live.sent.reports + live.sent.rejected
    sending, reporting = {one.decode() for one in live.sent.device_ids}, _reporting(service, ids)
    named = [about for about in live.alarms if about[0] in live.places and about not in live.misnamed]
    account = Account(
        devices=fleet.config.devices,
        devices_registered=len(live.places),
        devices_reporting=len(reporting),
        devices_unregistered=len(reporting - live.places.keys()),
        devices_unregistered_expected=len(sending - live.places.keys()),
        seconds=fleet.config.seconds,
        records_sent=live.sent.records,
        reports_sent=sent,
        reports_stored=stored,
        reports_rejected=rejected,
        reports_lost=max(0, sent - (stored - twice) - rejected),
        reports_duplicated=twice,
        rate_per_second=round(sent / fleet.config.seconds, 1),
        alarms_expected=len(expected),
        alarms_raised=len(live.alarms),
        alarms_missed=len(missed),
        alarms_false=len(false),
        alarms_late=live.late,
        alarms_repeated=live.repeated,
        alarms_provisional=len(live.provisional),
        alarms_withdrawn=sum(alarm.event == AlarmEvent.WITHDRAWN for alarm in live.newest.values()),
        alarms_named=len(named),
        alarms_misnamed=len(live.misnamed),
        alarms_unregistered=sum(about[0] not in live.places for about in live.alarms),
        missed=[_told(about) for about in missed],
        false=[_told(about) for about in false],
        unregistered=sorted(reporting - live.places.keys()),
        message=shown_message(live),
        kinds_not_planted=kinds_not_planted(fleet),
    )
    _fill(account, "response_ms", live.responses_ms)
    _fill(account, "from_ingest_ms", live.from_ingest_ms)
    _fill(account, "clickhouse_visible_ms", live.visible_ms)
    account.ok = (
        stored + rejected == sent
        and not twice
        and not (account.alarms_missed or account.alarms_false or account.alarms_late)
        and not account.alarms_misnamed
        and reporting == sending
    )
    return account


def _reporting(service: Service, ids: dict[str, UUID]) -> set[str]:
    """The devices of which there are reports."""
    sql = "SELECT DISTINCT device_id FROM telemetry WHERE topic_id = %(id)s"
    return {row[0] for row in service.query(sql, {"id": str(ids[TELEMETRY.name])})}


def shown_message(live: Live) -> str:
    """What one alarm says: one of a registered device and of a person's concern, if there is such a one."""
    alarms = [one for one in live.newest.values() if one.event not in _NO_ALARM]
    found = sorted(alarms, key=lambda one: (one.device_id in live.places, one.severity_highest))
    return readable(found[-1].message) if found else ""


def _expected(fleet: Fleet) -> dict[tuple[str, int, str], int]:
    return {(alarm.device_id, alarm.component, str(alarm.kind)): int(alarm.severity) for alarm in fleet.expected}


def _missed(fleet: Fleet, live: Live) -> list[tuple[str, int, str]]:
    return [about for about, severity in _expected(fleet).items() if live.alarms.get(about, 0) < severity]


def _false(expected: dict[tuple[str, int, str], int], live: Live) -> list[tuple[str, int, str]]:
    """What is worse than it should be, and what was told as provisional where nothing should be."""
    worse = [about for about, severity in live.alarms.items() if severity > expected.get(about, 0)]
    return worse + [about for about in live.provisional.values() if about not in expected and about not in worse]


def _told(about: tuple[str, int, str]) -> str:
    device_id, component, kind = about
    return f"{device_id} component {component} {kind}"


def _fill(account: Account, name: str, values: list[float]) -> None:
    for suffix, percentile in {"p50": 50, "p99": 99, "p999": 99.9, "max": 100}.items():
        value = float(np.percentile(values, percentile)) if values else 0.0
        setattr(account, f"{name}_{suffix}", round(value, 1))


def kinds_not_planted(fleet: Fleet) -> list[str]:
    """The kinds of alarm of which this fleet has no fault: too few devices, or too short a run for one to confirm."""
    return sorted({str(kind) for kind in KINDS} - {str(alarm.kind) for alarm in fleet.expected})


def demo_config(seconds: float, devices: int, rate: float, seed: int, faults: int = 2) -> FleetConfig:
    """The fleet of the demo, up to `faults` of each kind as it has devices. Raises OperatorError where it is none."""
    for fewer in range(faults, 0, -1):
        with suppress(ValueError):
            return _fleet_config(seconds, devices, rate, seed, fewer)
    try:
        return _fleet_config(seconds, devices, rate, seed, faults=0)
    except ValueError as error:
        raise OperatorError(str(error)) from error


def _fleet_config(seconds: float, devices: int, rate: float, seed: int, faults: int) -> FleetConfig:
    config = FleetConfig(
        seed=seed,
        devices=devices,
        rate=rate,
        seconds=seconds,
        rise_window_s=RISE_WINDOW_S,
        faults_per_kind=faults,
        bad_records=BAD_RECORDS,
    )
    Fleet(config)
    return config
