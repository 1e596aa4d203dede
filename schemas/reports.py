"""The telemetry report, version 1: from the bytes of Kafka records to numpy columns and rejects.

`decode` is the only way in. `report_rules.read` states what a report says, one report at a time; `_columns` reads field
after field of the whole chunk and agrees with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, combinations, compress, groupby, pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self, TypeVar

import numpy as np
import orjson

from schemas.absences import Absences, shipped
from schemas.quantities import DEVICE_KINDS, QUANTITIES
from schemas.report_fields import (
    NO_MARKS,
    Arrays,
    Marks,
    arrays,
    faults,
    flags,
    good_ids,
    good_versions,
    integers,
    kind_codes,
    mark,
    sequences,
)
from schemas.report_json import Parsed, bytes_of, loads, parse
from schemas.report_rules import (
    AHEAD_MS,
    BEHIND_MS,
    MAX_DETAIL_BYTES,
    Fault,
    fault_of,
    in_order,
    read_faults,
    read_flag,
    read_kind,
    read_seq,
    read_times,
)

T = TypeVar("T")

_ALIKE: Final = {
    (one, other): np.array([*({one.name, other.name} <= set(kind.axis) for kind in DEVICE_KINDS), False])
    for one, other in combinations(QUANTITIES, 2)
    if any({one.name, other.name} <= set(kind.axis) for kind in DEVICE_KINDS)
}
"""Pairs of quantities that run over the same parts in some kind of device, and by its code in which; last stands the
kind that is not known."""

PART_BYTES: Final = 98_304
"""Records of so many bytes are decoded at once: what is parsed of them then stays in the processor's cache until it is
columns. Whole fetches of a mebibyte take half as long again [measured]."""

UNREAD_MOST: Final = (3, 600)
UNJUDGED_MOST: Final = (1, 400)
"""All rejects of a record that could not be read, and all of those that were not judged, are together at most so many
times as large as the record was when it was sent, and so many bytes more: what a sender sends is told, but not
multiplied [ours]."""
REJECT_OVERHEAD_BYTES: Final = 280
"""What our own headers take of that, but for the reason and its detail (`schemas.rejects`)."""


Headers = Sequence[tuple[str, bytes | None]]


class Records(NamedTuple):
    """Consecutive records of one partition, as columns. `timestamps` are the broker's, int64 epoch ms.

    `sent_bytes`, int64[n], is what each took as it was sent: of a compressed batch its share. None is for records that
    were sent as they are. `faults` says by number why records could not be taken from their batch; they are empty.
    """

    topic: str
    partition: int
    offsets: np.ndarray
    timestamps: np.ndarray
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    sent_bytes: np.ndarray | None = None
    faults: Mapping[int, Fault] = MappingProxyType({})

    def between(self, begin: int, end: int) -> Records:
        """The records `begin` to `end`, that one not included."""
        part = slice(begin, end)
        return self._replace(
            offsets=self.offsets[part],
            timestamps=self.timestamps[part],
            keys=self.keys[part],
            values=self.values[part],
            headers=self.headers[part],
            sent_bytes=None if self.sent_bytes is None else self.sent_bytes[part],
            faults={number - begin: fault for number, fault in self.faults.items() if begin <= number < end},
        )

    @classmethod
    def joined(cls, parts: Sequence[Records]) -> Records:
        """The records of all parts, which follow each other in one partition."""
        *begins, _ = accumulate((len(part.offsets) for part in parts), initial=0)
        return cls(
            topic=parts[0].topic,
            partition=parts[0].partition,
            offsets=np.concatenate([part.offsets for part in parts]),
            timestamps=np.concatenate([part.timestamps for part in parts]),
            keys=[key for part in parts for key in part.keys],
            values=[value for part in parts for value in part.values],
            headers=[headers for part in parts for headers in part.headers],
            sent_bytes=(
                None
                if all(part.sent_bytes is None for part in parts)
                else np.concatenate([part.bytes_sent() for part in parts])
            ),
            faults={
                begin + number: fault
                for begin, part in zip(begins, parts, strict=True)
                for number, fault in part.faults.items()
            },
        )

    def bytes_sent(self) -> np.ndarray:
        """What each record took as it was sent, int64[n]."""
        if self.sent_bytes is not None:
            return self.sent_bytes
        sizes = map(_bytes_of_record, self.keys, self.values, self.headers)
        return np.fromiter(sizes, np.int64, len(self.offsets))


def _bytes_of_record(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    return len(key or b"") + len(value or b"") + _header_bytes(headers)


@dataclass(frozen=True, slots=True)
class Ragged:
    """One quantity over n reports: report i has the components `values[starts[i]:starts[i + 1]]`.

    `starts` is int64[n + 1]; `values` is float64[m], NaN where the component is absent.
    """

    starts: np.ndarray
    values: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Components of each report, int64[n]."""
        counts: np.ndarray = self.starts[1:] - self.starts[:-1]
        return counts

    def between(self, begin: int, end: int) -> Ragged:
        """Those of the reports `begin` to `end`, that one not included."""
        starts = self.starts[begin : end + 1]
        return Ragged(starts - starts[0], self.values[starts[0] : starts[-1]])

    def only(self, kept: np.ndarray) -> Ragged:
        """Those of the reports where `kept`, bool[n]."""
        return Ragged.of(self.counts[kept], self.values[np.repeat(kept, self.counts)])

    @classmethod
    def of(cls, counts: np.ndarray, values: np.ndarray) -> Self:
        """By the number of components of each report."""
        starts = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        return cls(starts, values)

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Self:
        """Those of all parts, one after the other."""
        return cls.of(np.concatenate([part.counts for part in parts]), np.concatenate([part.values for part in parts]))

    @classmethod
    def absent(cls, reports: int) -> Self:
        """No component in any report."""
        return cls(np.zeros(reports + 1, dtype=np.int64), np.empty(0))


