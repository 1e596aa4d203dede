"""Making the topics, mending and widening them, and telling one incarnation of a topic from another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from common.errors import OperatorError
from common.kafka import clients
from common.settings import Settings
from schemas.topics import TELEMETRY, TOPICS, Topic
from streams.watching.described import (
    Described,
    asking,
    described_by_any,
    known,
    known_to_all,
    own_settings_of,
    settings_of,
)
from streams.watching.differences import Difference, differences

NAMES: Final = [topic.name for topic in TOPICS]
_TELEMETRY_LAST: Final = [*(name for name in NAMES if name != TELEMETRY.name), TELEMETRY.name]
"""Topics that are widened together: what follows from telemetry partition p needs partition p of all others."""


async def make_topics(settings: Settings) -> list[str]:
    """Make the topics that are not there yet and return their names. Existing ones are left as they are."""
    async with asking(settings) as client, _admin(settings) as admin:
        there = await described_by_any(client, NAMES)
        missing = [topic for topic in TOPICS if topic.name not in there]
        for topic in missing:
            await _make(admin, topic, settings.partitions, settings.replication)
        await known_to_all(client, {topic.name: settings.partitions for topic in missing})
        return [topic.name for topic in missing]


async def _make(admin: AIOKafkaAdminClient, topic: Topic, partitions: int, replication: int) -> None:
    wanted = NewTopic(topic.name, partitions, replication, topic_configs=topic.settings_for(replication))
    response = await admin.create_topics([wanted])
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(name if error is TopicAuthorizationFailedError else f"cannot make the topic {name}")


async def check_topics(settings: Settings) -> list[Difference]:
    """How the topics that are there differ from what emberline relies on."""
    found = await known(settings, NAMES)
    async with asking(settings) as client:
        told = await settings_of(client, list(found))
    found = {name: topic._replace(settings=told.get(name)) for name, topic in found.items()}
    return differences(found, NAMES, settings.replication)


async def repair_topics(settings: Settings, partitions: int = 0) -> list[str]:
    """Make topics that are missing, mend settings, and give all topics as many partitions as the one that has most, or
    as are asked for. Returns what was done.

    Raises OperatorError where this broker cannot.
    """
    done = [f"made {name}" for name in await make_topics(settings)]
    try:
        done += await _mend_settings(settings, await check_topics(settings))
        done += await _widen(settings, partitions)
    except IncompatibleBrokerVersion as error:
        raise OperatorError(
            "this broker cannot change topics that are there: delete them and make them anew"
        ) from error
    return done


async def _mend_settings(settings: Settings, told: Sequence[Difference]) -> list[str]:
    wanted: dict[str, dict[str, str]] = {}
    for one in told:
        if one.mend is not None:
            wanted.setdefault(one.topic, {}).update([one.mend])
    if not wanted:
        return []
    async with asking(settings) as client, _admin(settings) as admin:
        # What is not named is set back to the cluster's default, so all that was set for the topic goes along.
        own = await own_settings_of(client, list(wanted))
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, name, dict(own[name]) | mended) for name, mended in wanted.items()
        ]
        for response in await admin.alter_configs(resources):
            for code, message, _, name in response.resources:
                if code:
                    raise for_code(code)(f"cannot change the settings of {name}: {message}")
    return [f"set {name} of {topic} to {value}" for topic, mended in wanted.items() for name, value in mended.items()]


async def _widen(settings: Settings, partitions: int) -> list[str]:
    there = await known(settings, _TELEMETRY_LAST)
    wanted = max(partitions, *(topic.partitions for topic in there.values()))
    narrow = [name for name in _TELEMETRY_LAST if there[name].partitions < wanted]
    async with asking(settings) as client, _admin(settings) as admin:
        for name in narrow:
            if name == TELEMETRY.name:
                await known_to_all(client, {other: wanted for other in narrow if other != name})
            await admin.create_partitions({name: NewPartitions(wanted)})
        await known_to_all(client, dict.fromkeys(narrow, wanted))
    return [f"widened {name} from {there[name].partitions} to {wanted} partitions" for name in narrow]


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = clients.admin(settings)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def existing(settings: Settings, names: Sequence[str]) -> dict[str, Described]:
    """The topics. Raises UnknownTopicOrPartitionError where one does not exist."""
    found = await known(settings, names)
    for name in names:
        if name not in found:
            raise UnknownTopicOrPartitionError(f"the topic {name} does not exist; make it with `emberline topics`")
    return found


async def count_partitions(settings: Settings, topic: str) -> int:
    """How many partitions a topic has. Raises UnknownTopicOrPartitionError where it does not exist."""
    return (await existing(settings, [topic]))[topic].partitions


async def topic_ids(settings: Settings, names: Sequence[str]) -> dict[str, UUID]:
    """The id of each topic. A topic deleted and made anew, or an embedded broker started anew, has another one.

    Raises UnknownTopicOrPartitionError where a topic does not exist.
    """
    return {name: topic.topic_id for name, topic in (await existing(settings, names)).items()}
