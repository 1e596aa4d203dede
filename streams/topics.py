"""Making the topics, and telling one incarnation of a topic from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code
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

from schemas.topics import TOPICS, Topic
from streams.kafka import clients
from streams.settings import Settings


async def make_topics(settings: Settings) -> list[str]:
    """Make the topics that are not there yet and return their names. Existing ones are left as they are."""
    admin = clients.admin(settings)
    await admin.start()
    try:
        there = set(await admin.list_topics())
        missing = [topic for topic in TOPICS if topic.name not in there]
        for topic in missing:
            await _make(admin, topic, settings)
        return [topic.name for topic in missing]
    finally:
        await admin.close()


async def _make(admin: AIOKafkaAdminClient, topic: Topic, settings: Settings) -> None:
    replicas = settings.replication
    kept = topic.settings | ({"min.insync.replicas": str(replicas - 1)} if replicas > 2 else {})
    wanted = NewTopic(topic.name, settings.partitions, replicas, topic_configs=kept)
    response = await admin.create_topics([wanted])
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(name if error is TopicAuthorizationFailedError else f"cannot make the topic {name}")


async def count_partitions(settings: Settings, topic: str) -> int:
    """How many partitions a topic has. Raises UnknownTopicOrPartitionError where it does not exist."""
    admin = clients.admin(settings)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if code := described["error_code"]:
        raise _not_there(code, topic)
    return len(described["partitions"])


def _not_there(code: int, topic: str) -> KafkaError:
    error: type[KafkaError] = for_code(code)
    if error is TopicAuthorizationFailedError:  # told by its name, `streams.kafka.errors` says the rest
        return error(topic)
    return error(f"the topic {topic} does not exist; make it with `emberline topics`")


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


async def topic_ids(settings: Settings, names: Sequence[str]) -> dict[str, UUID]:
    """The id of each topic. A topic deleted and made anew, or an embedded broker started anew, has another one.

    Raises UnknownTopicOrPartitionError where a topic does not exist.
    """
    client = clients.client(settings)
    await client.bootstrap()
    try:
        answer = await client.send(client.get_random_node(), _TopicIdRequest(names))
        found: dict[str, UUID] = {}
        for code, name, topic_id, *_ in answer.topics:
            if code:
                raise _not_there(code, name)
            found[name] = topic_id
        return found
    finally:
        await client.close()
