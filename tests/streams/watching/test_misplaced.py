"""Whether a record is where its key belongs."""

from __future__ import annotations

from zlib import crc32

from streams.partitioner import KEY_BYTES_MOST, is_misplaced, partition_of

PARTITIONS = 8


def test_a_key_belongs_to_one_partition_by_kafkas_own_hash() -> None:
    # From Kafka's own tests of its murmur2.
    assert [partition_of(key, 1 << 31) for key in (b"21", b"foobar")] == [
        -973932308 & 0x7FFFFFFF,
        -790332482 & 0x7FFFFFFF,
    ]
    for partition in range(PARTITIONS):
        assert is_misplaced(b"foobar", partition, PARTITIONS) == (partition != partition_of(b"foobar", PARTITIONS))


def test_a_sender_that_hashes_by_crc32_is_found_out() -> None:
    # As librdkafka does unless it is told otherwise.
    keys = [b"LY-%06d" % number for number in range(1_000)]
    misplaced = [is_misplaced(key, crc32(key) % PARTITIONS, PARTITIONS) for key in keys]
    assert 0.8 < sum(misplaced) / len(keys) < 0.95


def test_of_a_record_without_a_key_or_with_an_endless_one_nothing_is_said() -> None:
    assert not any(is_misplaced(key, 3, PARTITIONS) for key in (None, b"", b"k" * (KEY_BYTES_MOST + 1)))
