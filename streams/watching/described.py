"""What brokers say of topics: their ids, partitions, replicas, leaders and settings, in two small requests.

One broker may not have heard yet of a topic or a partition that another has made a moment ago.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from common.kafka import clients
from common.settings import Settings

FRESH_S: Final = 5.0
"""For so long a missing topic, or a partition without a leader, may be one that was made a moment ago [ours]."""
ANSWER_S: Final = 3.0
"""A broker that has not answered such a small request by then is passed over for another [ours]."""
_AGAIN_S: Final = 0.1
_OF_A_TOPIC: Final = 2
"""Kafka's number for topics among the things that have settings."""
_SET: Final = 1
"""Kafka's number for settings made for the topic itself, not for its broker or its cluster."""


class Described(NamedTuple):
    """One topic. `leaders` has each partition with the broker that leads it, -1 while none does; `replicas` are those
    of the partition that has fewest. `settings` is None where they were not asked for or may not be told us."""

    topic_id: UUID
    leaders: Mapping[int, int]
    replicas: int
    settings: Mapping[str, str] | None = None

    @property
    def partitions(self) -> int:
        """How many there are."""
        return len(self.leaders)


class _Uuid(AbstractType[UUID]):
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: Any) -> UUID:
        return UUID(bytes=data.read(16))


class _TopicIdResponse(Response):
    """Metadata response, version 10: the first to give topics an id. The client's own versions end at 5."""

    API_KEY: ClassVar[int] = 3
    API_VERSION: ClassVar[int] = 10
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _TopicIdStruct(RequestStruct):
    API_KEY: ClassVar[int] = 3
    API_VERSION: ClassVar[int] = 10
    FLEXIBLE_VERSION: ClassVar[bool] = True
    RESPONSE_TYPE: ClassVar[type[Response]] = _TopicIdResponse
    SCHEMA: ClassVar[Schema] = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicIdRequest(Request[_TopicIdStruct]):
    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_TopicIdStruct]) -> _TopicIdStruct:
        tags: dict[int, bytes] = {}
        wanted = [(UUID(int=0), name, tags) for name in self._names]
        return request_struct_class(wanted, False, False, False, tags)


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[AIOKafkaClient]:
    """A client for small questions, which passes over brokers that do not answer soon."""
    client = clients.client(settings, request_timeout_ms=int(ANSWER_S * 1_000))
    await client.bootstrap()
    try:
        yield client
    finally:
        await client.close()


def nodes(client: AIOKafkaClient) -> list[int]:
    """The brokers that the client knows."""
    return [broker.nodeId for broker in client.cluster.brokers()]


async def described(client: AIOKafkaClient, names: Collection[str], node: int) -> dict[str, Described]:
    """The topics that this broker knows. Raises KafkaError if it does not answer, or may not tell us of one."""
    answer = await client.send(node, _TopicIdRequest(list(names)))
    found: dict[str, Described] = {}
    for code, name, topic_id, _, partitions, *_ in answer.topics:
        error = for_code(code)
        if error is UnknownTopicOrPartitionError:
            continue
        if code:
            # Of a right that is missing `common.kafka.errors` says the rest.
            raise error(name if error is TopicAuthorizationFailedError else f"cannot ask about the topic {name}")
        leaders = {number: leader for _, number, leader, *_ in partitions}
        replicas = min((len(held) for _, _, _, _, held, *_ in partitions), default=0)
        found[name] = Described(topic_id, leaders, replicas)
    return found


async def described_by_any(client: AIOKafkaClient, names: Collection[str]) -> dict[str, Described]:
    """The topics that the first broker knows that answers. Raises KafkaError if none does."""
    failed: KafkaError = NodeNotReadyError("no broker answers")
    first = client.get_random_node()
    for node in sorted(nodes(client), key=lambda node: node != first):
        try:
            return await described(client, names, node)
        except KafkaError as error:
            failed = error
    raise failed


async def settings_of(client: AIOKafkaClient, names: Collection[str]) -> dict[str, Mapping[str, str]]:
    """The settings of topics, by topic. Those that may not be told us are left out: the right to describe settings is
    one of its own. An embedded broker knows only those that a topic was made with."""
    try:
        told = await _settings(client, names)
    except IncompatibleBrokerVersion:
        return {}
    return {name: {entry[0]: entry[1] for entry in entries} for name, entries in told.items()}


async def own_settings_of(client: AIOKafkaClient, names: Collection[str]) -> dict[str, Mapping[str, str]]:
    """Those settings that were made for the topics themselves."""
    told = await _settings(client, names)
    return {name: {entry[0]: entry[1] for entry in entries if entry[3] == _SET} for name, entries in told.items()}


async def _settings(client: AIOKafkaClient, names: Collection[str]) -> dict[str, Sequence[Sequence[Any]]]:
    # All of them: asked for some by name, the embedded broker closes the connection.
    resources = [(_OF_A_TOPIC, name, None) for name in names]
    answer = await client.send(client.get_random_node(), DescribeConfigsRequest(resources))
    return {name: entries for code, _, _, name, entries in answer.resources if not code}


async def known(settings: Settings, names: Sequence[str]) -> dict[str, Described]:
    """The topics, once all partitions of all of them have leaders; those that are there after `FRESH_S` anyway.

    What was made a moment ago is waited for.
    """
    deadline = time.monotonic() + FRESH_S
    async with asking(settings) as client:
        while True:
            found = await described_by_any(client, names)
            if (found.keys() >= set(names) and all(map(_is_led, found.values()))) or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_AGAIN_S)


async def known_to_all(client: AIOKafkaClient, partitions: Mapping[str, int]) -> None:
    """Return once every broker knows so many partitions of each topic, and leaders of all; after `FRESH_S` anyway."""
    deadline = time.monotonic() + FRESH_S
    while time.monotonic() < deadline:
        # One that is away will know them when it is back.
        with suppress(KafkaError):
            answers = [await described(client, partitions, node) for node in nodes(client)]
            if all(_has(answer, partitions) for answer in answers):
                return
        await asyncio.sleep(_AGAIN_S)


def _has(answer: Mapping[str, Described], partitions: Mapping[str, int]) -> bool:
    return all(
        name in answer and answer[name].partitions >= count and _is_led(answer[name])
        for name, count in partitions.items()
    )


def _is_led(topic: Described) -> bool:
    return min(topic.leaders.values(), default=-1) >= 0 and topic.leaders.keys() == set(range(topic.partitions))
