"""Records that are bad: some must be rejected, for every reason of `schemas.reports`, with own ids or in a healthy
device's name; others are odd and must be kept, with nothing to alarm about, each the only report of its device."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from schemas.quantities import MAX_COMPONENTS
from schemas.report_rules import MAX_REPORTS_PER_RECORD

_LARGE_BYTES: Final = 1_100_000
"""Just over what a record may be (1 MiB)."""
_YEAR_2090_TS: Final = 3_786_912_000_000
_JUST_1970_TS: Final = 86_400_000

RawReport = dict[str, Any]


Maker = Callable[[RawReport, random.Random], bytes]


class BadRecord(NamedTuple):
    """A record, and how it must be taken: `rejects`, and `reports` that are kept."""

    scheduled_ts: int
    key: bytes | None
    value: bytes
    reports: int
    rejects: int


class _BadSort(NamedTuple):
    """`reason` is empty where nothing is rejected."""

    reason: str
    value: Maker
    key: bool = True
    reports: int = 0


def _odd(value: Maker) -> _BadSort:
    return _BadSort("", value, reports=1)


def _good(device_id: str, ts: int) -> RawReport:
    return {
        "v": 1,
        "device_id": device_id,
        "device_kind": "electrical_monitor",
        "event_ts": ts,
        "seq": 7,
        "components": 12,
        "residual_current_ma": [61.5],
        "temperature_c": [31.0, 30.5, 32.1, -200.0],
        "current_a": [12.1, 11.8, 12.4],
        "voltage_v": [229.1, 230.4, 228.8],
        "arc_half_cycles": [0],
    }


def _with(**changed: Any) -> Maker:
    return lambda report, rng: orjson.dumps(report | changed)


def _without(name: str) -> Maker:
    return lambda report, rng: orjson.dumps({key: value for key, value in report.items() if key != name})


def _written(value: bytes) -> Maker:
    return lambda report, rng: value


def _spelled(number: bytes) -> Maker:
    return lambda report, rng: orjson.dumps(report).replace(b"61.5", number)


def _truncated(report: RawReport, rng: random.Random) -> bytes:
    text = orjson.dumps(report)
    return text[: rng.randrange(1, len(text))]


def _random_bytes(report: RawReport, rng: random.Random) -> bytes:
    return b"\xff" + rng.randbytes(rng.randrange(20, 300))  # 0xff begins no UTF-8 text, so it can never be JSON


def _one_bad_of_five(report: RawReport, rng: random.Random) -> bytes:
    reports = [report | {"event_ts": report["event_ts"] - 1_000 * back, "seq": 4 - back} for back in range(4, -1, -1)]
    reports[2]["v"] = "1"
    return orjson.dumps(reports)


def _in_gb_18030(report: RawReport, rng: random.Random) -> bytes:
    return orjson.dumps(report | {"faults": ["探头故障"]}).decode().encode("gb18030")


def _padded(size_bytes: int) -> Maker:
    return lambda report, rng: orjson.dumps(report | {"note": "x" * size_bytes})


CASES: Final = (
    _BadSort("not_json", _truncated),
    _odd(_spelled(b"NaN")),
    _odd(_with(event_ts=_JUST_1970_TS)),
    _BadSort("null_key", _with(), key=False),
    _odd(_with(temperature_c=[31.0, 30.5, 32.1])),
    _BadSort("wrong_type", _one_bad_of_five, reports=4),
    _odd(_with(temperature_c=[-127.0, 99_999.0, 85.0, None])),
    _BadSort("not_json", _random_bytes),
    _odd(_spelled(b"-Infinity")),
    _BadSort("missing_field", _without("device_id")),
    _odd(_with(event_ts=_YEAR_2090_TS)),
    _BadSort("unknown_version", _with(v=9)),
    _odd(_with(device_kind="toaster")),
    _BadSort("bad_device_id", _with(device_id="LY 000123")),
    _odd(_with(current_a=["12.1", True, 12.4], voltage_v=230)),
    _BadSort("missing_field", _without("v")),
    _odd(_with(event_ts="yesterday", seq=-1, test="no", faults=["x" * 100] * 17)),
    _BadSort("wrong_type", _with(device_id=4711)),
    _odd(_with(temperature_c=[31.0] * (MAX_COMPONENTS + 1), humidity_pct=[40.0])),
    _BadSort("not_json", _in_gb_18030),
    _BadSort("empty_record", _written(b"")),
    _BadSort("empty_record", _written(b"[]")),
    _BadSort("not_a_report", _written(b"42")),
    _BadSort("too_many_reports", _written(orjson.dumps([0] * (MAX_REPORTS_PER_RECORD + 1)))),
    _BadSort("record_too_large", _padded(_LARGE_BYTES)),
)
"""Taken in turn, so that a run with as many bad records has every one."""


class BadRecords:
    """`count` bad records evenly over the run, and one huge one in its middle if asked for."""

    def __init__(self, *, seed: int, start_ts: int, end_ts: int, count: int, huge_bytes: int, names: list[str]) -> None:
        self._seed, self._start_ts, self._run_ms = seed, start_ts, end_ts - start_ts
        self._count, self._huge_bytes, self._names = count, huge_bytes, names

    def due(self, from_ts: int, to_ts: int) -> list[BadRecord]:
        """Those that leave in the window, in order."""
        numbers = range(self._count)
        first, last = (bisect_left(numbers, ts, key=self._at) for ts in (from_ts, to_ts))
        found = [self._make(number, CASES[number % len(CASES)], self._at(number)) for number in range(first, last)]
        middle_ts = self._start_ts + self._run_ms // 2
        if self._huge_bytes and from_ts <= middle_ts < to_ts:
            found.append(self._make(self._count, _BadSort("record_too_large", _padded(self._huge_bytes)), middle_ts))
        return found

    def rejects_by_reason(self) -> Counter[str]:
        """How many rejects of each reason the whole run must give."""
        turns, rest = divmod(self._count, len(CASES))
        found: Counter[str] = Counter()
        for index, case in enumerate(CASES):
            if case.reason:
                found[case.reason] += turns + (index < rest)
        found["record_too_large"] += self._huge_bytes > 0
        return +found

    def _at(self, number: int) -> int:
        return self._start_ts + (2 * number + 1) * self._run_ms // (2 * self._count)

    def _make(self, number: int, case: _BadSort, ts: int) -> BadRecord:
        rng = random.Random(self._seed * 1_000_003 + number)
        # What is kept is a device's own: a healthy device's numbers would repeat, and its values leap.
        own = case.reports > 0 or rng.random() < 0.5 or not self._names
        device_id = f"LY-X{number:05d}" if own else rng.choice(self._names)
        value = case.value(_good(device_id, ts), rng)
        return BadRecord(ts, device_id.encode() if case.key else None, value, case.reports, int(case.reason != ""))
