"""A broker's answer taken apart into records, whatever a producer put there: nothing raises, and nothing grows beyond
its bound.

Importing this module makes every consumer of the process unpack by it. The client's own way is kept for ordinary
batches. For others it is not safe: it raises on a header name that is not UTF-8, decompresses without a bound, and
hands over at once all that was fetched.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from schemas.report_rules import Fault
from schemas.topics import MAX_REJECT_BYTES
from streams.decompress import TooLargeError, UnreadableError, decompress

MAX_BATCH_BYTES: Final = 2 * MAX_REJECT_BYTES
"""A batch is decompressed to no more: a producer's mebibyte of common reports is 20 at the most, packed 20 to 1
[ours]."""
CHUNK_BYTES: Final = 4 * 1_048_576
"""Keys, values and headers of a chunk, unless one record alone is larger [ours]: four ordinary fetches."""
CHUNK_RECORDS: Final = 5_000
"""A fetch of 1 MiB of common reports, so that a batch of 400,000 tiny ones comes in pieces too [ours]."""
HEADERS_MOST: Final = 1_000
"""Headers kept of a record of a large batch: in two bytes on the wire, each is 64 in memory [ours]."""
LARGE_BYTES: Final = 2 * 1_048_576
"""From here on a batch is read with a look at how many headers a record has [ours]. An ordinary fetch is half of it."""

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH_AT, _AFTER_LENGTH, _FORMAT_AT, _CODEC_AT, _OLD_CODEC_AT = 8, 12, 16, 22, 17
_CODEC, _LOG_APPEND_TIME = 7, 8
_TIMESTAMP_MOST: Final = 2**62
_NEW_FORMAT: Final = 2
"""Older ones are of clients from before Kafka 0.11, and hold compressed records in one of their own."""


class BatchRecord(NamedTuple):
    """As the client's own, and what it took of its batch, in bytes; where it could not be read, why."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None = None
    value: bytes | None = None
    headers: list[tuple[str, bytes | None]] = []  # noqa: RUF012 - of a tuple's field
    sent_bytes: int = 0
    fault: Fault | None = None


@dataclass
class Unpacked(ConsumerRecord):  # type: ignore[misc]
    """A record that came compressed, or could not be read."""

    sent_bytes: int = 0
    fault: Fault | None = None


