"""What the load orders and what it registers: drawn by a seed, published as the registry's publisher publishes.

Numbers rise over both topics together. Some orders come once more, as after a publisher's crash: behind those that
followed them. Some are out of an older epoch, as of a database that was restored.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from common.times import now_ms
from fleet.faults import ExpectedAlarm
from schemas.alarm_kinds import AlarmKind
from schemas.commands import CommandKind
from schemas.registry import LIMITS_KEY, VERSION, ChangeNumber, ComponentEntry, DeviceEntry, LimitsEntry
from schemas.topics import COMMANDS, REGISTRY
from streams.partitioner import partition_of
from tests.support.control import command
from tests.support.kafka_outside import ProducerRecord

AGAIN: Final = 3
"""So many of the last orders come again together."""
SHARE_AGAIN: Final = 0.1
SHARE_OLD: Final = 0.03
LED_EVERY: Final = 5
LED_TURNS: Final = 24
LED_RECOVERS: Final = 6
"""Every fifth order is of a device that is led. With four of them and 20 orders a second each has a turn a second, and
is led anew every 24."""
HOUR_MS: Final = 3_600_000
UNITS: Final = [f"u{number}" for number in range(20)]


class PublishedOrder(NamedTuple):
    """One record of a source topic, and the order's number."""

    topic: str
    number: int
    record: ProducerRecord


class LoadOrders:
    """Draws one order after the other. The epoch is the time at which it began, in seconds."""

    def __init__(self, seed: int, partitions: int) -> None:
        self.source = f"load-{seed}"
        self._rng = random.Random(seed)
        self._partitions = partitions
        self._epoch = now_ms() // 1_000
        self._number = 0
        self._recent: deque[PublishedOrder] = deque(maxlen=AGAIN)

    def draw(self, device_id: str, raised: Sequence[ExpectedAlarm], led: Sequence[str]) -> list[PublishedOrder]:
        """What is published next: of this device, of one that has raised an alarm by now, or of one that is led through
        an alarm by its limits."""
        rng = self._rng
        self._number += 1
        draw = rng.random()
        if self._number % LED_EVERY == 0:
            turn, which = divmod(self._number // LED_EVERY, len(led))
            published = [self._led(led[which], turn % LED_TURNS)]
        elif draw < 0.02:
            entry = _limits_entry(rng)
            published = [
                self._published(REGISTRY.name, number, LIMITS_KEY, entry.to_json())
                for number in range(self._partitions)
            ]
        elif draw < 0.4:
            published = [self._of_device(REGISTRY.name, device_id, _device_entry(rng, device_id).to_json())]
        else:
            fields = {"device_id": device_id} | _command_fields(rng)
            if raised and draw < 0.8:
                fields = _about_alarm(rng, rng.choice(raised))
            published = [self._of_device(COMMANDS.name, fields["device_id"], command(**fields).to_json())]
        again = list(self._recent) if rng.random() < SHARE_AGAIN / AGAIN else []
        self._recent += published
        return [*published, *again]

    def _led(self, device_id: str, turn: int) -> PublishedOrder:
        """Limits that whatever is measured exceeds; none of its own; and then resets, until it has recovered."""
        if turn in (0, LED_RECOVERS):
            limits = {} if turn else {"residual_current": {**_level(1, 900), "recovery_margin": 0.5}}
            entry = DeviceEntry(VERSION, device_id, kind="electrical_monitor", limits=limits)
            return self._of_device(REGISTRY.name, device_id, entry.to_json())
        return self._of_device(COMMANDS.name, device_id, command(device_id).to_json())

    def _of_device(self, topic: str, device_id: str, value: bytes) -> PublishedOrder:
        key = device_id.encode()
        return self._published(topic, partition_of(key, self._partitions), key, value)

    def _published(self, topic: str, partition: int, key: bytes, value: bytes) -> PublishedOrder:
        epoch = self._epoch - (self._rng.random() < SHARE_OLD)
        headers = ChangeNumber(self.source, epoch, self._number).to_headers()
        return PublishedOrder(topic, self._number, ProducerRecord(partition, key, value, headers))


def _command_fields(rng: random.Random) -> dict[str, Any]:
    """What is ordered of a device that need not have an alarm."""
    match rng.randrange(8):
        case 0:
            return {"kind": CommandKind.REPLACE}
        case 1:
            return {"kind": CommandKind.RESET}
        case 2:
            return {"kind": CommandKind.ACCEPT_RISE}
        case 3:
            return {"kind": CommandKind.RESET, "force": True}
        case turn:
            # Most end by a time, some at once; one is too long.
            until_ts = (0, now_ms() + HOUR_MS, now_ms() + 10_000, now_ms() + 73 * HOUR_MS)[turn - 4]
            return {"kind": CommandKind.MAINTENANCE, "until_ts": until_ts}


def _about_alarm(rng: random.Random, alarm: ExpectedAlarm) -> dict[str, Any]:
    """What is ordered of a device that has an alarm, or had one."""
    chosen: dict[str, Any] = {"device_id": alarm.device_id, "kind": CommandKind.RESET}
    if alarm.kind is AlarmKind.RESIDUAL_CURRENT_RISE and rng.random() < 0.3:
        return chosen | {"kind": CommandKind.ACCEPT_RISE}
    if rng.random() < 0.5:
        chosen |= {"alarm_kind": alarm.kind, "component": alarm.component}
    # What is reset by force is open for too short to recover; so half of the devices are never.
    return chosen | {"force": alarm.device_id[-1] in "13579" and rng.random() < 0.3}


def _device_entry(rng: random.Random, device_id: str) -> DeviceEntry:
    unit = rng.choice(UNITS)
    return DeviceEntry(
        VERSION,
        device_id,
        kind=rng.choices(["electrical_monitor", "charging_pile", "", "toaster"], [15, 3, 1, 1])[0],
        removed=rng.random() < 0.1,
        name=rng.choice(["", "一层配电间", "二层东"]),
        model=rng.choice(["", "M1", "M2"]),
        unit_id=unit,
        unit_name=f"单位{unit}",
        area="330106",
        place_kind=rng.choice(["", "shop", "school"]),
        interval_s=rng.choice([0, 0, 10, 60]),
        components=[ComponentEntry("temperature_c", 0, limits=rng.choice([{}, {"temperature": _level(55, 65)}]))],
        limits=rng.choice(_SECTIONS)(),
    )


def _limits_entry(rng: random.Random) -> LimitsEntry:
    return LimitsEntry(
        VERSION,
        default=rng.choice([{}, {"residual_current": _level(180, 280)}]),
        kinds=rng.choice([{}, {"charging_pile": {"temperature": _level(65, 75)}}]),
        place_kinds={"school": {"residual_current": _level(150, 250)}},
        models=rng.choice([{}, {"M1": _senseless()}]),
        units={rng.choice(UNITS): _low()},
    )


def _level(warning: float, alarm: float) -> dict[str, Any]:
    whence = {"from": "项目要求", "by": "李工", "since_ts": 1_790_000_000_000}
    return {"warning": {"value": warning, **whence}, "alarm": {"value": alarm, **whence}}


def _low() -> dict[str, Any]:
    """By which what is normal alarms."""
    return {"residual_current": {**_level(25, 45), "recovery_margin": 2}}


def _senseless() -> dict[str, Any]:
    """A warning above the alarm: refused."""
    return {"residual_current": _level(400, 300)}


_SECTIONS: Final[Sequence[Callable[[], dict[str, Any]]]] = (
    dict,
    dict,
    dict,
    _low,
    _senseless,
    lambda: {"residual_current": {"warning": {}}, "arc_fault": {"alarm": {}}},
)
