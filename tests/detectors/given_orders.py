"""Orders in the log, to show the detectors: made by hand and drawn at random, and what both sides make of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import numpy as np
import orjson

from detectors.limits import LimitTable
from detectors.rounds import Result
from detectors.state import PartitionState
from detectors.twin.oracle import ControlSettings, Oracle, Told
from schemas.control import CHANGE, COMMAND, TIME_HEADERS, TIME_KEY, Order, Orders, signed, sorted_out
from schemas.control_keys import ControlKeys
from schemas.records import Headers, Records
from schemas.registry import ComponentEntry, DeviceEntry, LimitsEntry
from streams.pieces import Piece, pieces_of, processed

TELEMETRY: Final = UUID(int=11)
KEYS: Final = ControlKeys.of(f"k1 {'5a' * 32}")
PARTITION: Final = 3
T0: Final = 1_790_000_000_000
SOURCE: Final = "emberline.commands"
MADE: Final[dict[str, Any]] = {
    "v": 1,
    "kind": "reset",
    "device_id": "LY-1",
    "by": "李工",
    "why": "已检查",
    "made_ts": T0,
}


class Sent(NamedTuple):
    """A record of telemetry."""

    offset: int
    ts: int
    key: bytes
    value: bytes
    headers: Headers = ()


def elsewhere(key: bytes, partitions: int) -> bool:
    return partitions > 8 and key == b"LY-1"


def report(offset: int, device: str = "LY-1", ts: int = T0, **fields: Any) -> Sent:
    told = {"v": 1, "device_id": device, "device_kind": "electrical_monitor", "event_ts": ts} | (
        fields or {"residual_current_ma": [9.0]}
    )
    return Sent(offset, ts, device.encode(), orjson.dumps(told))


def body(**fields: Any) -> str:
    return orjson.dumps({name: value for name, value in (MADE | fields).items() if value is not ...}).decode()


def order(offset: int, text: str | None = None, source: str | None = "registry", epoch: int = 1, **of: Any) -> Order:
    number = of.pop("number", offset)
    return Order(offset, source, epoch, number, body(**of) if text is None else text)


def control(
    offset: int, held: Sequence[Order], ts: int = T0, topic_id: int = 12, partitions: int = 8, keys: ControlKeys = KEYS
) -> Sent:
    made = Orders(SOURCE, UUID(int=topic_id), partitions, list(held))
    return Sent(offset, ts, *signed(made, COMMAND, TELEMETRY, PARTITION, keys))


def changes(offset: int, *entries: DeviceEntry | LimitsEntry | str, ts: int = T0, first: int = 0) -> Sent:
    """Records of the registry, the first of the number `first`."""
    texts = [one if isinstance(one, str) else one.to_json().decode() for one in entries]
    held = [Order(number, "registry", 1, number, text) for number, text in enumerate(texts, start=first)]
    made = Orders("emberline.registry", UUID(int=14), 8, held)
    return Sent(offset, ts, *signed(made, CHANGE, TELEMETRY, PARTITION, KEYS))


def quickly(chunks: Iterable[Sequence[Sent]], state: PartitionState, limits: LimitTable) -> tuple[Result, list[Any]]:
    result, rejects = Result(), []
    for piece in pieces(chunks, state, limits):
        result += processed(piece, state, limits)
        rejects += [(one.offset, one.index, one.fault.reason) for one in piece.rejects]
    return result, rejects


def pieces(chunks: Iterable[Sequence[Sent]], state: PartitionState, limits: LimitTable) -> Iterator[Piece]:
    """The chunks piece by piece; each is to be processed before the next is asked for."""
    for chunk in chunks:
        columns = Records(
            "emberline.telemetry",
            PARTITION,
            np.array([one.offset for one in chunk]),
            np.array([one.ts for one in chunk]),
            [one.key for one in chunk],
            [one.value for one in chunk],
            [one.headers for one in chunk],
        )
        signers = partial(sorted_out, telemetry_id=TELEMETRY, keys=KEYS)
        yield from pieces_of(columns, limits.absences, state.log, 0, signers)


def slowly(records: Iterable[Sent], limits: LimitTable) -> Told:
    oracle = Oracle(limits, control=ControlSettings(KEYS, TELEMETRY, PARTITION, elsewhere))
    for one in records:
        oracle.feed(one.offset, one.ts, one.value, one.key, one.headers)
    return oracle.told


def anything(rng: random.Random) -> list[Sent]:
    """A partition's log in which all of it happens."""
    sent: list[Sent] = []
    ts, levels = T0, {"LY-1": [9.0, 9.0], "LY-2": [9.0, 9.0]}
    for offset in range(300):
        ts += rng.choice([0, 1, 1_000, 4_000, 15_000, 61_000])
        what = rng.random()
        if what < 0.65:
            device = rng.choice(["LY-1", "LY-2"])
            if rng.random() < 0.3:
                levels[device][rng.randrange(2)] = rng.choice([9.0, 9.0, 150.0, 250.0, 450.0, 900.0])
            faults = {"faults": ["link"]} if rng.random() < 0.2 else {}
            sent.append(report(offset, device, ts, residual_current_ma=levels[device], temperature_c=[30], **faults))
        elif what < 0.7:
            sent.append(Sent(offset, ts, TIME_KEY, b"", TIME_HEADERS))
        elif what < 0.78:
            sent.append(
                changes(offset, *(_any_entry(rng) for _ in range(rng.randrange(1, 4))), ts=ts, first=4 * offset)
            )
        else:
            held = [_any_order(rng, ts) for _ in range(rng.randrange(1, 6))]
            keys = rng.choice([KEYS, KEYS, KEYS, ControlKeys.of(f"k1 {'00' * 32}")])
            sent.append(control(offset, held, ts, rng.choice([12, 12, 13]), rng.choice([8, 8, 8, 9]), keys))
    return sent


