"""Reports to show the detectors: by hand, and drawn at random so that the rare things happen often."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson
from hypothesis import strategies as st

from detectors.checkpoint import encode
from detectors.limits import LimitTable
from detectors.process import Result, process
from detectors.state import PartitionState
from detectors.twin import Record, Told, timeless
from schemas.reports import Records, decode

T0 = 1_790_000_040_000
"""The beginning of a minute."""
NOW = T0 + 10**9


def report(event_ts: int, device_id: str = "LY-1", kind: str = "electrical_monitor", **fields: Any) -> dict[str, Any]:
    """One good report."""
    return {"v": 1, "device_id": device_id, "device_kind": kind, "event_ts": event_ts, **fields}


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
        keys=[b"key"] * len(chunk),
        values=list(values),
        headers=[()] * len(chunk),
    )


def run(chunk: Sequence[Record], state: PartitionState, limits: LimitTable, now: int = NOW) -> Result:
    """Decode and process one chunk."""
    return process(decode(records_of(chunk))[0], state, limits, now)


def told(chunks: Iterable[Sequence[Record]], state: PartitionState, limits: LimitTable) -> Told:
    """What the chunks mean, in the oracle's terms."""
    all_told = Told()
    for chunk in chunks:
        reports, rejects = decode(records_of(chunk))
        result = process(reports, state, limits, NOW)
        all_told.alarms += timeless(result.alarms)
        all_told.aggregates += result.aggregates
        all_told.statuses += result.statuses
        all_told.rejects += [(reject.offset, reject.index, reject.fault.reason) for reject in rejects]
    return all_told


def cut(records: Sequence[Record], cuts: Iterable[int]) -> list[Sequence[Record]]:
    """The records in chunks that end at each of `cuts`."""
    ends = sorted({min(end, len(records)) for end in cuts} | {len(records)})
    return [records[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def contents(state: PartitionState) -> list[tuple[bytes, bytes]]:
    """All there is to a state, row by row, less where in memory it lies."""
    return list(encode(state, range(len(state))))


QUANTITY_VALUES: dict[str, list[float]] = {
    # At, just under and just over every limit that the shipped file sets, and far from all.
    "residual_current_ma": [0.0, 25.0, 29.9, 30, 40.5, 61.5, 179.9, 180, 199.99, 200, 250.25, 299.5, 300, 412.7, 5000],
    "temperature_c": [-200.0, 21.3, 31, 54.9, 55, 59.9, 60, 64.9, 65, 69.9, 70, 75, 80, 112.5],
    "arc_half_cycles": [0, 9, 10, 13, 14, 37],
    "current_a": [0.0, 12.1, 0.1, 0.2, 3],
    "unbalance_pct": [200.0, 3.3, 50],
}
STEPS_MS = [0, 1, 999, 1_000, 2_999, 3_000, 5_000, 9_999, 10_000, 14_999, 15_000, 29_999, 30_000, 60_000, 90_000]
JUMPS_MS = [-120_000, -90_000, -30_000, -1_000, 600_000, 3_600_000, 21_600_000]
FAULTS = [[], ["sensor_open"], ["sensor_open", "link"]]
LATENESS_MS = [*[0, 200, 5_000] * 5, 400_000, -200_000, -300_000, -300_001, -80_000_000]
KINDS = [*["electrical_monitor"] * 4, "smoke_detector"]


@st.composite
def quantities(draw: st.DrawFn) -> dict[str, list[float]]:
    """What one report measures: often all, sometimes nothing, now and then a component more."""
    names = draw(st.sets(st.sampled_from(sorted(QUANTITY_VALUES)), min_size=1, max_size=4))
    return {
        name: draw(st.lists(st.sampled_from(QUANTITY_VALUES[name]), min_size=draw(st.integers(0, 1)), max_size=3))
        for name in sorted(names)
    }


@st.composite
def reports_of_a_fleet(draw: st.DrawFn, most: int = 30) -> list[tuple[dict[str, Any], int]]:
    """Reports and their arrival, a device's time going on by chosen steps and now and then jumping."""
    clock: dict[str, int] = {}
    found: list[tuple[dict[str, Any], int]] = []
    for _ in range(draw(st.integers(1, most))):
        device = draw(st.sampled_from(["LY-1"] * 5 + ["CP-2", "OWN-3"]))
        steps = JUMPS_MS if draw(st.integers(0, 9)) == 9 else STEPS_MS
        clock[device] = clock.get(device, T0) + draw(st.sampled_from(steps))
        kind = "charging_pile" if device == "CP-2" else draw(st.sampled_from(KINDS))
        fields: dict[str, Any] = dict(draw(quantities()))
        if draw(st.booleans()):
            fields["seq"] = draw(st.sampled_from([0, 1, 2, 65_535, 65_536]))
        if draw(st.integers(0, 5)) == 0:
            fields["faults"] = draw(st.sampled_from(FAULTS))
        if draw(st.integers(0, 5)) == 0:
            fields["test"] = True
        found.append((report(clock[device], device, kind, **fields), draw(st.sampled_from(LATENESS_MS))))
    return found


@st.composite
def fleets(draw: st.DrawFn, most: int = 24) -> list[Record]:
    """Records of a partition: single reports and arrays, repeats and swaps, here and there one that is no report."""
    found = draw(reports_of_a_fleet(most))
    repeats = draw(st.lists(st.integers(0, len(found) - 1), max_size=4))
    found += [found[number] for number in repeats]
    for swap in draw(st.lists(st.integers(0, len(found) - 2), max_size=6)) if len(found) > 1 else ():
        found[swap], found[swap + 1] = found[swap + 1], found[swap]
    records: list[Record] = []
    offset = draw(st.integers(0, 3))
    while found:
        taken = draw(st.sampled_from([1, 1, 1, 1, 2, 3, 5]))
        batch, found = found[:taken], found[taken:]
        ingest_ts = max(one["event_ts"] for one, _ in batch) + batch[0][1]
        records.append(record(offset, *(one for one, _ in batch), ingest_ts=ingest_ts))
        offset += draw(st.sampled_from([1, 1, 1, 2, 7]))
        if draw(st.integers(0, 9)) == 0:
            records.append((offset, ingest_ts, draw(st.sampled_from([b"{", b"[]", b"", b"[1]", b'{"v":1}']))))
            offset += 1
    return records
