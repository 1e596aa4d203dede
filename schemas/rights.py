"""Who may do what at Kafka: the rights of each role, as they are granted and tested.

A right to read or to write a topic includes the right to describe it. `emberline acls` prints these as commands of
Kafka's own tool, and README.md has them as a table.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.topics import (
    ALARM_ACTIONS,
    ALARMS,
    CHARGING_SESSIONS,
    CHECKPOINTS,
    COMMANDS,
    CONTROL_OUTCOMES,
    DEVICE_REQUESTS,
    DEVICE_STATUS,
    NOTICES,
    OUTPUTS,
    PUBLISHED,
    REGISTRY,
    REJECTS,
    REPLAYS,
    TELEMETRY,
)

_OUTPUTS: Final = tuple(topic.name for topic in OUTPUTS)


class Right(NamedTuple):
    """What one role may do to resources of one kind; with `prefixed`, to all whose names begin so."""

    role: str
    operations: tuple[str, ...]
    resource: str
    names: tuple[str, ...]
    prefixed: bool = False


ROLES: Final = {
    "detect": "a detect worker",
    "sink": "a sink worker",
    "gateway": "who sends reports, and reads what devices are asked for, in a group of its own",
    "registry": "who publishes what is registered of devices, what is ordered of them, and what is done about alarms",
    "hourly": "who runs `emberline hourly`",
    "service": "who follows alarms, actions, charges, notices and device status, alone or in a group of its own",
    "operator": "who makes topics, follows alarms, and sends rejects and recordings",
}


def rights(group: str) -> list[Right]:
    """The rights of all roles, where `EMBERLINE_GROUP` is `group`."""
    return [
        # It writes control records into telemetry (`schemas.control`), and reads what its predecessor has sent.
        Right("detect", ("Read", "Write"), "topic", (TELEMETRY.name, CHECKPOINTS.name, *_OUTPUTS)),
        Right("detect", ("Read",), "topic", (COMMANDS.name, REGISTRY.name)),
        Right("detect", ("Read",), "group", (f"{group}-detect",)),
        Right("detect", ("Write",), "transactional-id", (f"{group}-checkpoint-",), prefixed=True),
        # Which generation events are of is in the checkpoints (`streams.watching.strangers`).
        Right("sink", ("Read",), "topic", (TELEMETRY.name, CHECKPOINTS.name, *_OUTPUTS)),
        Right("sink", ("Read",), "topic", (REGISTRY.name, ALARM_ACTIONS.name, NOTICES.name)),
        Right("sink", ("Read",), "group", (f"{group}-sink",)),
        Right("gateway", ("Write",), "topic", (TELEMETRY.name,)),
        Right("gateway", ("Read",), "topic", (DEVICE_REQUESTS.name,)),
        Right("gateway", ("Read",), "group", (f"{group}-gateway-",), prefixed=True),
        # It reads how far the topics are, to see that its database was restored (`services.registry.publishing`).
        Right("registry", ("Read", "Write"), "topic", tuple(topic.name for topic in PUBLISHED)),
        Right("registry", ("Write",), "transactional-id", (f"{group}-registry",)),
        Right("hourly", ("Write",), "topic", (NOTICES.name,)),
        Right(
            "service",
            ("Read",),
            "topic",
            (
                *(ALARMS.name, DEVICE_STATUS.name, CONTROL_OUTCOMES.name, ALARM_ACTIONS.name),
                *(CHARGING_SESSIONS.name, NOTICES.name),
            ),
        ),
        Right("service", ("Read",), "group", (f"{group}-service-",), prefixed=True),
        Right("operator", ("Create", "Describe"), "topic", ("emberline.",), prefixed=True),
        Right("operator", ("Read",), "topic", (ALARMS.name, REJECTS.name)),
        Right("operator", ("Read", "Write"), "topic", (TELEMETRY.name, REPLAYS.name)),
        Right("operator", ("Describe",), "group", (f"{group}-detect",)),
        Right("operator", ("Write",), "transactional-id", (f"{group}-replay-",), prefixed=True),
    ]
