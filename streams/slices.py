"""A chunk in pieces short enough that the loop, and what else it has to do, need not wait: for detection.

A piece begins where a record does. It is decoded by parts, as many as fit the time; what comes of them is cut where it
is too many reports of one device, which are worked off one after the other.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from schemas.reports import PART_BYTES, Records, Reject, Reports, decode

REPORTS_ENOUGH: Final = 5_000
"""Reports of a piece, and at most a part's more: some 40 ms [measured]. A common chunk is one piece."""
OF_DEVICE_MOST: Final = 64
"""Reports of one device in a piece, each a round of its own: some 15 ms, on a slow machine 60 [measured]."""
DECODE_S: Final = 0.04
"""Parts are decoded for so long before what they held is worked off."""


class Slice(NamedTuple):
    """Some consecutive records of a chunk, and what they hold. `seconds` is what decoding them took."""

    records: Records
    reports: Reports
    rejects: list[Reject]
    seconds: float


def slices(records: Records) -> Iterator[Slice]:
    """The records piece by piece. What comes next is decoded when it is asked for."""
    begin, parts, rejects = 0, list[Reports](), list[Reject]()
    seconds, count = 0.0, 0
    edges = _part_edges(records)
    for first, beyond in pairwise(edges):
        began = time.perf_counter()
        reports, bad = decode(records.between(first, beyond))
        seconds += time.perf_counter() - began
        parts.append(reports)
        rejects += bad
        count += len(reports)
        if beyond == edges[-1] or count >= REPORTS_ENOUGH or seconds >= DECODE_S:
            whole = Slice(records.between(begin, beyond), Reports.joined(parts), rejects, seconds)
            yield from _cut(whole)
            begin, parts, rejects, seconds, count = beyond, [], [], 0.0, 0


def _part_edges(records: Records) -> list[int]:
    """Where the parts begin that are decoded at once, of no more than `PART_BYTES` or one record, and the end."""
    beyond = np.cumsum(np.fromiter((0 if value is None else len(value) for value in records.values), np.int64))
    edges = [0]
    while edges[-1] < len(beyond):
        taken = int(beyond[edges[-1] - 1]) if edges[-1] else 0
        edges.append(max(edges[-1] + 1, int(np.searchsorted(beyond, taken + PART_BYTES, side="right"))))
    return edges


def _cut(whole: Slice) -> Iterator[Slice]:
    """The piece, or as many as it takes."""
    offsets = whole.reports.offset
    begins = [0, *_begins(whole.reports), len(offsets)]
    if len(begins) == 2:
        yield whole
        return
    reports = np.array(begins[1:-1])
    cuts = [0, *np.searchsorted(whole.records.offsets, offsets[reports]).tolist(), len(whole.records.offsets)]
    bad = np.array([reject.offset for reject in whole.rejects], np.int64)
    rejects = [0, *np.searchsorted(bad, offsets[reports]).tolist(), len(bad)]
    for (first, beyond), (record, next_record), (reject, next_reject) in zip(
        pairwise(begins), pairwise(cuts), pairwise(rejects), strict=True
    ):
        yield Slice(
            whole.records.between(record, next_record),
            whole.reports.between(first, beyond),
            whole.rejects[reject:next_reject],
            whole.seconds * (beyond - first) / len(offsets),
        )


def _begins(reports: Reports) -> Iterator[int]:
    """Where pieces after the first begin: at a record, before there are too many reports of a device."""
    if max(Counter(reports.device_id).values(), default=0) <= OF_DEVICE_MOST:
        return
    begins = [0, *((np.diff(reports.offset) > 0).nonzero()[0] + 1).tolist(), len(reports)]
    piece, seen = 0, Counter[str]()
    for first, beyond in pairwise(begins):
        of_record = reports.device_id[first:beyond]
        seen.update(of_record)
        if first > piece and any(seen[device] > OF_DEVICE_MOST for device in of_record):
            yield first
            piece, seen = first, Counter(of_record)
