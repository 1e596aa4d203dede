"""Making the topics, and telling one incarnation of a topic from another."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from schemas.topics import TOPICS, Topic
from streams.settings import Settings
from streams.topic_metadata import Described, known


async def make_topics(settings: Settings) -> list[str]:
    """Make the topics that are not there yet and return their names. Existing ones are left as they are."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
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
    wanted = NewTopic(
        topic.name, settings.partitions, settings.replication, topic_configs=topic.settings_for(settings.replication)
    )
    response = await admin.create_topics([wanted])
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"cannot make the topic {name}")


async def existing(kafka: str, names: Sequence[str]) -> dict[str, Described]:
    """The topics. Raises UnknownTopicOrPartitionError where one does not exist."""
    found = await known(kafka, names)
    for name in names:
        if name not in found:
            raise UnknownTopicOrPartitionError(f"the topic {name} does not exist; make it with `emberline topics`")
    return found


async def count_partitions(kafka: str, topic: str) -> int:
    """How many partitions a topic has. Raises UnknownTopicOrPartitionError where it does not exist."""
    return (await existing(kafka, [topic]))[topic].partitions


async def topic_ids(kafka: str, names: Sequence[str]) -> dict[str, UUID]:
    """The id of each topic. A topic deleted and made anew, or an embedded broker started anew, has another one.

    Raises UnknownTopicOrPartitionError where a topic does not exist.
    """
    return {name: topic.topic_id for name, topic in (await existing(kafka, names)).items()}