_ARRAYS: Final = (
    "offset", "index", "ingest_ts", "event_ts", "ts", "by_arrival", "seq", "has_seq", "device_kind", "test", "rejected",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reports:
    """n reports as columns, in the order of their records. Times are int64 epoch milliseconds, UTC.

    `index` is the report's place in its record. `event_ts` is when it was measured by its device's clock, `ts` the
    moment it is judged by, which is its arrival where the clock is not credible (`by_arrival`). `seq` is uint64, meant
    only where `has_seq`. `device_kind` is a code, -1 where nobody knows it. `faults` and `notes` hold only the reports
    that have any, `marks` the components that have no value, or none yet; `quantities` holds only those that occur.

    Where `rejected`, nothing is known of a report but that its device talks: of a whole record that is rejected, whose
    key names a device, `index` is -1.
    """

    partition: int
    offset: np.ndarray
    index: np.ndarray
    ingest_ts: np.ndarray
    event_ts: np.ndarray
    ts: np.ndarray
    by_arrival: np.ndarray
    seq: np.ndarray
    has_seq: np.ndarray
    device_kind: np.ndarray
    test: np.ndarray
    rejected: np.ndarray
    device_id: Sequence[str]
    faults: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    notes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    marks: Marks = NO_MARKS
    quantities: Mapping[str, Ragged] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offset)

    @classmethod
    def joined(cls, parts: Sequence[Reports]) -> Self:
        """The reports of all parts of a partition, one after the other."""
        *begins, _ = accumulate(map(len, parts), initial=0)
        occurring = {name for part in parts for name in part.quantities}
        marks = [
            part.marks._replace(report=part.marks.report + begin) for begin, part in zip(begins, parts, strict=True)
        ]
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        return cls(
            partition=parts[0].partition,
            **columns,
            device_id=list(chain.from_iterable(part.device_id for part in parts)),
            faults=_renumbered((begin, part.faults) for begin, part in zip(begins, parts, strict=True)),
            notes=_renumbered((begin, part.notes) for begin, part in zip(begins, parts, strict=True)),
            marks=Marks(*map(np.concatenate, zip(*marks, strict=True))),
            quantities={
                quantity.name: Ragged.joined(
                    [part.quantities.get(quantity.name) or Ragged.absent(len(part)) for part in parts]
                )
                for quantity in QUANTITIES
                if quantity.name in occurring
            },
        )

    def between(self, begin: int, end: int) -> Reports:
        """The reports `begin` to `end`, that one not included."""
        part = slice(begin, end)
        columns = {name: getattr(self, name)[part] for name in _ARRAYS}
        return Reports(
            partition=self.partition,
            **columns,
            device_id=self.device_id[part],
            faults={number - begin: found for number, found in self.faults.items() if begin <= number < end},
            notes={number - begin: found for number, found in self.notes.items() if begin <= number < end},
            marks=self.marks.of_reports(begin, end),
            quantities={name: ragged.between(begin, end) for name, ragged in self.quantities.items()},
        )

    def only(self, kept: np.ndarray) -> Reports:
        """The reports where `kept`, bool[n]."""
        number = np.cumsum(kept) - 1
        quantities = {name: ragged.only(kept) for name, ragged in self.quantities.items()}
        columns = {name: getattr(self, name)[kept] for name in _ARRAYS}
        return Reports(
            partition=self.partition,
            **columns,
            device_id=list(compress(self.device_id, kept.tolist())),
            faults={int(number[row]): found for row, found in self.faults.items() if kept[row]},
            notes={int(number[row]): found for row, found in self.notes.items() if kept[row]},
            marks=self.marks.where(kept, number),
            quantities={name: ragged for name, ragged in quantities.items() if len(ragged.values)},
        )

    @property
    def good(self) -> Reports:
        """Those that are not rejected."""
        return self.only(~self.rejected) if self.rejected.any() else self


