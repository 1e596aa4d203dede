"""What is said of topics that are not as emberline needs them."""

from __future__ import annotations

from uuid import UUID

import pytest

from schemas.topics import (
    ALARM_ACTIONS,
    ALARMS,
    CHECKPOINTS,
    COMMANDS,
    DAY_MS,
    REGISTRY,
    REJECTS,
    REPLAYS,
    TELEMETRY,
    TOPICS,
    Topic,
)
from streams.watching.described import Described
from streams.watching.differences import Difference, Weight, differences

NAMES = [topic.name for topic in TOPICS]


def _as_made(topic: Topic, partitions: int = 4, replicas: int = 3, **changes: str) -> Described:
    settings = topic.settings_for(replicas) | {name.replace("_", "."): value for name, value in changes.items()}
    return Described(UUID(int=1), dict.fromkeys(range(partitions), 1), replicas, settings)


def _told(*changed: tuple[Topic, Described | None], replication: int = 3) -> list[Difference]:
    found = {topic.name: _as_made(topic) for topic in TOPICS}
    for topic, described in changed:
        found.pop(topic.name)
        if described is not None:
            found[topic.name] = described
    return differences(found, NAMES, replication)


def test_of_topics_as_they_are_made_there_is_nothing_to_say() -> None:
    assert _told() == []


@pytest.mark.parametrize(
    ("topic", "described", "weight", "said"),
    [
        (TELEMETRY, _as_made(TELEMETRY, message_timestamp_type="CreateTime"), Weight.WRONG, "fires are missed"),
        (TELEMETRY, _as_made(TELEMETRY, cleanup_policy="compact"), Weight.WRONG, "records are lost"),
        (TELEMETRY, _as_made(TELEMETRY, cleanup_policy="compact,delete"), Weight.WRONG, "records are lost"),
        (CHECKPOINTS, _as_made(CHECKPOINTS, cleanup_policy="delete"), Weight.WRONG, "state of devices is forgotten"),
        (REJECTS, _as_made(REJECTS, max_message_bytes="1048588"), Weight.WRONG, "a large record ends its worker"),
        (ALARMS, None, Weight.WRONG, "does not exist; make it with `emberline topics`"),
        (ALARMS, _as_made(ALARMS, partitions=3), Weight.PARTLY, "devices of those from 3 on are not watched"),
        (ALARMS, _as_made(ALARMS, partitions=6), Weight.RISK, "half done"),
        (REPLAYS, _as_made(REPLAYS, partitions=3), Weight.RISK, "cannot be sent again"),
        (REPLAYS, None, Weight.RISK, "does not exist"),
        (REGISTRY, _as_made(REGISTRY, partitions=3), Weight.RISK, "in other partitions"),
        (REGISTRY, None, Weight.RISK, "does not exist"),
        (COMMANDS, _as_made(COMMANDS, partitions=3), Weight.RISK, "what is ordered of their devices"),
        (ALARM_ACTIONS, _as_made(ALARM_ACTIONS, partitions=3), Weight.RISK, "what is done about their alarms"),
        (ALARMS, _as_made(ALARMS, message_timestamp_type="CreateTime"), Weight.RISK, "a worker's clock"),
        (TELEMETRY, _as_made(TELEMETRY, max_message_bytes="1048588"), Weight.RISK, "larger records are refused"),
        (TELEMETRY, _as_made(TELEMETRY, retention_ms=str(DAY_MS)), Weight.RISK, "lost sooner"),
        (TELEMETRY, _as_made(TELEMETRY, replicas=1), Weight.RISK, "kafka-reassign-partitions.sh"),
        (TELEMETRY, _as_made(TELEMETRY, min_insync_replicas="1"), Weight.RISK, "one broker alone"),
    ],
)
def test_each_difference_is_one_sentence_with_its_remedy(
    topic: Topic, described: Described | None, weight: Weight, said: str
) -> None:
    (one,) = _told((topic, described))
    assert (one.weight, one.topic) == (weight, topic.name)
    assert said in one.text
    assert "`emberline topics" in one.text or "kafka-reassign-partitions.sh" in one.text


def test_what_is_kept_longer_or_lets_in_more_is_no_difference() -> None:
    more = _as_made(TELEMETRY, retention_ms="-1", max_message_bytes=str(2**30))
    assert _told((TELEMETRY, more)) == []


def test_replicas_are_compared_with_those_that_are_wanted_here() -> None:
    assert _told((ALARMS, _as_made(ALARMS, replicas=1)), replication=1) == []


def test_topics_whose_settings_may_not_be_seen_are_told_of_once_and_are_no_fault() -> None:
    unseen = [(topic, _as_made(topic)._replace(settings=None)) for topic in (TELEMETRY, ALARMS)]
    (one,) = _told(*unseen)
    assert one.weight is Weight.NOT_SEEN
    assert "the settings of emberline.telemetry, emberline.alarms are not checked" in one.text


def test_settings_that_a_broker_does_not_know_are_not_compared() -> None:
    assert _told((TELEMETRY, _as_made(TELEMETRY)._replace(settings={}))) == []


def test_the_worst_comes_first() -> None:
    short = _as_made(TELEMETRY, retention_ms="1000")
    told = _told((TELEMETRY, short), (CHECKPOINTS, _as_made(CHECKPOINTS, cleanup_policy="delete")))
    assert [one.weight for one in told] == [Weight.WRONG, Weight.RISK]
