"""Whose input is bad, counted within bounds and said seldom."""

from __future__ import annotations

import logging

import numpy as np
import orjson
import pytest

from common.metrics import Metrics
from detectors.limits import load_limits
from detectors.log_time import LogTime
from schemas.records import Records
from schemas.rejects import UNKNOWN_GATEWAY, gateway_of
from schemas.reports import decode
from streams.partitioner import partition_of
from streams.pieces import pieces_of
from streams.reject_share import GATEWAYS_MOST, OTHER, RejectShare

GOOD = orjson.dumps(
    {"v": 1, "device_id": "D", "device_kind": "electrical_monitor", "event_ts": 1_790_000_000_000}
    | {"residual_current_ma": [20.0]}
)


def _records(values: list[bytes], gateways: list[bytes | None]) -> Records:
    count = len(values)
    return Records(
        topic="emberline.telemetry",
        partition=0,
        offsets=np.arange(count),
        timestamps=np.full(count, 1_790_000_000_000),
        keys=[b"k"] * count,
        values=values,
        headers=[[("gateway", gateway)] for gateway in gateways],
    )


def _note(share: RejectShare, records: Records) -> None:
    share.note(records, *decode(records))


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("headers", "gateway"),
    [
        ([], UNKNOWN_GATEWAY),
        ([("other", b"x")], UNKNOWN_GATEWAY),
        ([("gateway", None)], UNKNOWN_GATEWAY),
        ([("gateway", b"\xff")], UNKNOWN_GATEWAY),
        ([("gateway", b"x" * 65)], UNKNOWN_GATEWAY),
        ([("gateway", b"a\nb")], UNKNOWN_GATEWAY),
        ([("gateway", "网关".encode())], "网关"),
    ],
)
def test_a_gateway_is_named_by_a_short_header(headers: list[tuple[str, bytes | None]], gateway: str) -> None:
    assert gateway_of(headers) == gateway


def test_misplaced_reports_are_counted_by_gateway_and_the_worst_is_named(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    share = RejectShare(0.05, metrics)
    records = _records([GOOD] * 4, [b"crc32", b"crc32", b"other", b"right"])._replace(
        keys=[b"foobar"] * 3 + [b"21"], partition=partition_of(b"21", 8)
    )
    (piece,) = pieces_of(records, load_limits().absences, LogTime(), partitions=8)
    with caplog.at_level(logging.WARNING):
        share.note(records, piece.reports, piece.rejects)
    counts = [
        _value(metrics, "emberline_gateway_misplaced_total", gateway=name) for name in ("crc32", "other", "right")
    ]
    assert counts == [2, 1, None]
    assert "reports of gateway crc32 are in other partitions" in caplog.text
    assert "(3 since" in caplog.text


def test_gateways_beyond_a_number_are_counted_together() -> None:
    metrics = Metrics()
    share = RejectShare(0.5, metrics)
    names: list[bytes | None] = [b"g-%d" % number for number in range(GATEWAYS_MOST + 50)]
    _note(share, _records([GOOD] * len(names), names))
    assert _value(metrics, "emberline_gateway_reports_total", gateway="g-0") == 1
    assert _value(metrics, "emberline_gateway_reports_total", gateway=OTHER) == 50


def test_what_is_bad_is_said_once_in_a_while_and_no_more_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    share = RejectShare(0.05, Metrics())
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            _note(share, _records([b"{"] * 40 + [GOOD] * 60, [b"g-7"] * 100))
        assert share.remark is not None
        assert share.remark.startswith("40% of the last 2000 reports are bad, most from gateway g-7: not_json: ")
        _note(share, _records([GOOD] * 2_000, [b"g-7"] * 2_000))
    assert share.remark is None
    assert len(caplog.records) == 1