def _renumbered(parts: Iterable[tuple[int, Mapping[int, tuple[str, ...]]]]) -> dict[int, tuple[str, ...]]:
    return {begin + row: held for begin, part in parts for row, held in part.items()}


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected record, or one rejected report of a record (`index` is then its place, else -1).

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


def decode(records: Records, absences: Absences | None = None) -> tuple[Reports, list[Reject]]:
    """Decode a chunk of records; what cannot be read comes back as a reject, its neighbours unharmed.

    Never raises for bad input, and never loses any: every report of every record is in exactly one of the two, but that
    one that is rejected though its device is known stands among the reports too, as `rejected`.
    """
    parts = list(decoded(records, absences))
    if len(parts) == 1:
        return parts[0]
    return Reports.joined([reports for reports, _ in parts]), [reject for _, rejects in parts for reject in rejects]


def decoded(records: Records, absences: Absences | None = None) -> Iterator[tuple[Reports, list[Reject]]]:
    """As `decode`, part after part, at least one: a part takes some milliseconds."""
    for begin, end in pairwise(_edges(records.values)):
        yield _decode_part(records.between(begin, end), absences or shipped())


def _edges(values: Sequence[bytes | None]) -> list[int]:
    """Where parts of about `PART_BYTES` begin, at least one, and where the last of them ends."""
    sizes = [0 if value is None else len(value) for value in values]
    if (whole := sum(sizes)) <= PART_BYTES:
        return [0, len(values)]
    cuts = np.searchsorted(np.cumsum(sizes), np.arange(PART_BYTES, whole, PART_BYTES)).tolist()
    return [0, *sorted(set(cuts) - {0}), len(values)]


def _decode_part(records: Records, absences: Absences) -> tuple[Reports, list[Reject]]:
    parsed = parse(records.keys, records.values, records.faults)
    reports, bad, named = _columns(records, parsed, absences)
    rejects = [
        fitted(reject_record(records, number, fault), _allowance(records, number))
        for number, fault in parsed.faults.items()
    ]
    if np.count_nonzero(bad):
        rejects += _judged(records, parsed, bad & (parsed.place >= 0))
        reports = reports.only(~bad | named)
    rejects.sort(key=lambda reject: (reject.offset, reject.index))
    return reports, rejects


def reject_record(records: Records, number: int, fault: Fault) -> Reject:
    """The reject of a whole record."""
    return _reject(records, number, -1, fault, records.values[number])


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
    for offset, places in groupby(sorted(faults), lambda place: place[0]):
        number = int(np.searchsorted(records.offsets, offset))
        told = [(index, faults[offset, index], None) for _, index in places]
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


def _judged(records: Records, parsed: Parsed, bad: np.ndarray) -> Iterator[Reject]:
    """The rejects of single reports. Their records are parsed once more, for of them only the columns are left."""
    for number, rows in groupby(bad.nonzero()[0].tolist(), parsed.record.item):
        record = records.values[number] or b""
        held = loads(record)
        places = [parsed.place.item(row) for row in rows]
        told = ((index, *_fault_and_bytes(held, index, record)) for index in places)
        yield from _of_record(records, number, told, _allowance(records, number), len(places))


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
                return [fitted(reject, allowed)]
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
    return _bytes_of_record(records.keys[number], records.values[number], records.headers[number])


