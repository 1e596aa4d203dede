"""Batches taken apart as the client's fetcher does it, whatever they hold."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from typing import Any, Final

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from faust.types import TP

from schemas.records import Records
from schemas.reports import decode
from streams.transport import LATEST_TS, to_records
from streams.unpacking import CHUNK_BYTES, CHUNK_RECORDS, HEADERS_MOST, MAX_BATCH_BYTES
from tests.support.batches_by_hand import RawRecord, batch, records_of, with_records

TELEMETRY: Final = TP("emberline.telemetry", 3)
GIVEN: Final[list[RawRecord]] = [
    (b"key %d" % number, b"value %d" % number, [("gateway", b"g-7"), ("null", None)]) for number in range(10)
]
CODECS: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "gzip": (1, gzip.compress),
    "gzip in two pieces": (1, lambda plain: gzip.compress(plain[:50]) + gzip.compress(plain[50:])),
    "snappy of Java": (2, snappy_encode),
    "snappy": (2, lambda plain: bytes(snappy_encode(plain, xerial_compatible=False))),
    "lz4": (3, lz4_encode),
    "zstd": (4, zstd_encode),
}


def _chunks(fetched: bytes, offset: int = 0) -> list[list[ConsumerRecord]]:
    """What the fetcher would hand over, chunk by chunk."""
    records: Any = fetcher.PartitionRecords(
        TopicPartition(*TELEMETRY), fetcher.MemoryRecords(fetched), None, offset, None, None, True, 0
    )
    chunks, whole = [], False
    while not whole:
        chunk, whole = records.take(CHUNK_RECORDS)
        chunks.append(chunk)
    return chunks


def _columns(fetched: bytes, offset: int = 0) -> Records:
    return to_records(TELEMETRY, [record for chunk in _chunks(fetched, offset) for record in chunk])


def _check_given(records: Records, given: list[RawRecord]) -> None:
    assert records.keys == [key for key, _, _ in given]
    assert records.values == [value for _, value, _ in given]
    assert [list(headers) for headers in records.headers] == [list(headers) for _, _, headers in given]
    assert not records.faults


def test_an_ordinary_batch_is_as_it_was_sent() -> None:
    records = _columns(batch(GIVEN))
    _check_given(records, GIVEN)
    assert records.sent_bytes is None
    assert records.bytes_sent().tolist() == [len(key or b"") + len(value or b"") + 14 for key, value, _ in GIVEN]


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressed_batch_is_as_it_was_sent_and_each_record_has_its_share(codec: str) -> None:
    number, compress = CODECS[codec]
    given: list[RawRecord] = [*GIVEN, (b"key", bytes(100_000), [])]
    made = batch(given)
    packed = compress(records_of(made))
    records = _columns(with_records(made, packed, number))
    _check_given(records, given)
    assert records.sent_bytes is not None
    assert 0.9 * len(packed) < records.sent_bytes.sum() <= len(packed) + len(given)
    assert records.sent_bytes[-1] > 0.9 * len(packed)


def test_a_header_name_that_is_not_utf_8_becomes_text_and_its_neighbours_come_as_they_are() -> None:
    made = batch(GIVEN)
    odd = records_of(made).replace(b"gateway", b"\xff\xfeteway", 3)
    records = _columns(with_records(made, odd) + batch(GIVEN, 1))
    assert [headers[0][0] for headers in records.headers[:4]] == [r"\xff\xfeteway"] * 3 + ["gateway"]
    assert records.values[:10] == [value for _, value, _ in GIVEN]
    assert records.offsets[:10].tolist() == list(range(10))


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_would_be_too_large_is_told_and_what_follows_goes_on(codec: str) -> None:
    number, compress = CODECS[codec]
    bomb = with_records(batch(GIVEN), compress(bytes(MAX_BATCH_BYTES + 1)), number)
    follows = with_records(batch(GIVEN), records_of(batch(GIVEN)))
    follows = (10).to_bytes(8) + follows[8:]
    records = _columns(bomb + follows)
    assert records.offsets.tolist() == list(range(20))
    assert records.values == [None] * 10 + [value for _, value, _ in GIVEN]
    assert {fault.reason for fault in records.faults.values()} == {"batch_too_large"}
    assert list(records.faults) == list(range(10))
    assert records.bytes_sent()[:10].sum() <= len(bomb)
    _, rejects = decode(records)
    assert [one.fault.reason for one in rejects[:10]] == ["batch_too_large"] * 10


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_is_not_what_it_says_is_told(codec: str) -> None:
    number, compress = CODECS[codec]
    rng = random.Random(codec)
    made = batch(GIVEN)
    packed = compress(records_of(made))
    for broken in (rng.randbytes(100), b"", packed[:-9], packed[: len(packed) // 2] + rng.randbytes(40)):
        records = _columns(with_records(made, broken, number))
        assert records.offsets.tolist() == list(range(10))
        # Some of it may be readable still.
        assert 9 in records.faults
        assert {fault.reason for fault in records.faults.values()} == {"unreadable_batch"}
        assert all(records.values[row] is None for row in records.faults)
    unknown = _columns(with_records(made, packed, 7))
    assert {fault.reason for fault in unknown.faults.values()} == {"unreadable_batch"}


def test_from_the_middle_of_a_batch_the_same_follows_as_from_its_beginning() -> None:
    made = batch(GIVEN)
    broken = records_of(made)[:-30] + bytes([255] * 30)
    whole, rest = _columns(with_records(made, broken)), _columns(with_records(made, broken), offset=9)
    assert rest.offsets.tolist() == [9]
    assert whole.faults[9] == rest.faults[0]


def test_a_header_of_a_batch_that_contradicts_itself_stands_for_one_record() -> None:
    made = bytearray(with_records(batch(GIVEN), b"\x00", 1))
    made[57:61] = (2**31 - 1).to_bytes(4)
    records = _columns(with_records(bytes(made), b"\x00", 1))
    assert len(records.faults) == len(records.offsets) == 1


@pytest.mark.parametrize("deltas", [[0, 1, 1, 3], [0, 1, 2, 2], [0, 2, 1, 3], [0, 1, 90, 3], [1, 2, 3, 3]])
@pytest.mark.parametrize("codec", [0, 1])
def test_records_out_of_their_order_are_told_each_at_an_offset_of_its_own(deltas: list[int], codec: int) -> None:
    made = batch(GIVEN[:4], deltas=deltas)
    records = records_of(made)
    columns = _columns(with_records(made, gzip.compress(records) if codec else records, codec, 4))
    assert columns.offsets.tolist() == [0, 1, 2, 3]
    right = next(number for number in range(5) if deltas[number : number + 1] != [number])
    assert list(columns.faults) == list(range(right, 4))


def test_a_wrong_checksum_is_the_clients_affair() -> None:
    made = bytearray(batch(GIVEN))
    made[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="Invalid CRC"):
        _chunks(bytes(made))


def test_chunks_are_bounded_in_records_and_in_bytes() -> None:
    tiny: list[RawRecord] = [(b"k", b"{}", [])] * (2 * CHUNK_RECORDS + 1)
    made = batch(tiny)
    assert [len(one) for one in _chunks(with_records(made, gzip.compress(records_of(made)), 1))] == [5_000, 5_000, 1]
    large: list[RawRecord] = [(b"k", bytes(1_000_000), [])] * 12
    made = batch(large)
    sizes = [len(one) for one in _chunks(with_records(made, gzip.compress(records_of(made)), 1))]
    assert sum(sizes) == 12
    assert max(sizes) <= CHUNK_BYTES // 1_000_000 + 1


def test_of_a_million_headers_a_thousand_are_kept() -> None:
    records = _columns(batch([(b"k", b"{}", [("", b"")] * 1_500_000), (b"k", b"{}", [])]))
    assert [len(headers) for headers in records.headers] == [HEADERS_MOST, 0]
    assert not records.faults


def test_times_that_no_clock_shows_are_cut() -> None:
    assert _columns(batch(GIVEN, 2**62)).timestamps.tolist() == [LATEST_TS] * 10
    assert min(_columns(batch(GIVEN, -(2**40))).timestamps) == 1_577_836_800_000


def test_parts_and_joined_parts_keep_faults_and_sizes() -> None:
    made = batch(GIVEN)
    records = _columns(with_records(made, gzip.compress(bytes(MAX_BATCH_BYTES + 1)), 1))
    parts = [records.between(0, 4), records.between(4, 10), _columns(batch(GIVEN))]
    joined = Records.joined(parts)
    assert list(parts[1].faults) == list(range(6))
    assert joined.faults == records.faults
    assert joined.bytes_sent().tolist() == [*records.bytes_sent(), *parts[2].bytes_sent()]
