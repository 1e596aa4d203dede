"""Makes a fixture of rows that an earlier release wrote, by that release: the rows of some devices with open alarms,
baselines and minutes, the alarm events until then, and what the release says of the records that come next.

    git worktree add /somewhere/else COMMIT && cd /somewhere/else
    python THIS_FILE COMMIT > tests/detectors/releases/COMMIT.json     (with the packages of emberline installed)

1f5b90e.json is of the last commit before the senders' issue, 666a82c.json of the last before rows told their layout,
0e860e8.json of the last before a first value could be provisional and rises were of a component's own level.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

sys.path.insert(0, "")

import numpy as np

try:
    from detectors.checkpoints.encode import encode
    from detectors.checkpoints.layout import TEXT, VERSION
except ImportError:
    from detectors.checkpoint import VERSION, encode  # type: ignore[import-not-found, no-redef]

    TEXT = b""  # type: ignore[misc]
from detectors.limits import load_limits
from detectors.process import process
from detectors.state import PartitionState
from schemas.reports import decode

T0 = 1_790_000_040_000
"""The beginning of a minute."""
PERIOD_MS = 600_000


def report(at_ms: int, device_id: str, kind: str = "electrical_monitor", **fields: Any) -> dict[str, Any]:
    return {"v": 1, "device_id": device_id, "device_kind": kind, "event_ts": T0 + at_ms, **fields}


def before() -> list[list[dict[str, Any]]]:
    """Twelve periods in which a baseline is learned; then alarms open, one is normal again, one is of a test."""
    records = [
        [report(number * PERIOD_MS, "LY-1", residual_current_ma=[60, 61], temperature_c=[30.5])] for number in range(12)
    ]
    at = 12 * PERIOD_MS
    for number, (current, heat, pile) in enumerate([(60, 30, 5), (450, 65, 40), (451, 66, 5)]):
        now = at + number * PERIOD_MS
        records += [
            [report(now, "LY-1", residual_current_ma=[current, 61], temperature_c=[30.5, 31])],
            [report(now, "LY-1", test=True, temperature_c=[30 if number == 0 else 90])],
            [report(now, "LY-2", temperature_c=[heat, -200, 31], current_a=[1.5, 2.5], voltage_v=[230, 231])],
            [report(now, "CP-3", "charging_pile", residual_current_ma=[pile], power_w=[100.25])],
        ]
    # Several reports of a minute, and the neighbour of that minute; one comes late.
    now = at + 2 * PERIOD_MS
    records += [
        [report(now + ms, "电-4", arc_half_cycles=[0], temperature_c=[20 + ms / 1000], faults=["sensor_open"])]
        for ms in (1_000, 2_000, 61_000, 59_500)
    ]
    records.append([report(now, "SM-5", "smoke_detector", smoke=[0]), report(now + 1, "SM-6", "smoke_detector")])
    return records


def then() -> list[list[dict[str, Any]]]:
    """What ends, raises and renews the alarms."""
    at = 15 * PERIOD_MS
    return [
        one
        for number in range(3)
        for now in (at + number * PERIOD_MS,)
        for one in (
            [report(now, "LY-1", residual_current_ma=[55, 61], temperature_c=[30.5, 31])],
            [report(now, "LY-1", test=True, temperature_c=[30])],
            [report(now, "LY-2", temperature_c=[75, -200, 31], current_a=[1.5, 2.5], voltage_v=[230, 231])],
            [report(now, "CP-3", "charging_pile", residual_current_ma=[45], power_w=[100.25])],
        )
    ]


def numbered(first: int, records: list[list[dict[str, Any]]]) -> list[tuple[int, int, str]]:
    """Offset, arrival and value of each."""
    return [
        (first + number, max(one["event_ts"] for one in reports) + 1_000, json.dumps(reports, ensure_ascii=False))
        for number, reports in enumerate(records)
    ]


def processed(records: list[tuple[int, int, str]], state: PartitionState) -> Any:
    """What this release says of records."""
    try:
        from schemas.records import Records
    except ImportError:
        from schemas.reports import Records  # type: ignore[attr-defined]
    offsets, arrivals, values = zip(*records, strict=True)
    limits = load_limits()
    columns = Records(
        topic="emberline.telemetry",
        partition=0,
        offsets=np.array(offsets),
        timestamps=np.array(arrivals),
        keys=[b"key"] * len(records),
        values=[value.encode() for value in values],
        headers=[()] * len(records),
    )
    more = (limits.absences,) if hasattr(limits, "absences") else ()
    return process(decode(columns, *more)[0], state, limits, arrivals[-1])


def told(alarms: list[Any]) -> list[dict[str, Any]]:
    names = ("alarm_id", "event", "severity", "kind", "device_id", "component", "test", "onset_ts", "source_offset")
    return [{name: getattr(alarm, name) for name in names} for alarm in alarms]


def main(commit: str) -> None:
    state = PartitionState()
    first = numbered(1_000, before())
    alarms = told(processed(first, state).alarms)
    rows = {
        base64.b64encode(key).decode(): base64.b64encode(value).decode()
        for key, value in encode(state, range(len(state)))
    }
    later = numbered(first[-1][0] + 1, then())
    made = {"commit": commit, "version": VERSION, "layout": TEXT.decode(), "rows": rows, "alarms": alarms}
    made |= {"then": later, "then_alarms": told(processed(later, state).alarms)}
    json.dump(made, sys.stdout, ensure_ascii=False, indent=1)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
