"""Comparing topics with what emberline relies on: each difference is one sentence with its remedy.

A difference that makes results wrong is told apart from one that is only a risk. The partitions of a topic are compared
with those of telemetry. An output topic with more partitions harms nobody; so outputs are widened first, and telemetry
last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from schemas.topics import ALARM_ACTIONS, CHECKPOINTS, COMMANDS, NOTICES, REGISTRY, REPLAYS, TELEMETRY, TOPICS, Topic
from streams.watching.described import Described

COMPARED: Final = (
    "cleanup.policy",
    "message.timestamp.type",
    "retention.ms",
    "max.message.bytes",
    "min.insync.replicas",
)
"""Settings of topics that are compared."""
_MEND: Final = "run `emberline topics --repair`"
_FOR_EVER: Final = -1
_BESIDE: Final = {
    REPLAYS.name: "rejects of the others cannot be sent again",
    REGISTRY.name: "what is registered of their devices is in other partitions",
    COMMANDS.name: "what is ordered of their devices is in other partitions, and refused there",
    ALARM_ACTIONS.name: "what is done about their alarms is in other partitions",
    NOTICES.name: "what early warning says of their devices is in other partitions",
}
"""Topics without which devices are watched all the same, and what it means where they have fewer partitions."""


class Weight(IntEnum):
    """What a difference does."""

    NOT_SEEN = 0
    """Nobody knows: it could not be compared."""
    RISK = 1
    """Something may go wrong, and has not."""
    PARTLY = 2
    """Some partitions cannot be worked on; the others can."""
    WRONG = 3
    """Results are wrong, or soon will be."""


class Difference(NamedTuple):
    """One difference. `text` says what it means and what to do, `mend` which setting would mend it, if one would."""

    weight: Weight
    topic: str
    text: str
    mend: tuple[str, str] | None = None


def differences(found: Mapping[str, Described], names: Collection[str], replication: int) -> list[Difference]:
    """How those of emberline's topics that are named differ from what it relies on, the worst first."""
    wanted = [topic for topic in TOPICS if topic.name in names]
    told = [one for topic in wanted for one in _of_topic(topic, found, replication)]
    unseen = [topic.name for topic in wanted if topic.name in found and found[topic.name].settings is None]
    if unseen:
        text = (
            f"the settings of {', '.join(unseen)} are not checked, for this user may not see them; "
            "allow it DescribeConfigs on them, or run `emberline topics --check` as a user who may"
        )
        told.append(Difference(Weight.NOT_SEEN, unseen[0], text))
    return sorted(told, key=lambda one: -one.weight)


def _of_topic(topic: Topic, found: Mapping[str, Described], replication: int) -> Iterator[Difference]:
    described = found.get(topic.name)
    if described is None:
        weight = Weight.RISK if topic.name in _BESIDE else Weight.WRONG
        yield Difference(weight, topic.name, f"the topic {topic.name} does not exist; make it with `emberline topics`")
        return
    yield from _partitions(topic, described, found.get(TELEMETRY.name))
    if described.replicas < replication:
        text = (
            f"{topic.name} has {described.replicas} replicas and EMBERLINE_REPLICATION says {replication}: fewer "
            "brokers may be lost; raise it with Kafka's kafka-reassign-partitions.sh"
        )
        yield Difference(Weight.RISK, topic.name, text)
    there = described.settings or {}
    for name, value in topic.settings_for(min(replication, described.replicas)).items():
        if name in COMPARED and name in there and (one := _setting(topic, name, there[name], value)) is not None:
            yield one


def _partitions(topic: Topic, described: Described, telemetry: Described | None) -> Iterator[Difference]:
    if telemetry is None or topic is TELEMETRY or described.partitions == telemetry.partitions:
        return
    counts = f"{TELEMETRY.name} has {telemetry.partitions} partitions and {topic.name} {described.partitions}"
    if described.partitions < telemetry.partitions and topic.name in _BESIDE:
        yield Difference(Weight.RISK, topic.name, f"{counts}: {_BESIDE[topic.name]}; {_MEND}")
    elif described.partitions < telemetry.partitions:
        text = f"{counts}: devices of those from {described.partitions} on are not watched; {_MEND}"
        yield Difference(Weight.PARTLY, topic.name, text)
    else:
        yield Difference(Weight.RISK, topic.name, f"{counts}, so the widening is half done; {_MEND}")


def _setting(topic: Topic, name: str, there: str, wanted: str) -> Difference | None:
    """The difference of one setting, if it is one that matters."""
    found = _meaning(topic, name, there, wanted)
    if found is None:
        return None
    weight, meaning = found
    text = f"{topic.name} has {name} {there} where {wanted} is needed: {meaning}; {_MEND}"
    return Difference(weight, topic.name, text, (name, wanted))


def _meaning(topic: Topic, name: str, there: str, wanted: str) -> tuple[Weight, str] | None:
    match name:
        case "cleanup.policy" if set(there.split(",")) != {wanted}:
            return Weight.WRONG, "state of devices is forgotten" if topic is CHECKPOINTS else "records are lost"
        case "message.timestamp.type" if there != wanted:
            if topic is TELEMETRY:
                return Weight.WRONG, "senders' clocks pass for arrivals, so fires are missed and rows are lost"
            return Weight.RISK, "a worker's clock dates its rows"
        case "max.message.bytes" if int(there) < int(wanted):
            if topic is TELEMETRY:
                return Weight.RISK, "larger records are refused"
            return Weight.WRONG, "a large record ends its worker"
        case "retention.ms" if int(there) != _FOR_EVER and int(there) < int(wanted):
            return Weight.RISK, "records that wait for a worker are lost sooner"
        case "min.insync.replicas" if int(there) < int(wanted):
            return Weight.RISK, "what one broker alone has acknowledged may be lost with it"
    return None
