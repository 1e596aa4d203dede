"""The partition that Kafka's clients choose for a key."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """The number of the partition that every client with Kafka's own partitioner puts a record of the key into."""
    number: int = (murmur2(key) & 0x7FFFFFFF) % partitions
    return number
