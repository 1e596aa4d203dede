"""The telemetry report, version 1: from the bytes of Kafka records to numpy columns and rejects.

`decode` is the only way in. `fault_of` states what a good report is, one report at a time; `_columns` reads field after
field of the whole chunk, finds the same reports good, and leaves to `fault_of` to say what is wrong with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, combinations, compress, groupby, pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self, TypeVar

import numpy as np
import orjson

from schemas.quantities import DEVICE_KINDS, QUANTITIES
from schemas.report_fields import (
    Measured,
    device_ids,
    faults,
    flags,
    impossible,
    integers,
    kind_codes,
    measured,
    refused,
    times,
    versions,
)
from schemas.report_json import Parsed, bytes_of, parse
from schemas.report_rules import EARLIEST_EVENT_TS, MAX_AHEAD_MS, VERSION, Fault, fault_of

T = TypeVar("T")

_ALIKE: Final = {
    (one, other): np.array([{one.name, other.name} <= set(kind.axis) for kind in DEVICE_KINDS])
    for one, other in combinations(QUANTITIES, 2)
    if any({one.name, other.name} <= set(kind.axis) for kind in DEVICE_KINDS)
}
"""Pairs of quantities that run over the same parts in some kind of device, and by its code in which."""

PART_BYTES: Final = 98_304
"""Records of so many bytes are decoded at once: what is parsed of them then stays in the processor's cache until it is
columns. Whole fetches of a mebibyte take half as long again [measured]."""


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
    headers: Sequence[Sequence[tuple[str, bytes | None]]]
    sent_bytes: np.ndarray | None = None
    faults: Mapping[int, Fault] = MappingProxyType({})

    def between(self, begin: int, end: int) -> Records:
        """The records `begin` to `end`, that one not included."""
        part = slice(begin, end)
        return self._replace(
            sent_bytes=None if self.sent_bytes is None else self.sent_bytes[part],
            faults={number - begin: fault for number, fault in self.faults.items() if begin <= number < end},
            offsets=self.offsets[part],
            timestamps=self.timestamps[part],
            keys=self.keys[part],
            values=self.values[part],
            headers=self.headers[part],
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


def _bytes_of_record(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(held or b"") for name, held in headers)


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


@dataclass(frozen=True, slots=True)
class Reports:
    """n reports as columns, in the order of their records. Times are int64 epoch milliseconds, UTC.

    `index` is the report's place in its record. `seq` is -1 where the report has none. `faults` holds only the
    reports that carry any. `quantities` holds only those that occur.
    """

    partition: int
    offset: np.ndarray
    index: np.ndarray
    ingest_ts: np.ndarray
    event_ts: np.ndarray
    seq: np.ndarray
    device_id: Sequence[str]
    device_kind: np.ndarray
    test: np.ndarray
    faults: Mapping[int, tuple[str, ...]]
    quantities: Mapping[str, Ragged]

    def __len__(self) -> int:
        return len(self.offset)

    @classmethod
    def joined(cls, parts: Sequence[Reports]) -> Self:
        """The reports of all parts of a partition, one after the other."""
        *begins, _ = accumulate(map(len, parts), initial=0)
        occurring = {name for part in parts for name in part.quantities}
        return cls(
            partition=parts[0].partition,
            offset=np.concatenate([part.offset for part in parts]),
            index=np.concatenate([part.index for part in parts]),
            ingest_ts=np.concatenate([part.ingest_ts for part in parts]),
            event_ts=np.concatenate([part.event_ts for part in parts]),
            seq=np.concatenate([part.seq for part in parts]),
            device_id=list(chain.from_iterable(part.device_id for part in parts)),
            device_kind=np.concatenate([part.device_kind for part in parts]),
            test=np.concatenate([part.test for part in parts]),
            faults={
                begin + row: held
                for begin, part in zip(begins, parts, strict=True)
                for row, held in part.faults.items()
            },
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
        return Reports(
            partition=self.partition,
            offset=self.offset[part],
            index=self.index[part],
            ingest_ts=self.ingest_ts[part],
            event_ts=self.event_ts[part],
            seq=self.seq[part],
            device_id=self.device_id[part],
            device_kind=self.device_kind[part],
            test=self.test[part],
            faults={number - begin: found for number, found in self.faults.items() if begin <= number < end},
            quantities={name: ragged.between(begin, end) for name, ragged in self.quantities.items()},
        )

    def only(self, kept: np.ndarray) -> Reports:
        """The reports where `kept`, bool[n]."""
        number = np.cumsum(kept) - 1
        quantities = {name: ragged.only(kept) for name, ragged in self.quantities.items()}
        return Reports(
            partition=self.partition,
            offset=self.offset[kept],
            index=self.index[kept],
            ingest_ts=self.ingest_ts[kept],
            event_ts=self.event_ts[kept],
            seq=self.seq[kept],
            device_id=list(compress(self.device_id, kept.tolist())),
            device_kind=self.device_kind[kept],
            test=self.test[kept],
            faults={int(number[row]): found for row, found in self.faults.items() if kept[row]},
            quantities={name: ragged for name, ragged in quantities.items() if len(ragged.values)},
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected record, or one rejected report of a record (`index` is then its place, else -1)."""

    offset: int
    index: int
    fault: Fault
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    ingest_ts: int