class _Batches:
    """What was fetched of one partition, batch after batch: the client's own, or ours where that cannot be trusted."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._batches = MemoryRecords(fetched)
        self._begin = 0
        self._end = 0
        self._last: Any = None
        self._again = False

    def size_in_bytes(self) -> int:
        return len(self._fetched)

    def has_next(self) -> bool:
        return self._again or bool(self._batches.has_next())

    def next_batch(self) -> Any:
        if self._again:
            self._again = False
        else:
            self._last = batch = self._batches.next_batch()
            self._begin = begin = self._end
            (length,) = struct.unpack_from(">i", self._fetched, begin + _LENGTH_AT)
            self._end = begin + _AFTER_LENGTH + length
            codec_at = begin + (_OLD_CODEC_AT if self._fetched[begin + _FORMAT_AT] < _NEW_FORMAT else _CODEC_AT)
            if not self._fetched[codec_at] & _CODEC and length <= LARGE_BYTES:
                return batch
        self._last = _RecordBatch(self._fetched[self._begin : self._end])
        return self._last

    def again(self) -> bool:
        """Let the batch that was taken last come once more, as one of ours. False if it was one already."""
        self._again = self._last is not None and type(self._last) is not _RecordBatch
        return self._again


class _RecordBatch:
    """One batch, as the client's `PartitionRecords` wants it. To iterate over it never raises."""

    def __init__(self, held: bytes) -> None:
        self._held = held
        self._is_new = held[_FORMAT_AT] >= _NEW_FORMAT
        self._batch = DefaultRecordBatch(held) if self._is_new else LegacyRecordBatch(held, held[_FORMAT_AT])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[BatchRecord]:
        if self._batch.is_control_batch:
            return iter(())
        if not self._is_new:
            fault = _unreadable("it is compressed in the format from before Kafka 0.11")
            return iter([BatchRecord(self._batch.next_offset - 1, -1, 0, fault=fault)])
        try:
            return self._records()
        except TooLargeError:
            packed = len(self._held) - _HEADER.size
            text = f"{packed} compressed bytes are more than {MAX_BATCH_BYTES} when decompressed; send smaller batches"
            return self._all_faulty(Fault("batch_too_large", text), self._batch.base_offset)
        except UnreadableError as error:
            return self._all_faulty(_unreadable(str(error)), self._batch.base_offset)

    def _records(self) -> Iterator[BatchRecord]:
        codec, records = self._held[_CODEC_AT] & _CODEC, self._held[_HEADER.size :]
        plain = decompress(codec, records, MAX_BATCH_BYTES) if codec else records
        return self._shared(plain, len(records) / max(1, len(plain)))

    def _shared(self, plain: bytes, share: float) -> Iterator[BatchRecord]:
        """The records, each with its share of the bytes; from the first one on that cannot be read, why."""
        next_offset, end = self._batch.base_offset, self._batch.next_offset
        try:
            for record, size in self._read(plain):
                if not next_offset <= record.offset < (next_offset + 1 if self._is_whole() else end):
                    raise ValueError("its records are not in their order")
                yield record._replace(sent_bytes=int(size * share) + 1)
                next_offset = record.offset + 1
        except (CorruptRecordException, ValueError, IndexError, struct.error) as error:
            yield from self._all_faulty(_unreadable(str(error)), next_offset)

    def _read(self, plain: bytes) -> Iterator[tuple[BatchRecord, int]]:
        if len(plain) > LARGE_BYTES:
            yield from self._read_carefully(plain)
            return
        held = bytearray(self._held[: _HEADER.size]) + plain
        held[_CODEC_AT] &= ~_CODEC & 0xFF
        struct.pack_into(">i", held, _LENGTH_AT, len(held) - _AFTER_LENGTH)
        read = 0
        try:
            for one in DefaultRecordBatch(bytes(held)):
                yield (
                    BatchRecord(one.offset, one.timestamp, one.timestamp_type, one.key, one.value, one.headers),
                    _size(one),
                )
                read += 1
        except UnicodeDecodeError:
            yield from islice(self._read_carefully(plain), read, None)

    def _read_carefully(self, plain: bytes) -> Iterator[tuple[BatchRecord, int]]:
        batch, pos = self._batch, 0
        *_, first_ts, max_ts, _, _, _, count = _HEADER.unpack_from(self._held)
        type_of_time = int(bool(self._held[_CODEC_AT] & _LOG_APPEND_TIME))
        for _ in range(count):
            length, pos = decode_varint(plain, pos)
            end = pos + length
            if length <= 0 or end > len(plain):
                raise ValueError("a record is longer than its batch")
            delta, pos = decode_varint(plain, pos + 1)
            offset, pos = decode_varint(plain, pos)
            key, pos = _bytes_at(plain, pos, end)
            value, pos = _bytes_at(plain, pos, end)
            timestamp = max_ts if type_of_time else min(first_ts + delta, _TIMESTAMP_MOST)
            headers = _headers_at(plain, pos, end)
            yield BatchRecord(batch.base_offset + offset, timestamp, type_of_time, key, value, headers), length
            pos = end

    def _all_faulty(self, fault: Fault, begin: int) -> Iterator[BatchRecord]:
        """The records from an offset on. A header that contradicts itself stands for one."""
        end = self._batch.next_offset if self._is_whole() else min(self._batch.next_offset, begin + 1)
        share = len(self._held) // max(1, self._count())
        for offset in range(begin, end):
            yield self._faulty(offset, fault, share)

    def _count(self) -> int:
        return int(_HEADER.unpack_from(self._held)[-1])

    def _is_whole(self) -> bool:
        """Whether it has as many records as offsets: compaction may have taken some away, and a header may lie."""
        return bool(self._batch.next_offset - self._batch.base_offset == self._count())

    def _faulty(self, offset: int, fault: Fault, sent_bytes: int = 0) -> BatchRecord:
        # Where the broker stamps batches, this is their arrival.
        batch = self._batch
        return BatchRecord(offset, batch.max_timestamp, batch.timestamp_type, sent_bytes=sent_bytes, fault=fault)


