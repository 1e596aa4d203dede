"""Reports to show the detectors: by hand, and drawn at random so that the rare things happen often."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from hypothesis import strategies as st

from detectors.checkpoints.encode import encode
from detectors.limits import LimitTable
from detectors.process import process
from detectors.rounds import Result
from detectors.state import PartitionState
from detectors.twin.oracle import Oracle, Record, Told, timeless
from schemas.control import TIME_HEADERS
from schemas.records import Headers, Records
from streams.pieces import Piece, before_reports, pieces_of

T0 = 1_790_000_040_000
"""The beginning of a minute."""
NOW = T0 + 10**9
KEY = b"LY-1"
"""The key of all records, whatever they hold."""
CALM = (50.0, 50.0)
"""Normal values of residual current. After two of them it is known how often their component speaks, which decides how
what follows is confirmed."""


def report(event_ts: int, device_id: str = "LY-1", kind: str = "electrical_monitor", **fields: Any) -> dict[str, Any]:
    """One good report."""
    return {"v": 1, "device_id": device_id, "device_kind": kind, "event_ts": event_ts, **fields}


def time_record(offset: int, ingest_ts: int) -> Record:
    """A record by which a worker says that time passes."""
    return offset, ingest_ts, None


def never_still(records: Sequence[Record], until_ts: int = 0, each_ms: int = 30_000) -> list[Record]:
    """The records with records of time between them, and after them up to `until_ts`; all have new offsets."""
    found: list[Record] = []
    for here, there in pairwise([*records, (0, until_ts, None)]):
        passed = [time_record(0, ts) for ts in range(here[1] + each_ms, there[1], each_ms)]
        found += [here, *passed]
    if until_ts:
        found.append(time_record(0, until_ts))
    return [(offset, ts, value) for offset, (_, ts, value) in enumerate(found)]


def record(offset: int, *reports: dict[str, Any], ingest_ts: int | None = None) -> Record:
    """One record, an object for one report and an array for several; it arrives a second after its newest report."""
    arrival = max(one["event_ts"] for one in reports) + 1_000 if ingest_ts is None else ingest_ts
    return offset, arrival, orjson.dumps(reports[0] if len(reports) == 1 else list(reports))


def readings(name: str, *values: float, step_ms: int = 1_000, **fields: Any) -> list[Record]:
    """One device that reports one quantity, a record a value, `step_ms` apart."""
    return [record(n, report(T0 + n * step_ms, **(fields | {name: [value]}))) for n, value in enumerate(values)]


def records_of(chunk: Sequence[Record]) -> Records:
    """Records as the transport hands them over."""
    offsets, timestamps, values = zip(*chunk, strict=True) if chunk else ((), (), ())
    return Records(
        topic="emberline.telemetry",
        partition=3,
        offsets=np.array(offsets, dtype=np.int64),
        timestamps=np.array(timestamps, dtype=np.int64),
        keys=[KEY] * len(chunk),
        values=list(values),
        headers=[headers_of(value) for value in values],
    )


def headers_of(value: bytes | None) -> Headers:
    """Those of a record of these tests: one without a value says that time passes."""
    return TIME_HEADERS if value is None else ()


def run(chunk: Sequence[Record], state: PartitionState, limits: LimitTable, now: int = NOW) -> Result:
    """Decode and process one chunk."""
    return sum((result for _, result in _pieces(chunk, state, limits, now)), Result())


def _pieces(
    chunk: Sequence[Record], state: PartitionState, limits: LimitTable, now: int, cuts: Sequence[int] = ()
) -> Iterator[tuple[Piece, Result]]:
    """A chunk piece by piece, as a worker goes through it; the reports of each cut again at the numbers `cuts`."""
    for piece in pieces_of(records_of(chunk), limits.absences, state.log):
        reports = piece.reports
        result = before_reports(piece, state, limits)
        edges = sorted({0, len(reports), *(min(one, len(reports)) for one in cuts)})
        for begin, end in pairwise(edges if len(edges) > 1 else [0, 0]):
            result += process(reports.between(begin, end), state, limits, now)
        state.log.reach(piece.log_ts)
        yield piece, result
    if chunk:
        state.log.reach(max(ts for _, ts, _ in chunk))


def told(
    chunks: Iterable[Sequence[Record]], state: PartitionState, limits: LimitTable, cuts: Sequence[int] = ()
) -> Told:
    """What the chunks mean, in the oracle's terms. Each is processed piece by piece, cut before the reports of the
    numbers `cuts`, wherever in a record these are."""
    all_told = Told()
    for chunk in chunks:
        for piece, result in _pieces(chunk, state, limits, NOW, cuts):
            all_told.rejects += [(reject.offset, reject.index, reject.fault.reason) for reject in piece.rejects]
            all_told.alarms += timeless(result.alarms)
            all_told.aggregates += result.aggregates
            all_told.sessions += result.sessions
            all_told.statuses += result.statuses
            all_told.outcomes += result.outcomes
            all_told.requests += result.requests
            all_told.rejects += [(*at, fault.reason) for at, fault in result.refused.items()]
    all_told.rejects.sort()
    return all_told


def slowly(records: Iterable[Record], limits: LimitTable, **bounds: Any) -> Told:
    """What the twin says the records mean."""
    oracle = Oracle(limits, **bounds)
    for offset, ingest_ts, value in records:
        oracle.feed(offset, ingest_ts, value, KEY, headers_of(value))
    oracle.told.rejects.sort()
    return oracle.told


def cut(records: Sequence[Record], cuts: Iterable[int]) -> list[Sequence[Record]]:
    """The records in chunks that end at each of `cuts`."""
    ends = sorted({min(end, len(records)) for end in cuts} | {len(records)})
    return [records[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def contents(state: PartitionState) -> list[tuple[bytes, bytes]]:
    """All there is to a state, row by row, less where in memory it lies."""
    return sorted(encode(state, state.held().tolist()))


# Drawn at random. A fleet takes thousands of choices: they are made by a seed that Hypothesis draws, for to draw each
# would take longer than to judge them all. It still shrinks to few records.

QUANTITY_VALUES: dict[str, list[Any]] = {
    # At, just under and just over every limit that the shipped file sets, and far from all; and what are no values.
    "residual_current_ma": [
        *(0.0, 25.0, 29.9, 30, 40.5, 61.5, 179.9, 180, 199.99, 200, 250.25, 299.5, 300, 412.7, 5000, 450, 450, 450),
        *(3276.7, -0.3, -3, "NaN", True, None),
    ],
    "temperature_c": [
        *(21.3, 31, 54.9, 55, 59.9, 60, 64.9, 65, 69.9, 70, 71, 75, 80, 112.5),
        *(-200.0, -127.0, 85.0, 85.0, 85, None, None),
    ],
    "arc_half_cycles": [0, 9, 10, 13, 14, 37, 101, None],
    "current_a": [0.0, 12.1, 0.1, 0.2, 3, -3.5, 40, 41, 9, None],
    "voltage_v": [*(0, 43.9, 60, 110, 109, 186.9, 187, 198, 197, 220, 221, 229, 230, 235.4, 235.5, 253, 380), None],
    "power_w": [0, 100, 2_200, 2_900, 4_400, -700, None],
    "smoke": [0, 0.39, 0.4, 0.5, 0.9],
    "insulation_mohm": [200, 1.2, 1.1, 1, 0.6, 0.5, 0.3, 0.1, 0],
    "static_v": [0, 9_000, -9_999, 10_000, -30_000, 45_000, 80_000],
    "unbalance_pct": [200.0, 3.3, 12, 15, 30, 50],
    "port_state": [*[0, 1, 1, 1, 2, 3, 5] * 2, 6, 9, 12, 13, 14, 16, 200, 1.5, None],
    "stop_reason": [1, 5, 13, 2, 7, 6, 10, 16, 24, 26, 77, None, None],
    "port_voltage_v": [0, 39.9, 50, 226, None],
    "port_temperature_c": [-200.0, 25, 69, 71, 80, 95],
    "charge_s": [0, 1, 5, 40, 300, 3_600, 40_000, None],
    "charge_wh": [0, 0.1, 12, 350, None],
}
PORT_WATTS: list[Any] = [0, 4, 29, 31, 55, 180, 180, 181, 190, 240, 300, 2_100, -5, None]
STEPS_MS = [
    0,
    1,
    999,
    1_000,
    2_999,
    3_000,
    5_000,
    9_999,
    10_000,
    14_999,
    15_000,
    29_999,
    30_000,
    60_000,
    90_000,
    300_000,
]
JUMPS_MS = [-7_200_000, -120_000, -90_000, -30_000, -1_000, 600_000, 3_600_000, 21_600_000]
WAITS_MS = [0, 1, 200, 1_000, 1_000, 5_000, 60_000, 300_000, 400_000, 10_800_000]
LONG_WAITS_MS = [*WAITS_MS, 27 * 3_600_000, 31 * 86_400_000]
FAULTS = [
    *([], ["sensor_open"], ["sensor_open", "link"], ["x" * 70], [5]),
    *(["smoke_alarm"], ["Smoke Alarm", "trip"], ["GroundFailure"]),
]
CLOCKS = ["right", "right", "right", "1970", "ahead", "stuck", "slow"]
KINDS = [*["electrical_monitor"] * 6, "charging_pile", "smoke_detector", "toaster"]
NO_REPORTS = [b"{", b"[]", b"", b"[1]", b'{"v":1}', b'{"v":2,"device_id":"LY-1"}']


class _Senders:
    """Some devices with a clock each, which is wrong in its own way."""

    def __init__(self, rng: random.Random, devices: Sequence[str]) -> None:
        self.rng, self.devices = rng, devices
        self.clocks = {device: rng.choice(CLOCKS) for device in devices}
        self.times: dict[str, int] = {}
        self.before: dict[str, dict[str, Any]] = {}
        self.kept: list[dict[str, Any]] = []
        self.seq = 0

    def one_in(self, many: int) -> bool:
        return self.rng.random() * many < 1

    def time(self, device: str, arrival: int) -> int:
        """The device's time at an arrival."""
        clock, rng = self.clocks[device], self.rng
        begin = {"1970": 740, "ahead": arrival + 2 * 86_400_000}.get(clock, arrival - 2_000)
        step = rng.choice(JUMPS_MS) if self.one_in(25) else rng.choice(STEPS_MS) if self.one_in(2) else 1_000
        if clock == "stuck" and not self.one_in(5):
            step = 0
        time = self.times.get(device, begin) + (1 if clock == "slow" else step)
        if clock == "right" and not self.one_in(3):
            time = arrival - rng.choice([0, 200, 1_500])
        self.times[device] = time
        return time

    def measured(self) -> dict[str, Any]:
        """What one report measures: often one thing, sometimes nothing, now and then a component more."""
        rng = self.rng
        if self.one_in(3):
            return {"residual_current_ma": [rng.choice([450.0, 61.0, 61.0, 250.0])]}
        if self.one_in(5):
            return {name: self.values(name, 3) for name in ("voltage_v", "current_a", "power_w")}
        if self.one_in(4):
            return self.ports()
        names = rng.sample(sorted(QUANTITY_VALUES), rng.randrange(4))
        return {name: self.values(name, rng.randrange(4)) for name in names}

    def ports(self) -> dict[str, Any]:
        """What a pile says of its ports: states and power together or apart, and now and then a settlement."""
        count = self.rng.choice([1, 1, 2])
        found: dict[str, Any] = {}
        if not self.one_in(4):
            found["port_state"] = self.values("port_state", count)
        if not self.one_in(4):
            found["power_w"] = [self.rng.choice(PORT_WATTS) for _ in range(count)]
        for name, often in (("stop_reason", 3), ("charge_s", 3), ("charge_wh", 3), ("port_voltage_v", 4)):
            if self.one_in(often):
                found[name] = self.values(name, count)
        return found

    def values(self, name: str, count: int) -> list[Any]:
        """So many components."""
        return [self.rng.choice(QUANTITY_VALUES[name]) for _ in range(count)]

    def report(self, arrival: int) -> dict[str, Any]:
        """A report of one of the devices: new, the same once more, kept from before, or of a moment ago."""
        rng = self.rng
        if self.kept and self.one_in(10):
            return rng.choice(self.kept)
        device = rng.choice(self.devices)
        if device in self.before and self.one_in(7):
            return self.before[device]
        fields = self.measured()
        self.seq += 1
        if self.one_in(3):
            fields["seq"] = rng.choice([0, 1, 2, 65_535, 65_536, 2**63, 2**64 - 1, *[self.seq] * 4])
        if self.one_in(10):
            fields["faults"] = rng.choice(FAULTS)
        if self.one_in(15):
            fields["test"] = True
        if self.one_in(20):
            fields["tempx_c"] = [1]
        kind = "charging_pile" if device.startswith("CP") and not self.one_in(8) else rng.choice(KINDS)
        found = report(self.time(device, arrival), device, kind, **fields)
        self.before[device] = found
        if self.one_in(10):
            self.kept.append(found)
        if self.one_in(10):
            return found | {"event_ts": found["event_ts"] - rng.choice([500, 60_000, 7_200_000])}
        return found | {"v": 2} if self.one_in(30) else found

    def batch(self, arrival: int) -> list[dict[str, Any]]:
        """The reports of one record: mostly one, else also some more of the same device."""
        first = self.report(arrival)
        more = self.rng.choice([0, 0, 0, 0, 1, 2, 4])
        current = [{"residual_current_ma": [self.rng.choice([450.0, 61.0])]} for _ in range(more)]
        return [
            first,
            *(
                first | held | {"event_ts": first["event_ts"] + self.rng.choice([-1_000, 0, 1_000, 60_000])}
                for held in current
            ),
        ]