def decode(records: Records) -> tuple[Reports, list[Reject]]:
    """Decode a chunk of records; what is not a good report comes back as a reject, its neighbours unharmed.

    Never raises for bad input, and never loses any: every report of every record is in exactly one of the two results.
    """
    edges = _edges(records.values)
    if len(edges) == 2:
        return _decode_part(records)
    parts = [_decode_part(records.between(begin, end)) for begin, end in pairwise(edges)]
    return Reports.joined([reports for reports, _ in parts]), [reject for _, rejects in parts for reject in rejects]


def _edges(values: Sequence[bytes | None]) -> list[int]:
    """Where parts of about `PART_BYTES` begin, at least one, and where the last of them ends."""
    sizes = [0 if value is None else len(value) for value in values]
    if (whole := sum(sizes)) <= PART_BYTES:
        return [0, len(values)]
    cuts = np.searchsorted(np.cumsum(sizes), np.arange(PART_BYTES, whole, PART_BYTES)).tolist()
    return [0, *sorted(set(cuts) - {0}), len(values)]


def _decode_part(records: Records) -> tuple[Reports, list[Reject]]:
    parsed = parse(records.keys, records.values, records.faults)
    rejects = [reject_record(records, number, fault) for number, fault in parsed.faults.items()]
    reports, bad = _columns(records, parsed)
    if np.count_nonzero(bad):
        rejects += _judged(records, parsed, bad)
        reports = reports.only(~bad)
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


def _judged(records: Records, parsed: Parsed, bad: np.ndarray) -> Iterator[Reject]:
    """The rejects of single reports. They are parsed once more, for of those that were only the columns are left."""
    for number, rows in groupby(bad.nonzero()[0].tolist(), parsed.record.item):
        record = records.values[number]
        held = orjson.loads(record)
        for place in map(parsed.place.item, rows):
            report, value = (held, record) if type(held) is dict else (held[place], bytes_of(held[place], record))
            fault = fault_of(report, int(records.timestamps[number]))
            assert fault is not None, "fault_of lets through a report that _columns does not take"
            yield _reject(records, number, place, fault, value)


def _columns(records: Records, parsed: Parsed) -> tuple[Reports, np.ndarray]:
    """All reports as columns, and which of them are bad, bool[n]: of those the columns hold what is harmless."""
    fields = _Fields(parsed)
    fields.read("v", versions, VERSION)
    device_id = fields.read("device_id", device_ids, "-")
    device_kind = fields.read("device_kind", kind_codes, DEVICE_KINDS[0].name)
    event_ts = fields.read("event_ts", times, EARLIEST_EVENT_TS)
    ingest_ts = records.timestamps[parsed.record]
    seq = fields.read("seq", integers, None)
    test = fields.read("test", flags, None)
    told = fields.read("faults", faults, None)
    components = fields.read("components", integers, None)
    found = fields.measured()
    bad = fields.bad | (event_ts > ingest_ts + MAX_AHEAD_MS) | _shapes_differ(found, device_kind, components)
    reports = Reports(
        partition=records.partition,
        offset=records.offsets[parsed.record],
        index=parsed.place,
        ingest_ts=ingest_ts,
        event_ts=event_ts,
        seq=seq,
        device_id=device_id,
        device_kind=device_kind,
        test=test,
        faults=told,
        quantities=_ragged(found),
    )
    return reports, bad


class _Fields:
    """The fields of n reports as they are read. `bad`, bool[n], is where one of those read so far is not good."""

    def __init__(self, parsed: Parsed) -> None:
        self._fields = parsed.fields
        self._none = (None,) * len(parsed.record)
        self.bad = np.zeros(len(parsed.record), np.bool_)

    def read(self, name: str, reader: Callable[[Sequence[Any]], T | None], harmless: Any) -> T:
        """A field's column; values its reader does not take make a report bad and are read as `harmless`."""
        values = self._fields.get(name, self._none)
        column = reader(values)
        if column is None:
            values = self._without_bad(values, harmless)
            self.bad[list(refused(values, reader))] = True
            column = reader(self._without_bad(values, harmless))
            assert column is not None, f"{name}: what is harmless is not taken"
        return column

    def measured(self) -> Measured:
        """All quantities that occur."""
        quantities = [quantity for quantity in QUANTITIES if quantity.name in self._fields]
        columns = [self._fields[quantity.name] for quantity in quantities]
        found = measured(quantities, columns, len(self.bad))
        if found is None:
            for quantity, values in zip(quantities, columns, strict=True):
                self.bad[impossible(quantity, self._without_bad(values, []))] = True
            columns = [self._without_bad(values, []) for values in columns]
            found = measured(quantities, columns, len(self.bad))
            assert found is not None, "empty arrays are not taken"
        return found

    def _without_bad(self, values: Sequence[Any], harmless: Any) -> Sequence[Any]:
        mended = list(values)
        for row in self.bad.nonzero()[0].tolist():
            mended[row] = harmless
        return mended


def _ragged(found: Measured) -> dict[str, Ragged]:
    columns = zip(found.quantities, found.starts, pairwise(found.begins), strict=True)
    return {of.name: Ragged(starts, found.values[begin:end]) for of, starts, (begin, end) in columns if begin < end}


def _shapes_differ(found: Measured, device_kind: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Where the arrays disagree with the number that is stated, or with each other, bool[n]."""
    bad: np.ndarray = (components >= 0) & (components != found.counts.sum(axis=0, dtype=np.int64))
    for pair, in_kind in _ALIKE.items():
        if all(quantity in found.quantities for quantity in pair):
            one, other = (found.counts[found.quantities.index(quantity)] for quantity in pair)
            differ = one != other
            if np.count_nonzero(differ):
                bad |= differ & (one > 0) & (other > 0) & in_kind[device_kind]
    return bad
