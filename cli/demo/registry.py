"""The demo's registry: made anew for each run, filled with the fleet's devices, and used to reset an alarm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final, NamedTuple

from cli.demo.topics import read_all
from cli.registering import take_in, write_registry
from cli.stack import REGISTRY_ROLE, Stack
from common.errors import OperatorError
from common.settings import Settings
from fleet import FleetRegistry
from schemas.commands import CommandKind
from schemas.events import Alarm, ControlOutcome, Outcome
from schemas.registry import DeviceEntry
from schemas.topics import CONTROL_OUTCOMES
from services.registry.commands import command, order
from services.registry.database import engine_of, url_of, writing

DEMO: Final = "emberline demo"
"""Who registers, and who resets."""
APPLIED_S: Final = 60.0
"""How long a registry may take from the database into detection: 3000 devices take one or two seconds [ours]."""


class DevicePlace(NamedTuple):
    """Where alarms must say that a device is."""

    unit_id: str
    unit_name: str
    place: str
    area: str


NOWHERE: Final = DevicePlace("", "", "", "")


def places_of(registry: FleetRegistry) -> dict[str, DevicePlace]:
    """Where devices are, by their ids."""
    units = {one.id: one for one in registry.units}
    return {
        one.id: DevicePlace(one.unit_id, units[one.unit_id].name, one.name, units[one.unit_id].area)
        for one in registry.devices
    }


def is_well_named(alarm: Alarm, places: Mapping[str, DevicePlace]) -> bool:
    """Whether an alarm says where its device is, to programs and to people; nothing where that is not registered."""
    place = places.get(alarm.device_id, NOWHERE)
    told = DevicePlace(alarm.unit_id, alarm.unit_name, alarm.place, alarm.area)
    return told == place and place.unit_name in alarm.message and place.place in alarm.message


def fill_registry(settings: Settings, registry: FleetRegistry) -> None:
    """Import the fleet's registry, as files, into the demo's. Raises OperatorError."""
    folder = Path(settings.data_dir) / "registry"
    write_registry(registry, folder)
    engine = engine_of(url_of(settings))
    try:
        take_in(engine, sorted(folder.glob("*.csv")), DEMO)
    finally:
        engine.dispose()


async def until_applied(stack: Stack, device_ids: set[str], since_ts: int) -> None:
    """Return once detection has applied what is registered of these devices, by outcomes that are of no run before
    `since_ts`. Raises OperatorError where it is refused, or takes too long."""
    waiting = set(device_ids)
    try:
        async with asyncio.timeout(APPLIED_S):
            await _read_outcomes(stack, waiting, since_ts)
    except TimeoutError:
        by_role = {one.role: one.log for one in stack.workers}
        raise OperatorError(
            f"detection has applied {len(device_ids) - len(waiting)} of {len(device_ids)} registered devices within "
            f"{APPLIED_S:.0f} s; see {by_role[REGISTRY_ROLE]} and {by_role['detect']}"
        ) from None


async def _read_outcomes(stack: Stack, waiting: set[str], since_ts: int) -> None:
    async with aclosing(read_all(stack.settings, CONTROL_OUTCOMES.name)) as values:
        async for value in values:
            outcome = ControlOutcome.from_json(value)
            if outcome.ingest_ts < since_ts or outcome.device_id not in waiting:
                continue
            if outcome.outcome == Outcome.REFUSED:
                raise OperatorError(f"detection refuses what is registered of {outcome.device_id}: {outcome.reason}")
            # One of a demo before may be told of once more, as removed, before it is told of as it is now.
            if not DeviceEntry.from_json(outcome.body.encode()).removed:
                waiting.discard(outcome.device_id)
            if not waiting:
                return
            stack.check()


def order_reset(settings: Settings, alarm: Alarm) -> float:
    """Order that an alarm is over, as `emberline alarms reset` does. When that was begun, by `time.monotonic`."""
    began = time.monotonic()
    reset = command(
        *(CommandKind.RESET, alarm.device_id, DEMO, "演示：现场已检查"),
        component=alarm.component,
        alarm_kind=alarm.kind,
        alarm_id=alarm.alarm_id,
        test=alarm.test,
    )
    engine = engine_of(url_of(settings))
    try:
        with writing(engine) as session:
            order(session, [reset], unregistered=True)
    finally:
        engine.dispose()
    return began