def _records(seed: int, size: int, devices: Sequence[str], waits_ms: Sequence[int]) -> list[Record]:
    rng = random.Random(seed)
    fleet, records = _Senders(rng, devices), list[Record]()
    offset, arrival = rng.randrange(4), T0
    for _ in range(size):
        arrival += rng.choice(waits_ms) if rng.random() < 0.5 else 1_000
        if rng.random() < 0.05:
            records.append((offset, arrival, rng.choice(NO_REPORTS)))
        else:
            records.append(record(offset, *fleet.batch(arrival), ingest_ts=arrival))
        offset += rng.choice([1, 1, 1, 2, 7])
    for number in range(len(records) - 1):
        if rng.random() < 0.05:  # two records change places
            (here, then, one), (there, later, other) = records[number : number + 2]
            records[number : number + 2] = [(here, then, other), (there, later, one)]
    return records


def fleets(most: int = 40) -> st.SearchStrategy[list[Record]]:
    """Records of a partition: single reports and arrays, of right clocks and wrong ones, repeats and swaps, late ones,
    values that are none, tests, and here and there a record that is no report."""
    devices = ["LY-1"] * 5 + ["CP-2", "OWN-3"]
    return st.builds(_records, st.integers(0, 2**32), st.integers(1, most), st.just(devices), st.just(WAITS_MS))


def crowds(most: int = 60) -> st.SearchStrategy[list[Record]]:
    """Likewise, of more devices, some of which fall silent for days."""
    devices = [*["LY-1"] * 3, "CP-2", "OWN-3", "LY-4", "LY-5", "LY-6", "LY-7"]
    return st.builds(_records, st.integers(0, 2**32), st.integers(1, most), st.just(devices), st.just(LONG_WAITS_MS))
