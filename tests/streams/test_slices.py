"""Chunks in pieces: nothing is lost between them, and none is too long."""

from __future__ import annotations

from collections import Counter

import numpy as np
import orjson

from schemas.reports import Records, decode
from streams.slices import OF_DEVICE_MOST, REPORTS_ENOUGH, Slice, slices


def _report(device: str, seq: int) -> dict[str, object]:
    return {
        "v": 1,
        "device_id": device,
        "device_kind": "electrical_monitor",
        "event_ts": 1_790_000_000_000 + seq,
        "residual_current_ma": [20.0],
    }


def _chunk(values: list[bytes]) -> Records:
    count = len(values)
    return Records(
        topic="emberline.telemetry",
        partition=0,
        offsets=np.arange(0, 2 * count, 2),
        timestamps=np.full(count, 1_790_000_000_000),
        keys=[b"k"] * count,
        values=values,
        headers=[()] * count,
    )


def _check(records: Records, pieces: list[Slice]) -> None:
    """Together they are the chunk, and each holds the reports and the rejects of its own records."""
    assert [offset for piece in pieces for offset in piece.records.offsets] == records.offsets.tolist()
    for piece in pieces:
        reports, rejects = decode(piece.records)
        assert piece.reports.device_id == reports.device_id
        assert piece.reports.offset.tolist() == reports.offset.tolist()
        assert piece.rejects == rejects


def test_a_common_chunk_is_one_piece() -> None:
    records = _chunk([orjson.dumps(_report(f"D-{number % 300}", number)) for number in range(900)])
    pieces = list(slices(records))
    _check(records, pieces)
    assert len(pieces) == 1


def test_many_reports_of_one_device_are_parted_with_the_bad_records_between_them() -> None:
    values = [orjson.dumps(_report("D", number)) if number % 7 else b"{" for number in range(1_000)]
    records = _chunk([b"[", *values, b"]"])
    pieces = list(slices(records))
    _check(records, pieces)
    assert max(len(piece.reports) for piece in pieces) <= OF_DEVICE_MOST


def test_a_record_is_not_parted() -> None:
    arrays = [orjson.dumps([_report("D", 40 * number + each) for each in range(40)]) for number in range(20)]
    records = _chunk([*arrays, orjson.dumps([_report("E", each) for each in range(500)])])
    pieces = list(slices(records))
    _check(records, pieces)
    assert {len(piece.reports) for piece in pieces} == {40, 500}


def test_tiny_reports_of_many_devices_are_parted_by_their_number() -> None:
    arrays = [orjson.dumps([{**_report(f"D-{number}-{each}", 0)} for each in range(1_000)]) for number in range(10)]
    records = _chunk(arrays)
    pieces = list(slices(records))
    _check(records, pieces)
    assert len(pieces) > 1
    assert max(len(piece.reports) for piece in pieces) < 2 * REPORTS_ENOUGH
    assert max(Counter(device for piece in pieces for device in piece.reports.device_id).values()) == 1


def test_records_without_any_report_are_pieces_too() -> None:
    records = _chunk([b""] * 5_000)
    pieces = list(slices(records))
    assert sum(len(piece.rejects) for piece in pieces) == 5_000
