"""Anything a producer can put on a topic: whole record batches, drawn by a seed.

Half of it is nearly right, since what is nearly right goes furthest: reports with some fields made odd, arrays of
them, cut off, nested, of another encoding. The rest is bytes. Batches are of any codec and size; in some, bytes of the
records are changed under a checksum that fits.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import cramjam
import orjson

from schemas.quantities import QUANTITIES
from tests.support.batches_by_hand import RawRecord, batch, records_of, with_records

PACKED: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: bytes,
    1: lambda held: gzip.compress(held, 1),
    2: lambda held: bytes(cramjam.snappy.compress_raw(held)),
    3: lambda held: bytes(cramjam.lz4.compress(held)),
    4: lambda held: bytes(cramjam.zstd.compress(held)),
}
"""By its code, how a codec packs records."""
ODD: Final[list[Any]] = [
    *(None, True, False, 0, -1, 1, 0.5, -0.3, 1e300, 2**31, 2**53 + 1, 2**63, 2**64 - 1, "", "x", "x" * 3_000, "电"),
    *([], {}, [[]], [None], [True], ["NaN"], [1, "1"], [0] * 64, [9] * 300, [-127.0, 31.0], [85.0], [-200.0], [200.0]),
    *(
        [3276.7, 520.0],
        [450.0] * 64,
        [71.5],
        [[[[1]]]],
        {"a": [1]},
        [1e999],
        [-3.48, 12.1],
        [14],
        [101],
        ["y" * 90] * 20,
    ),
]


class AnyBatch(NamedTuple):
    """A batch as it goes out, and how many records it says that it has."""

    made: bytes
    size: int


class Anything:
    """Draws batches. `now_ms` is when they are sent, by which their times go."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def batch(self, now_ms: int) -> AnyBatch:
        """The next one."""
        rng = self._rng
        given = [self._record(now_ms) for _ in range(rng.choice([1, 1, 2, 5, 20, 200]))]
        made = batch(given, now_ms - rng.choice([0, 0, 10**9, now_ms]))
        held = records_of(made)
        if rng.random() < 0.15:
            held = self._changed(held)
        if rng.random() < 0.05:
            held = bytes(rng.choice([10**5, 2 * 10**7]))
        codec = rng.choice([0, 0, 1, 2, 3, 4])
        packed = PACKED[codec](held)
        if codec and rng.random() < 0.05:
            packed = self._changed(packed)
        count = len(given) + (rng.choice([-1, 1, 1_000]) if rng.random() < 0.03 else 0)
        return AnyBatch(with_records(made, packed, codec, max(count, 1)), max(count, 1))

    def _changed(self, held: bytes) -> bytes:
        changed = bytearray(held)
        for _ in range(self._rng.choice([1, 1, 3, 20])):
            changed[self._rng.randrange(len(changed))] = self._rng.randrange(256)
        return bytes(changed)

    def _record(self, now_ms: int) -> RawRecord:
        rng = self._rng
        key = rng.choice([None, b"", b"Z-1", rng.randbytes(rng.choice([3, 300])), b"Z-1", b"Z-2"])
        names = ["gateway", "gateway", "trace", "x" * 40, "", "emberline.reason", "网关"]
        headers = [
            (rng.choice(names), rng.choice([None, b"", b"g-7", rng.randbytes(20)]))
            for _ in range(rng.choice([0, 0, 1, 3]))
        ]
        return key, self._value(now_ms), headers

    def _value(self, now_ms: int) -> bytes | None:
        rng = self._rng
        draw = rng.random()
        if draw < 0.05:
            return rng.choice([None, b"", b"{", b"[]", b"17", b"\xef\xbb\xbf{}", b"null", b"[" * 5_000, b"NaN"])
        if draw < 0.1:
            return rng.randbytes(rng.choice([1, 50, 4_000]))
        if draw < 0.8:
            value = orjson.dumps(self._report(now_ms))
        else:
            value = orjson.dumps([self._report(now_ms) for _ in range(rng.choice([2, 5, 40]))])
        return self._spoilt(value)

    def _spoilt(self, value: bytes) -> bytes:
        rng = self._rng
        match rng.randrange(14):
            case 0:
                return value[: rng.randrange(len(value))]
            case 1:
                return value.replace(b"61.5", rng.choice([b"NaN", b"-Infinity", b"1e999", b"[" * 260 + b"]" * 260]))
            case 2:
                return self._changed(value)
            case 3:
                return value.decode().replace("故障", "故障过热").encode("gb18030")
            case 4:
                return b"\xef\xbb\xbf" + value
            case _:
                return value

    def _report(self, now_ms: int) -> dict[str, Any]:
        rng = self._rng
        clocks = [now_ms, now_ms, now_ms - 3_600_000, 740, now_ms + 10**8, now_ms // 1_000, now_ms * 1_000]
        report: dict[str, Any] = {
            "v": 1,
            "device_id": rng.choice(["Z-1", "Z-2", "Z-3", f"R-{rng.randrange(10**9)}"]),
            "device_kind": rng.choice(["electrical_monitor", "charging_pile", "smoke_detector", "toaster"]),
            "event_ts": rng.choice(clocks) + rng.randrange(5_000),
            "seq": rng.randrange(2**40),
            "faults": ["故障"],
            "residual_current_ma": [61.5],
            "temperature_c": [31.0, 30.5],
        }
        for name in rng.sample(
            [*report, *(quantity.name for quantity in QUANTITIES), "temprature_c"], rng.choice([0, 1, 3])
        ):
            if rng.random() < 0.2:
                report.pop(name, None)
            else:
                report[name] = rng.choice(ODD)
        return {name: value for name, value in report.items() if value != [float("inf")]}