def _any_sections(rng: random.Random) -> dict[str, Any]:
    level = {"value": rng.choice([40, 120, 200, 260, 5_000]), "from": "insurer", "by": "王工", "since_ts": T0}
    return rng.choice(
        [
            {},
            {"residual_current": {"alarm": level}},
            {"residual_current": {"warning": level, "confirm_warning_s": 0}},
            {"residual_current": {"warning": {}, "alarm": level, "recovery_margin": 5}, "temperature": {"warning": {}}},
            {"residual_current_rise": {"warning": level | {"value": 50}, "window_s": 240}},
        ]
    )


def _any_entry(rng: random.Random) -> DeviceEntry | LimitsEntry | str:
    if rng.random() < 0.1:
        return rng.choice(
            ["{", "[]", "{}", '{"v":2,"device_id":"LY-1"}', '{"v":1,"device_id":""}', r'{"v":1,"device_id":"\ud800"}']
        )
    if rng.random() < 0.3:
        scopes = {name: _any_sections(rng) for name in ("charging_pile", "electrical_monitor")}
        return LimitsEntry(
            v=1,
            default=_any_sections(rng),
            kinds=scopes if rng.random() < 0.3 else {},
            place_kinds={"school": _any_sections(rng)},
            models={"HX-1": _any_sections(rng)},
            units={"U-1": _any_sections(rng)} if rng.random() < 0.3 else {},
        )
    components = [ComponentEntry("residual_current_ma", number, limits=_any_sections(rng)) for number in range(2)]
    return DeviceEntry(
        v=1,
        device_id=rng.choice(["LY-1", "LY-2", "LY-3"]),
        kind=rng.choice(["", "charging_pile", "circuit_breaker", "electrical_monitor", "toaster"]),
        cut_off_allowed=rng.random() < 0.7,
        removed=rng.random() < 0.2,
        name=rng.choice(["", "3层配电箱"]),
        unit_id=rng.choice(["", "U-1"]),
        unit_name=rng.choice(["", "国贸大厦"]),
        place_kind=rng.choice(["", "school"]),
        model=rng.choice(["", "HX-1", "HX-2"]),
        interval_s=rng.choice([0, 60, 21_600]),
        components=components if rng.random() < 0.4 else [],
        limits=_any_sections(rng) if rng.random() < 0.5 else {},
    )


def _any_order(rng: random.Random, ts: int) -> Order:
    """One that is good mostly, of a number that has not been mostly."""
    return order(
        rng.randrange(40) if rng.random() < 0.2 else ts % 2**40 + rng.randrange(9),
        rng.choice([None] * 9 + ["{"]),
        rng.choice([None, *["registry"] * 9, *(f"s{number}" for number in range(18))]),
        1,
        number=ts % 2**40 + rng.randrange(9),
        device_id=rng.choice(["LY-1", "LY-2", "LY-2", "LY-3"]),
        made_ts=ts - rng.choice([*[0] * 9, 600_000, 600_001, -300_001]),
        kind=rng.choice(["reset", "reset", "accept_rise", "replace", "maintenance", "cut_off"]),
        component=rng.choice([None, None, 0, 1, 7]),
        alarm_kind=rng.choice(["", "", "residual_current", "temperature", "fire"]),
        force=rng.random() < 0.5,
        until_ts=rng.choice([0, ts - 1, ts, ts + 1, ts + 3_600_000, ts + 80 * 3_600_000]),
    )
