"""What senders do that could harm others: each attack as the batches that it sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from common.times import now_ms

FATAL_VALUE: Final = 613.25
"""What `tests.faults.altered.raising` makes detectors raise on."""
_JSON: Final = orjson.dumps


class Burst(NamedTuple):
    """Values that are sent as one batch, so many seconds after the attack began; their key."""

    after_s: float
    key: bytes
    values: Sequence[bytes]


Bursts = Iterator[Burst]


@dataclass(frozen=True, slots=True)
class Attack:
    """`sends` makes the bursts from random numbers and the size, which is `full` or `smoke`. `known` devices are there
    before; `readers` ask for /metrics all the while; `raising` has detectors raise on `FATAL_VALUE`."""

    name: str
    sends: Callable[[Random, int], Bursts]
    full: int = 0
    smoke: int = 0
    known: bool = False
    readers: bool = False
    raising: bool = False


def report_of(device: str, ts: int, value: float = 20.0, **fields: Any) -> dict[str, Any]:
    """A report of one device at a time in ms, with one residual current in mA."""
    return {
        "v": 1,
        "device_id": device,
        "device_kind": "electrical_monitor",
        "event_ts": ts,
        "residual_current_ma": [value],
    } | fields


def _nothing(_: Random, __: int) -> Bursts:
    yield from ()


def _share_of_bad(random: Random, size: int) -> Bursts:
    bad = set(random.sample(range(size), size * 44 // 1_000))
    values = [_JSON(report_of(f"S-{number % 500}", now_ms(), v=2 if number in bad else 1)) for number in range(size)]
    yield Burst(0, b"S", values)


def _gateway(_: Random, seconds: int) -> Bursts:
    for turn in range(seconds * 5):
        yield Burst(turn / 5, b"G", [_JSON(report_of(f"G-{number}", now_ms(), v=2)) for number in range(60)])


def _ids(random: Random, size: int) -> Bursts:
    begin, ts = random.randrange(16**7), now_ms()
    # Batch by batch: what a batch holds is bounded too.
    for first in range(0, size, 100_000):
        reports = [report_of(f"{begin + number:x}", ts) for number in range(first, min(first + 100_000, size))]
        yield Burst(0, b"R", [_JSON(reports[at : at + 500]) for at in range(0, len(reports), 500)])


def _bomb(_: Random, megabytes: int) -> Bursts:
    yield Burst(0, b"B", [b" " * 1_000_000] * megabytes)


def _nesting(_: Random, size: int) -> Bursts:
    nested = b"[" * 260 + b"]" * 260
    report = b'{"v":2,"device_id":"N-1","x":' + nested + b',"y":%b}' % nested[20:-20]
    yield Burst(0, b"N", [b"[" + b",".join([report] * size) + b"]"])


def _one_device(random: Random, size: int) -> Bursts:
    ts = now_ms() - size
    yield Burst(0, b"O", [_JSON(report_of("O-1", ts + at, random.randrange(400) / 10, seq=at)) for at in range(size)])


def _poison(_: Random, __: int) -> Bursts:
    for turn in range(3):
        yield Burst(turn, b"P", [_JSON(report_of("P-1", now_ms(), FATAL_VALUE, seq=turn))])


def _large_records(random: Random, size: int) -> Bursts:
    for first in range(0, size, 50):
        values = []
        for turn in range(first, min(first + 50, size)):
            ts = now_ms() + turn
            values.append(
                _JSON([report_of(f"L-{at}", ts, random.randrange(400) / 10, seq=turn) for at in range(1_000)])
            )
        yield Burst(first / 500, b"L", values)


ATTACKS: Final = (
    Attack("none", _nothing),
    Attack("4.4 % bad in one batch", _share_of_bad, 50_000, 3_000),
    Attack("a gateway, 300 bad/s", _gateway, 20, 3),
    Attack("ids nobody has", _ids, 1_100_000, 5_000),
    Attack("gzip bomb", _bomb, 570, 8),
    Attack("deep nesting", _nesting, 1_000, 100),
    Attack("one device in one batch", _one_device, 110_000, 3_500),
    Attack("a detector raises on a record", _poison, 50_000, 5_000, known=True, raising=True),
    Attack("readers of /metrics", _nothing, 60, 5, readers=True),
    Attack("1000 reports a record", _large_records, 600, 20),
)
"""Sizes: reports; seconds; reports; MB; reports; reports; devices; readers; records."""


def chosen(names: Sequence[str]) -> list[Attack]:
    """The attacks whose names begin with one of these; all where none is given."""
    return [attack for attack in ATTACKS if not names or any(attack.name.startswith(name) for name in names)]