def _header_bytes(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value or b"") for name, value in headers)


def _told_bytes(fault: Fault) -> int:
    return REJECT_OVERHEAD_BYTES + len(fault.reason) + min(len(fault.detail.encode()), MAX_DETAIL_BYTES)


def _size(reject: Reject) -> int:
    return _told_bytes(reject.fault) + len(reject.key or b"") + len(reject.value or b"") + _header_bytes(reject.headers)


def _shortened(fault: Fault, allowed: int) -> Fault:
    """A fault whose detail leaves a reject within what it may take."""
    room = max(allowed - REJECT_OVERHEAD_BYTES - len(fault.reason), 0)
    detail = fault.detail.encode()
    return fault if len(detail) <= room else Fault(fault.reason, detail[:room].decode(errors="ignore"))


def fitted(reject: Reject, allowed: int) -> Reject:
    """A reject cut to what it may take: of its detail what is too long, then its headers go, then its key, then of its
    value the end."""
    if _size(reject) <= allowed:
        return reject
    fault = _shortened(reject.fault, allowed)
    room = allowed - _told_bytes(fault)
    headers = reject.headers if _header_bytes(reject.headers) <= room // 2 else ()
    room -= _header_bytes(headers)
    key = reject.key if len(reject.key or b"") <= room // 2 else None
    room -= len(key or b"")
    value, whole = reject.value, len(reject.value or b"")
    if value is not None:
        value = value[: max(room, 0)]
    return Reject(reject.offset, reject.index, fault, key, value, headers, reject.ingest_ts, reject.reports, whole)


def _columns(records: Records, parsed: Parsed, absences: Absences) -> tuple[Reports, np.ndarray, np.ndarray]:
    """All reports as columns, which of them are bad, and of which the device is known all the same, bool[n] each.

    Of bad ones the columns hold what is harmless.
    """
    fields = _Fields(parsed)
    named = fields.good("device_id", good_ids, "-")
    bad = ~fields.good("v", good_versions, None) | ~named
    fields.drop(bad)
    device_id = list(fields.column("device_id"))
    device_kind = fields.read("device_kind", kind_codes, read_kind)
    ingest_ts = records.timestamps[parsed.record]
    event_ts, ts, by_arrival = fields.times(ingest_ts)
    seq, has_seq = fields.sequences()
    test = fields.read("test", flags, read_flag)
    told = fields.faults()
    found, odd = fields.arrays()
    marks = mark(found, odd, device_kind, device_id, absences)
    for row in _shapes_differ(found, device_kind, fields.components()).nonzero()[0].tolist():
        fields.note(row, "components_differ")
    reports = Reports(
        partition=records.partition,
        offset=records.offsets[parsed.record],
        index=parsed.place,
        ingest_ts=ingest_ts,
        event_ts=event_ts,
        ts=ts,
        by_arrival=by_arrival,
        seq=seq,
        has_seq=has_seq,
        device_kind=device_kind,
        test=test,
        rejected=bad,
        device_id=device_id,
        faults=told,
        notes=fields.notes(bad),
        marks=marks,
        quantities=_ragged(found),
    )
    return reports, bad, named