def _unreadable(why: str) -> Fault:
    return Fault("unreadable_batch", f"the batch that this record came in cannot be read: {why[:200]}; mend its sender")


def _size(record: Any) -> int:
    """About what a record takes of its batch."""
    return 8 + len(record.key or b"") + len(record.value or b"") + size_of_headers(record.headers)


def size_of_headers(headers: Any) -> int:
    """The bytes of names and values."""
    return sum(len(name) + len(value or b"") for name, value in headers)


def _bytes_at(plain: bytes, pos: int, end: int) -> tuple[bytes | None, int]:
    size, pos = decode_varint(plain, pos)
    if size < 0:
        return None, pos
    if pos + size > end:
        raise ValueError("a field is longer than its record")
    return plain[pos : pos + size], pos + size


def _headers_at(plain: bytes, pos: int, end: int) -> list[tuple[str, bytes | None]]:
    count, pos = decode_varint(plain, pos)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(min(count, HEADERS_MOST)):
        name, pos = _bytes_at(plain, pos, end)
        value, pos = _bytes_at(plain, pos, end)
        headers.append(((name or b"").decode(errors="backslashreplace"), value))
    return headers


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """As the client's own, but a batch that it raises on is read once more, by us."""

    _records_iterator: Iterator[ConsumerRecord]
    next_fetch_offset: int

    def __next__(self) -> ConsumerRecord:
        while True:
            try:
                return next(self._records_iterator)
            except StopIteration:
                raise
            except Exception:
                # A batch whose checksum is wrong raises again: that is the broker's, or the network's.
                if not self._records.again():
                    raise
                self._records_iterator = self._unpack_records()

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        if self._isolation_level == fetcher.READ_COMMITTED:
            # Only of topics of our own.
            yield from super()._unpack_records()
            return
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not batch.is_control_batch:
                yield from self._of(batch)
            self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)

    def _of(self, batch: Any) -> Iterator[ConsumerRecord]:
        """The batch's records from `next_fetch_offset` on. Brokers do not check the order of what is not compressed."""
        is_trusted = type(batch) is not DefaultRecordBatch
        offset = 0 if is_trusted else batch.base_offset
        for record in batch:
            if record.offset != offset and not is_trusted:
                raise CorruptRecordException("its records are not in their order")
            offset = record.offset + 1
            if offset > self.next_fetch_offset:
                self.next_fetch_offset = offset
                yield self._consumer_record(self._tp, record)

    def take(self, records_most: int) -> tuple[list[ConsumerRecord], bool]:
        """A chunk of the records that are left; False if there may be more."""
        taken: list[ConsumerRecord] = []
        size = 0
        for record in islice(self, records_most):
            taken.append(record)
            size += record.serialized_value_size + record.serialized_key_size
            if record.headers:
                size += size_of_headers(record.headers)
            if size >= CHUNK_BYTES:
                return taken, False
        return taken, len(taken) < records_most

    def _consumer_record(self, tp: Any, record: Any) -> ConsumerRecord:
        key, value = record.key, record.value
        known = (
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp,
            record.timestamp_type,
            key,
            value,
            None,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            tuple(record.headers),
        )
        if type(record) is BatchRecord:
            return Unpacked(*known, sent_bytes=record.sent_bytes, fault=record.fault)
        return ConsumerRecord(*known)


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]
    """As the client's own, but hands over a chunk at a time."""

    _partition_records: _PartitionRecords | None

    def getall(self, max_records: int | None = None) -> list[ConsumerRecord]:
        if not self.check_assignment(self._topic_partition) or self._partition_records is None:
            return []
        most = CHUNK_RECORDS if max_records is None else min(max_records, CHUNK_RECORDS)
        taken, whole = self._partition_records.take(most)
        self._update_position()
        if whole:
            self._partition_records = None
        return taken


fetcher.MemoryRecords = _Batches
fetcher.PartitionRecords = _PartitionRecords
fetcher.FetchResult = _FetchResult
