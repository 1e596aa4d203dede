"""How far a consumer group is, seen from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from aiokafka import TopicPartition

from common.closing import closed
from common.kafka import clients
from common.settings import Settings


class Offsets:
    """Committed offsets and ends of one topic. Use it as an async context manager."""

    def __init__(self, settings: Settings, group: str, topic: str, partitions: int) -> None:
        self._tps = [TopicPartition(topic, partition) for partition in range(partitions)]
        # Assigned by hand it asks for the group's offsets without joining it.
        self._consumer = clients.consumer(settings, group_id=group, enable_auto_commit=False)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._tps)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await closed(self._consumer.stop())

    async def committed(self) -> dict[int, int]:
        """The group's committed offset per partition, 0 where it has committed nothing."""
        # One request for all; the client's own call makes one a partition.
        found = await self._consumer._coordinator.fetch_committed_offsets(self._tps)
        return {tp.partition: max(0, found[tp].offset) if tp in found else 0 for tp in self._tps}

    async def ends(self) -> dict[int, int]:
        """The offset after the last record, per partition."""
        return {tp.partition: end for tp, end in (await self._consumer.end_offsets(self._tps)).items()}

    async def lag(self) -> int:
        """Records that the group has not committed past."""
        return await self.behind(await self.ends())

    async def behind(self, ends: Mapping[int, int]) -> int:
        """Records below these ends that the group has not committed past."""
        committed = await self.committed()
        return sum(max(0, end - committed[partition]) for partition, end in ends.items())