class _Fields:
    """The fields of n reports as they are read, and the notes of what could not be used."""

    def __init__(self, parsed: Parsed) -> None:
        self._size = len(parsed.record)
        self.values: dict[str, Sequence[Any]] = dict(parsed.fields)
        self._notes: dict[int, list[str]] = {row: list(notes) for row, notes in parsed.unknown.items()}

    def column(self, name: str) -> Sequence[Any]:
        """A field of all reports, None where there is none."""
        return self.values.get(name) or (None,) * self._size

    def note(self, row: int, text: str) -> None:
        """Take a note down of one report."""
        self._notes.setdefault(row, []).append(text)

    def notes(self, bad: np.ndarray) -> dict[int, tuple[str, ...]]:
        """The notes of the reports that have any; of a bad one nothing is known but that its device talks."""
        return {row: in_order(notes) for row, notes in sorted(self._notes.items()) if not bad[row]}

    def good(self, name: str, judge: Callable[[Sequence[Any]], np.ndarray], harmless: Any) -> np.ndarray:
        """Where a field is as it must be, bool[n]; elsewhere it is `harmless` from here on."""
        values = self.column(name)
        found = judge(values)
        if not found.all():
            self.values[name] = [
                value if fine else harmless for value, fine in zip(values, found.tolist(), strict=True)
            ]
        return found

    def drop(self, bad: np.ndarray) -> None:
        """Let bad reports have no other field."""
        rows = bad.nonzero()[0].tolist()
        if rows:
            for name in self.values.keys() - {"device_id", "v"}:
                column = self.values[name] = list(self.values[name])
                for row in rows:
                    column[row] = None

    def read(
        self, name: str, whole: Callable[[Sequence[Any]], np.ndarray | None], one: Callable[[Any], Any]
    ) -> np.ndarray:
        """A field's column, as a whole or else value by value."""
        values = self.column(name)
        column = whole(values)
        return np.array(self._one_by_one(values, one)) if column is None else column

    def _one_by_one(self, values: Sequence[Any], one: Callable[[Any], tuple[Any, str]]) -> list[Any]:
        found = []
        for row, value in enumerate(values):
            read, text = one(value)
            found.append(read)
            if text:
                self.note(row, text)
        return found

    def sequences(self) -> tuple[np.ndarray, np.ndarray]:
        """The sequence numbers, uint64[n], and where there is one, bool[n]."""
        values = self.column("seq")
        found = sequences(values)
        if found is None:
            values = self._one_by_one(values, read_seq)
            found = np.array([value or 0 for value in values], np.uint64)
        if None not in values:
            return found, np.ones(self._size, np.bool_)
        return found, np.array([value is not None for value in values], np.bool_)

    def times(self, ingest_ts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`event_ts`, `ts` and `by_arrival`."""
        values = self.column("event_ts")
        event_ts = integers(values)
        if event_ts is None:
            event_ts = np.array(
                [value if type(value) is int and abs(value) < 2**62 else 0 for value in values], np.int64
            )
        odd = (event_ts > ingest_ts + AHEAD_MS) | (event_ts < ingest_ts - BEHIND_MS)
        ts, by_arrival = np.minimum(event_ts, ingest_ts), np.zeros(self._size, np.bool_)
        for row in odd.nonzero()[0].tolist():
            notes: list[str] = []
            event_ts[row], ts[row], by_arrival[row] = read_times(values[row], int(ingest_ts[row]), notes)
            for text in notes:
                self.note(row, text)
        return event_ts, ts, by_arrival

    def faults(self) -> dict[int, tuple[str, ...]]:
        """The faults of those rows that have any."""
        values = self.column("faults")
        found = faults(values)
        if found is None:
            found = {row: kept for row, kept in enumerate(self._one_by_one(values, read_faults)) if kept}
        return found

    def components(self) -> np.ndarray:
        """How many components are stated, int64[n]: -1 where nothing is, -2 where what is stated is no number."""
        values = self.column("components")
        if all(value is None for value in values):
            return np.full(self._size, -1)
        found = integers(values)
        if found is not None:
            return np.where(found < 0, -2, found)
        return np.array([-1 if one is None else one if type(one) is int and 0 <= one < 2**62 else -2 for one in values])

    def arrays(self) -> tuple[Arrays, list[Any]]:
        """All quantities that occur."""
        quantities = [quantity for quantity in QUANTITIES if quantity.name in self.values]
        columns = [self.values[quantity.name] for quantity in quantities]
        return arrays(quantities, columns, self._size, self.note)


def _ragged(found: Arrays) -> dict[str, Ragged]:
    columns = zip(found.quantities, found.starts, pairwise(found.begins), strict=True)
    return {of.name: Ragged(starts, found.values[begin:end]) for of, starts, (begin, end) in columns if begin < end}


def _shapes_differ(found: Arrays, device_kind: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Where the arrays disagree with the number that is stated, or with each other, bool[n]."""
    differ: np.ndarray = (components != -1) & (components != found.counts.sum(axis=0, dtype=np.int64))
    for pair, in_kind in _ALIKE.items():
        if all(quantity in found.quantities for quantity in pair):
            one, other = (found.counts[found.quantities.index(quantity)] for quantity in pair)
            unlike = one != other
            if np.count_nonzero(unlike):
                differ |= unlike & (one > 0) & (other > 0) & in_kind[device_kind]
    return differ
