"""What a worker asks of Kafka every few seconds: are the topics what it relies on, and are its partitions served?

To a client that only fetches, a quiet topic and a broker that is away look the same. So a client of its own asks the
leaders of the worker's partitions and the group's coordinator something small, and waits for none of them long.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.offset import OffsetRequest
from faust.types import TP

from common.errors import OperatorError
from common.metrics import Metrics
from common.settings import Settings
from streams.watching.described import Described, asking, described, described_by_any, known, nodes, settings_of
from streams.watching.differences import Difference, Weight, differences

log = logging.getLogger("emberline")

LOOK_INTERVAL_S: Final = 3.0
LOOK_S: Final = 8.0
"""A look that takes longer is given up: then brokers do not answer."""
UNANSWERED_S: Final = 12.0
"""A worker whose questions were not answered for so long is not ready. A leader that dies is replaced sooner [ours]."""
GONE_S: Final = 10.0
"""A topic that is missing for so long is gone; a broker that has just come up may not know it yet."""
_NEWEST: Final = -1
_GROUP: Final = 0


class KafkaWatch:
    """Looks for as long as `run` runs. `tps` are the partitions that the worker has just now."""

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Sequence[str],
        relies_on: Sequence[str],
        metrics: Metrics,
        tps: Callable[[], Collection[TP]],
    ) -> None:
        self.topic_ids: dict[str, UUID] = {}
        self._settings = settings
        self._group = group
        self._topics = topics
        self._relies_on = relies_on
        self._names = [*topics, *relies_on]
        self._metrics = metrics
        self._tps = tps
        self._found: Mapping[str, Described] = {}
        self._differences: list[Difference] = []
        self._answered_at = self._all_there_at = time.monotonic()
        self._failure = ""

    async def start(self) -> None:
        """The first look. Raises OperatorError where a topic is such that results would be wrong."""
        found = await known(self._settings, self._names)
        async with asking(self._settings) as client:
            found = await self._with_settings(client, found)
        told = differences(found, self._names, self._settings.replication)
        wrong = [one.text for one in told if one.weight is Weight.WRONG]
        # Topics that are none of emberline's have no differences.
        wrong += [f"the topic {name} does not exist" for name in self._names if name not in found and not wrong]
        if wrong:
            more = f" ({len(wrong) - 1} more: `emberline topics --check`)" if len(wrong) > 1 else ""
            raise OperatorError(wrong[0] + more)
        self._take(found)
        self.topic_ids = {name: topic.topic_id for name, topic in found.items()}
        self._answered_at = self._all_there_at = time.monotonic()

    async def run(self) -> None:
        """Look again and again. Raises OperatorError where a topic is gone or was made anew: all offsets that the
        worker knows are of the old one."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S) as limit, asking(self._settings) as client:
                    while True:
                        await self._look(client)
                        limit.reschedule(asyncio.get_running_loop().time() + LOOK_INTERVAL_S + LOOK_S)
                        await asyncio.sleep(LOOK_INTERVAL_S)
            except TimeoutError:
                self._failure = f"no answer within {LOOK_S:.0f} s"
            except (KafkaError, OSError) as error:
                self._failure = str(error) or type(error).__name__
            self._metrics.set("emberline_kafka_silent_seconds", self._silent_s)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _look(self, client: AIOKafkaClient) -> None:
        found = await described_by_any(client, self._names)
        self._check_ids(found)
        if found.keys() >= set(self._names):
            self._take(await self._with_settings(client, found))
        await self._ask_leaders(client)
        await self._ask_coordinator(client)
        self._answered_at = time.monotonic()
        self._metrics.set("emberline_kafka_silent_seconds", self._silent_s)

    async def check_incarnations(self) -> None:
        """Raises OperatorError where any broker knows of a topic that was made anew. One may not have heard of it yet,
        and those that do not answer serve nothing."""
        for answer in await self._ask_all():
            self._check_ids(answer)

    async def _ask_all(self) -> list[dict[str, Described]]:
        """What each broker that answers knows of the topics."""
        async with asking(self._settings) as client:
            asked = [described(client, self._names, node) for node in nodes(client)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, dict)]

    async def count_partitions(self, topic: str) -> int:
        """How many partitions a topic has, by the broker that knows of most: others may not have heard of all yet."""
        return max((found[topic].partitions for found in await self._ask_all() if topic in found), default=0)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic had at the last look."""
        return self._found[topic].partitions

    def may_be_worked_on(self, tp: TP) -> bool:
        """Whether all topics that the worker relies on have the partition's number too."""
        return all(tp.partition < self._found[name].partitions for name in self._relies_on)

    @property
    def why_not_ready(self) -> str | None:
        """Why the worker can do nothing right just now, or not all, or None."""
        if self._silent_s > UNANSWERED_S:
            return f"Kafka has not answered for {self._silent_s:.0f} s: {self._failure or 'still asking'}"
        return next((one.text for one in self._differences if self._hinders(one)), None)

    @property
    def remark(self) -> str | None:
        """Which risks there are."""
        told = [one for one in self._differences if one.weight >= Weight.RISK and not self._hinders(one)]
        return "; ".join(one.text for one in told) or None

    def _hinders(self, one: Difference) -> bool:
        """Partitions that others lack are no matter to who writes to none."""
        return one.weight >= (Weight.PARTLY if self._relies_on else Weight.WRONG)

    @property
    def _silent_s(self) -> float:
        return time.monotonic() - self._answered_at

    async def _with_settings(self, client: AIOKafkaClient, found: Mapping[str, Described]) -> dict[str, Described]:
        settings = await settings_of(client, list(found))
        return {name: topic._replace(settings=settings.get(name)) for name, topic in found.items()}

    def _check_ids(self, found: Mapping[str, Described]) -> None:
        missing = [name for name in self._names if name not in found]
        if not missing:
            self._all_there_at = time.monotonic()
        elif time.monotonic() - self._all_there_at > GONE_S:
            raise OperatorError(f"the topic {missing[0]} does not exist; make it with `emberline topics`")
        for name, topic in found.items():
            if self.topic_ids[name] != topic.topic_id:
                raise OperatorError(f"the topic {name} was deleted and made anew; restart me")

    def _take(self, found: Mapping[str, Described]) -> None:
        """Say what differs now and did not before, and the other way round."""
        before, self._found = self._differences, found
        self._differences = differences(found, self._names, self._settings.replication)
        for one in self._differences:
            if one not in before:
                log.log(logging.ERROR if self._hinders(one) else logging.WARNING, one.text)
        for one in before:
            if one not in self._differences:
                log.info("no longer so: %s", one.text)
        count = Counter(one.weight for one in self._differences)
        for weight in (Weight.RISK, Weight.PARTLY, Weight.WRONG):
            self._metrics.set("emberline_topic_differences", count[weight], weight=weight.name.lower())

    async def _ask_leaders(self, client: AIOKafkaClient) -> None:
        """Raises KafkaError unless each partition that the worker has, or writes to, is served by its leader."""
        numbers = {tp.partition for tp in self._tps()}
        wanted = {*self._tps(), *(TP(name, number) for name in self._relies_on for number in numbers)}
        by_leader: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for topic, number in wanted:
            if (leader := self._found[topic].leaders.get(number)) is not None:
                by_leader[leader][topic].append((number, _NEWEST))
        for leader, topics in by_leader.items():
            answer = await client.send(leader, OffsetRequest(-1, 0, list(topics.items())))
            for topic, partitions in answer.topics:
                for number, code, *_ in partitions:
                    if code:
                        raise for_code(code)(f"partition {number} of {topic} is not served")

    async def _ask_coordinator(self, client: AIOKafkaClient) -> None:
        """Raises KafkaError unless the group's coordinator answers."""
        coordinator = await client.coordinator_lookup(_GROUP, self._group)
        answer = await client.send(coordinator, OffsetFetchRequest(self._group, [(self._topics[0], [0])]))
        for _, partitions in answer.topics:
            for *_, code in partitions:
                if code:
                    raise for_code(code)("the group's coordinator does not serve")
