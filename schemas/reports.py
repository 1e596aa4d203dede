"""The telemetry report, version 1: from the bytes of Kafka records to numpy columns and rejects.

`decode` is the only way in. `report_rules.read` states what a report says, one report at a time; `_columns` reads field
after field of the whole chunk and agrees with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, combinations, compress, pairwise
from typing import Any, Final, Self, TypeVar

import numpy as np

from schemas.absences import Absences, shipped
from schemas.control import BAD_CONTROL, without_control
from schemas.quantities import DEVICE_KINDS, QUANTITIES
from schemas.records import Records
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
from schemas.report_json import Parsed, parse
from schemas.report_rejects import Reject, judged_reports, reject_record
from schemas.report_rules import (
    AHEAD_MS,
    BEHIND_MS,
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
    def absent(cls, size: int) -> Self:
        """No component in any of `size` reports."""
        return cls(np.zeros(size + 1, dtype=np.int64), np.empty(0))


_ARRAYS: Final = (
    "offset", "index", "ingest_ts", "event_ts", "ts", "by_arrival", "seq", "has_seq", "device_kind", "test", "rejected",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reports:
    """n reports as columns, in the order of their records. Times are int64 epoch milliseconds, UTC.

    `index` is the report's number in its record. `event_ts` is when it was measured by its device's clock, `ts` the
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
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The reports of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
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
            faults={int(number[report]): found for report, found in self.faults.items() if kept[report]},
            notes={int(number[report]): found for report, found in self.notes.items() if kept[report]},
            marks=self.marks.where(kept, number),
            quantities={name: ragged for name, ragged in quantities.items() if len(ragged.values)},
        )

    @property
    def good(self) -> Reports:
        """Those that are not rejected."""
        return self.only(~self.rejected) if self.rejected.any() else self


def _renumbered(parts: Iterable[tuple[int, Mapping[int, tuple[str, ...]]]]) -> dict[int, tuple[str, ...]]:
    return {begin + report: held for begin, part in parts for report, held in part.items()}


def decode(records: Records, absences: Absences | None = None) -> tuple[Reports, list[Reject]]:
    """Decode a chunk of records; what cannot be read comes back as a reject, its neighbours unharmed.

    Never raises for bad input, and never loses any: every report of every record is in exactly one of the two, but that
    one that is rejected though its device is known stands among the reports too, as `rejected`. A control record is no
    report, and no reject unless `records.faults` says that it is none of ours.
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


def _decode_part(whole: Records, absences: Absences) -> tuple[Reports, list[Reject]]:
    records = without_control(whole)
    parsed = parse(records.keys, records.values, records.faults)
    reports, bad, named = _columns(records, parsed, absences)
    rejects = [reject_record(records, number, fault) for number, fault in parsed.faults.items()]
    # Of such a record nothing else is told: not even that the device talks which its key may name.
    rejects += [reject_record(whole, at, fault) for at, fault in whole.faults.items() if fault.reason == BAD_CONTROL]
    if np.count_nonzero(bad):
        rejects += judged_reports(records, parsed, bad & (parsed.index_in_record >= 0))
        reports = reports.only(~bad | named)
    rejects.sort(key=lambda reject: (reject.offset, reject.index))
    return reports, rejects


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
    for report in _shapes_differ(found, device_kind, fields.components()).nonzero()[0].tolist():
        fields.note(report, "components_differ")
    reports = Reports(
        partition=records.partition,
        offset=records.offsets[parsed.record],
        index=parsed.index_in_record,
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
        self._notes: dict[int, list[str]] = {report: list(notes) for report, notes in parsed.unknown.items()}

    def column(self, name: str) -> Sequence[Any]:
        """A field of all reports, None where there is none."""
        return self.values.get(name) or (None,) * self._size

    def note(self, report: int, text: str) -> None:
        """Take a note down of one report."""
        self._notes.setdefault(report, []).append(text)

    def notes(self, bad: np.ndarray) -> dict[int, tuple[str, ...]]:
        """The notes of the reports that have any; of a bad one nothing is known but that its device talks."""
        return {report: in_order(notes) for report, notes in sorted(self._notes.items()) if not bad[report]}

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
        without = bad.nonzero()[0].tolist()
        if without:
            for name in self.values.keys() - {"device_id", "v"}:
                column = self.values[name] = list(self.values[name])
                for report in without:
                    column[report] = None

    def read(
        self, name: str, whole: Callable[[Sequence[Any]], np.ndarray | None], one: Callable[[Any], Any]
    ) -> np.ndarray:
        """A field's column, as a whole or else value by value."""
        values = self.column(name)
        column = whole(values)
        return np.array(self._one_by_one(values, one)) if column is None else column

    def _one_by_one(self, values: Sequence[Any], one: Callable[[Any], tuple[Any, str]]) -> list[Any]:
        found = []
        for report, value in enumerate(values):
            read, text = one(value)
            found.append(read)
            if text:
                self.note(report, text)
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
        for report in odd.nonzero()[0].tolist():
            notes: list[str] = []
            event_ts[report], ts[report], by_arrival[report] = read_times(values[report], int(ingest_ts[report]), notes)
            for text in notes:
                self.note(report, text)
        return event_ts, ts, by_arrival

    def faults(self) -> dict[int, tuple[str, ...]]:
        """The faults of those reports that have any."""
        values = self.column("faults")
        found = faults(values)
        if found is None:
            found = {report: kept for report, kept in enumerate(self._one_by_one(values, read_faults)) if kept}
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
