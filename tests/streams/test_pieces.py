"""Chunks in pieces: nothing is lost between them, and none is too long."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import orjson
import pytest

from detectors.log_time import LogTime
from schemas.absences import shipped
from schemas.records import Records
from schemas.reports import Reports, decode
from streams.pieces import OF_DEVICE_MOST, REPORTS_ENOUGH, Piece, pieces_of


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


def _pieces(records: Records) -> list[Piece]:
    return list(pieces_of(records, shipped(), LogTime()))


def _of_one_device(piece: Piece) -> int:
    return max(Counter(piece.reports.device_id).values(), default=0)


def _check(records: Records, pieces: list[Piece]) -> None:
    """Together they are the chunk, and each holds the rejects between its reports."""
    reports, rejects = decode(records)
    together = Reports.joined([piece.reports for piece in pieces])
    assert together.device_id == reports.device_id
    assert together.offset.tolist() == reports.offset.tolist()
    assert together.index.tolist() == reports.index.tolist()
    assert [reject for piece in pieces for reject in piece.rejects] == rejects
    for before, after in pairwise(pieces):
        first = (int(after.reports.offset[0]), int(after.reports.index[0])) if len(after.reports) else (2**62, 0)
        assert all((reject.offset, reject.index) < first for reject in before.rejects)


def test_a_common_chunk_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.pieces.DECODE_S", math.inf)  # the machine may be busy
    records = _chunk([orjson.dumps(_report(f"D-{number % 300}", number)) for number in range(900)])
    pieces = _pieces(records)
    _check(records, pieces)
    assert len(pieces) == 1


def test_many_reports_of_one_device_are_parted_with_the_bad_records_between_them() -> None:
    values = [orjson.dumps(_report("D", number)) if number % 7 else b"{" for number in range(1_000)]
    records = _chunk([b"[", *values, b"]"])
    pieces = _pieces(records)
    _check(records, pieces)
    assert max(_of_one_device(piece) for piece in pieces) <= OF_DEVICE_MOST


def test_a_record_may_be_parted_and_so_are_its_rejects() -> None:
    arrays = [orjson.dumps([_report("D", 40 * number + each) for each in range(40)]) for number in range(20)]
    half_bad = [_report("E", each) if each % 2 else {"v": 1} for each in range(500)]
    records = _chunk([*arrays, orjson.dumps(half_bad)])
    pieces = _pieces(records)
    _check(records, pieces)
    assert max(_of_one_device(piece) for piece in pieces) <= OF_DEVICE_MOST


def test_tiny_reports_of_many_devices_are_parted_by_their_number() -> None:
    arrays = [orjson.dumps([{**_report(f"D-{number}-{each}", 0)} for each in range(1_000)]) for number in range(10)]
    records = _chunk(arrays)
    pieces = _pieces(records)
    _check(records, pieces)
    assert max(len(piece.reports) for piece in pieces) <= REPORTS_ENOUGH + 1_000
    assert max(Counter(device for piece in pieces for device in piece.reports.device_id).values()) == 1


def test_records_without_any_report_are_pieces_too() -> None:
    records = _chunk([b""] * 5_000)
    pieces = _pieces(records)
    assert sum(len(piece.rejects) for piece in pieces) == 5_000
