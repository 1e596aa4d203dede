"""Rejects: what of a record cannot be read or is not judged. All of it is told, but in a bounded number of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
import orjson

from schemas.records import Headers, Records, bytes_of_record, header_bytes
from schemas.report_json import Parsed, bytes_of, loads
from schemas.report_rules import MAX_DETAIL_BYTES, Fault, fault_of

UNREAD_MOST: Final = (3, 600)
UNJUDGED_MOST: Final = (1, 400)
"""All rejects of a record that could not be read, and all of those that were not judged, are together at most so many
times as large as the record was when it was sent, and so many bytes more: what a sender sends is told, but not
multiplied [ours]."""
REJECT_OVERHEAD_BYTES: Final = 360
"""What our own headers take of that, but for the reason and its detail (`schemas.rejects`)."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected record, or one rejected report of a record (`index` is then its number in it, else -1).

    It stands for `reports` of them where there were too many to tell each. `cut` is how many bytes its value had, where
    there was no room for all of them, else -1.
    """

    offset: int
    index: int
    fault: Fault
    key: bytes | None
    value: bytes | None
    headers: Headers
    ingest_ts: int
    reports: int = 1
    cut: int = -1


def reject_record(records: Records, number: int, fault: Fault) -> Reject:
    """The reject of a whole record, cut to what it may take."""
    return _fitted(_reject(records, number, -1, fault, records.values[number]), _allowance(records, number))


def _reject(records: Records, number: int, index: int, fault: Fault, value: bytes | None) -> Reject:
    return Reject(
        offset=int(records.offsets[number]),
        index=index,
        fault=fault,
        key=records.keys[number],
        value=value,
        headers=records.headers[number],
        ingest_ts=int(records.timestamps[number]),
    )


def reject_reports(records: Records, faults: Mapping[tuple[int, int], Fault]) -> list[Reject]:
    """The rejects of single reports that are good but were not judged, by the offset and the index of each, in their
    order. They hold no value: the reports are stored."""
    rejects: list[Reject] = []
    for offset, reports in groupby(sorted(faults), lambda at: at[0]):
        number = int(np.searchsorted(records.offsets, offset))
        told = [(index, faults[offset, index], None) for _, index in reports]
        share = len(told) / _reports_in(records.values[number] or b"")
        times, more = UNJUDGED_MOST
        rejects += _of_record(records, number, told, int(times * share * _bytes(records, number)) + more)
    return rejects


def _reports_in(record: bytes) -> int:
    try:
        held = loads(record)
    except orjson.JSONDecodeError:
        return 1
    return len(held) if type(held) is list else 1


def judged_reports(records: Records, parsed: Parsed, bad: np.ndarray) -> Iterator[Reject]:
    """The rejects of single reports. Their records are parsed once more, for of them only the columns are left."""
    for number, reports in groupby(bad.nonzero()[0].tolist(), parsed.record.item):
        record = records.values[number] or b""
        held = loads(record)
        indices = [parsed.index_in_record.item(report) for report in reports]
        told = ((index, *_fault_and_bytes(held, index, record)) for index in indices)
        yield from _of_record(records, number, told, _allowance(records, number), len(indices))


def _fault_and_bytes(held: Any, index: int, record: bytes) -> tuple[Fault, bytes]:
    report, value = (held, record) if type(held) is dict else (held[index], bytes_of(held[index], record))
    fault = fault_of(report)
    assert fault is not None, "fault_of lets through a report that _columns does not take"
    return fault, value


def _of_record(
    records: Records,
    number: int,
    told: Iterable[tuple[int, Fault, bytes | None]],
    allowed: int,
    size: int | None = None,
) -> list[Reject]:
    """The rejects of reports of a record, as many as may be told one by one and one for all others. There are `size` of
    `told`, index, fault and value of each."""
    if size is None:
        told = list(told)
        size = len(told)
    rejects: list[Reject] = []
    for left, (index, fault, value) in zip(range(size, 0, -1), told, strict=True):
        reject = _reject(records, number, index, fault, value)
        more = Fault(fault.reason, f"{left} reports of this record from here on, too many to tell each: {fault.detail}")
        if _size(reject) + (_told_bytes(more) if left > 1 else 0) > allowed:
            if left == 1 and not rejects:
                return [_fitted(reject, allowed)]
            whole, more = len(records.values[number] or b""), _shortened(more, allowed)
            return [*rejects, Reject(reject.offset, index, more, None, None, (), reject.ingest_ts, left, whole)]
        allowed -= _size(reject)
        rejects.append(reject)
    return rejects


def _allowance(records: Records, number: int) -> int:
    """How many bytes the rejects of a record that could not be read may take."""
    times, more = UNREAD_MOST
    return times * _bytes(records, number) + more


def _bytes(records: Records, number: int) -> int:
    """What a record took as it was sent."""
    if records.sent_bytes is not None:
        return int(records.sent_bytes[number])
    return bytes_of_record(records.keys[number], records.values[number], records.headers[number])


def _told_bytes(fault: Fault) -> int:
    return REJECT_OVERHEAD_BYTES + len(fault.reason) + min(len(fault.detail.encode()), MAX_DETAIL_BYTES)


def _size(reject: Reject) -> int:
    return _told_bytes(reject.fault) + len(reject.key or b"") + len(reject.value or b"") + header_bytes(reject.headers)


def _shortened(fault: Fault, allowed: int) -> Fault:
    """A fault whose detail leaves a reject within what it may take."""
    room = max(allowed - REJECT_OVERHEAD_BYTES - len(fault.reason), 0)
    detail = fault.detail.encode()
    return fault if len(detail) <= room else Fault(fault.reason, detail[:room].decode(errors="ignore"))


def _fitted(reject: Reject, allowed: int) -> Reject:
    """A reject cut to what it may take: of its detail what is too long, then its headers go, then its key, then of its
    value the end."""
    if _size(reject) <= allowed:
        return reject
    fault = _shortened(reject.fault, allowed)
    room = allowed - _told_bytes(fault)
    headers = reject.headers if header_bytes(reject.headers) <= room // 2 else ()
    room -= header_bytes(headers)
    key = reject.key if len(reject.key or b"") <= room // 2 else None
    room -= len(key or b"")
    value, whole = reject.value, len(reject.value or b"")
    if value is not None:
        value = value[: max(room, 0)]
    return Reject(reject.offset, reject.index, fault, key, value, headers, reject.ingest_ts, reject.reports, whole)
