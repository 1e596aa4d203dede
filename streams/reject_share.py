"""How much of the input is bad, and whose it is. A high share is logged loudly, and never a reason to stop."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from common.metrics import Metrics
from common.seldom import Seldom
from detectors.device_status import MISPLACED
from schemas.records import Records
from schemas.rejects import UNKNOWN_GATEWAY, gateway_of
from schemas.report_rejects import Reject
from schemas.report_rules import Fault
from schemas.reports import Reports

log = logging.getLogger("emberline.detect")

REJECT_WINDOW: Final = 2_000
"""Items by which the share of bad input is judged: enough that one bad gateway is not taken for a city's [ours]."""
OTHER: Final = "other"
GATEWAYS_MOST: Final = 200
"""Gateways that have counters of their own in a worker: each name is a time series for good [ours]."""
_KEY_LENGTH_MOST: Final = 64


class _Bad(NamedTuple):
    gateway: str
    fault: Fault
    key: bytes | None


class RejectShare:
    """Counts good and bad input by gateway, and says so where the share of what is bad exceeds `loud_above`."""

    def __init__(self, loud_above: float, metrics: Metrics) -> None:
        self._loud_above = loud_above
        self._metrics = metrics
        self._recent: deque[_Bad | None] = deque(maxlen=REJECT_WINDOW)
        self._names: set[str] = set()
        self._seldom, self._misplaced = Seldom(log), Seldom(log)
        self.remark: str | None = None

    def note(self, records: Records, reports: Reports, rejects: list[Reject]) -> None:
        """Count what became of some records."""
        good = reports.good
        for gateway, count in _by_gateway(records, good):
            self._metrics.add("emberline_gateway_reports_total", count, gateway=self._counted_as(gateway))
        if misplaced := [number for number, notes in reports.notes.items() if MISPLACED in notes]:
            self._note_misplaced(records, reports.offset[misplaced])
        bad = [
            one
            for reject in rejects
            for one in [_Bad(gateway_of(reject.headers), reject.fault, reject.key)] * reject.reports
        ]
        for reason, count in Counter(one.fault.reason for one in bad).items():
            self._metrics.add("emberline_rejects_total", count, reason=reason)
        for gateway, count in Counter(one.gateway for one in bad).items():
            self._metrics.add("emberline_gateway_rejects_total", count, gateway=self._counted_as(gateway))
        self._recent.extend([None] * min(len(good), REJECT_WINDOW))
        self._recent.extend(bad)
        self._judge(len(bad))

    def _note_misplaced(self, records: Records, offsets: np.ndarray) -> None:
        of = np.searchsorted(records.offsets, offsets).tolist()
        told = Counter(gateway_of(records.headers[number]) for number in of)
        for gateway, count in told.items():
            self._metrics.add("emberline_gateway_misplaced_total", count, gateway=self._counted_as(gateway))
        (worst, _), *_ = told.most_common(1)
        self._misplaced.warn(
            f"reports of gateway {worst} are in other partitions than their keys belong to: it must hash keys by "
            "Kafka's murmur2; in librdkafka that is partitioner=murmur2_random",
            len(of),
        )

    def _counted_as(self, gateway: str) -> str:
        if gateway not in self._names:
            if len(self._names) >= GATEWAYS_MOST:
                return OTHER
            self._names.add(gateway)
        return gateway

    def _judge(self, new: int) -> None:
        bad = [one for one in self._recent if one is not None]
        self._metrics.set("emberline_reject_share", len(bad) / max(1, len(self._recent)))
        if len(bad) <= self._loud_above * REJECT_WINDOW:
            self.remark = None
            return
        self.remark = _told(bad, len(self._recent))
        if new:
            self._seldom.warn(self.remark, new)


def _told(bad: list[_Bad], of: int) -> str:
    (worst, _), *_ = Counter((one.gateway, one.fault.reason) for one in bad).most_common(1)
    last = next(one for one in reversed(bad) if (one.gateway, one.fault.reason) == worst)
    key = "none" if last.key is None else repr(last.key[:_KEY_LENGTH_MOST].decode(errors="backslashreplace"))
    return (
        f"{len(bad) / of:.0%} of the last {of} reports are bad, most from gateway {last.gateway}: "
        f"{last.fault.reason}: {last.fault.detail}; the last one's key is {key}"
    )


def _by_gateway(records: Records, reports: Reports) -> Iterator[tuple[str, int]]:
    """How many of the reports each gateway sent."""
    if not len(reports):
        return
    if not any(records.headers):
        yield UNKNOWN_GATEWAY, len(reports)
        return
    counts = np.bincount(np.searchsorted(records.offsets, reports.offset), minlength=len(records.offsets)).tolist()
    found = Counter[str]()
    for headers, count in zip(records.headers, counts, strict=True):
        found[gateway_of(headers)] += count
    yield from found.items()
