"""The topics: what is on them, how many partitions, how long they are kept.

Every topic has as many partitions as `emberline.telemetry`, and what follows from telemetry partition p goes to
partition p, so that the order of a device's events is the order of its reports.
"""

from __future__ import annotations

from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
MAX_REJECT_BYTES: Final = 16 * 1_048_576
"""What `emberline.telemetry` lets in, so that even a 10 MB record becomes a reject and is not lost [ours]."""


class Topic(NamedTuple):
    """One topic. `settings` are Kafka topic settings."""

    name: str
    what: str
    settings: dict[str, str]

    def settings_for(self, replicas: int) -> dict[str, str]:
        """Those of a topic with so many replicas: one of three or more may be away, and writes go on."""
        return self.settings | ({"min.insync.replicas": str(replicas - 1)} if replicas > 2 else {})


def _keep(days: int, **more: str) -> dict[str, str]:
    # The broker's time of arrival is `ingest_ts`: clocks of gateways and workers differ, one broker's order does not.
    made = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", "retention.ms": str(days * DAY_MS)}
    return made | {name.replace("_", "."): value for name, value in more.items()}


TELEMETRY: Final = Topic(
    "emberline.telemetry",
    "reports of devices, keyed by device",
    _keep(7, max_message_bytes=str(MAX_REJECT_BYTES)),
)
ALARMS: Final = Topic("emberline.alarms", "events in the life of alarms, keyed by device", _keep(30))
AGGREGATES: Final = Topic("emberline.aggregates", "one record a device and minute, keyed by device", _keep(7))
DEVICE_STATUS: Final = Topic("emberline.device-status", "devices online, offline, faulty, keyed by device", _keep(30))
REJECTS: Final = Topic(
    "emberline.rejects",
    "records that are not reports: key, value and headers as they came, the reason in headers",
    _keep(30, max_message_bytes=str(MAX_REJECT_BYTES + 65_536)),
)
CHECKPOINTS: Final = Topic(
    "emberline.checkpoints",
    "state of detectors, one row a device, keyed by device",
    # Whoever takes a partition over reads it whole. By Kafka's own settings nothing is compacted below 1 GiB, which are
    # minutes of reading; with these it holds the newest rows and those of the last minute or two.
    {
        "cleanup.policy": "compact",
        "max.message.bytes": "1048576",
        "segment.bytes": "8388608",
        "max.compaction.lag.ms": "60000",
        "min.cleanable.dirty.ratio": "0.3",
    },
)
REPLAYS: Final = Topic(
    "emberline.replays",
    "rejects that were sent again, keyed by the reject's id",
    {"cleanup.policy": "compact"},
)

REGISTRY: Final = Topic(
    "emberline.registry",
    "what is registered of each device, keyed by device",
    {"cleanup.policy": "compact"},
)

COMMANDS: Final = Topic("emberline.commands", "what people order of devices, keyed by device", _keep(7))
CONTROL_OUTCOMES: Final = Topic("emberline.control-outcomes", "what became of orders, keyed by device", _keep(30))
DEVICE_REQUESTS: Final = Topic("emberline.device-requests", "what devices are asked for, keyed by device", _keep(7))
CHARGING_SESSIONS: Final = Topic("emberline.charging-sessions", "charges at charging piles, keyed by device", _keep(30))
ALARM_ACTIONS: Final = Topic("emberline.alarm-actions", "what people do about alarms, keyed by device", _keep(30))
NOTICES: Final = Topic("emberline.notices", "what early warning has to say (提示), keyed by device", _keep(30))

OUTPUTS: Final = (ALARMS, AGGREGATES, DEVICE_STATUS, REJECTS, CONTROL_OUTCOMES, DEVICE_REQUESTS, CHARGING_SESSIONS)
TOPICS: Final = (TELEMETRY, *OUTPUTS, CHECKPOINTS, REPLAYS, REGISTRY, COMMANDS, ALARM_ACTIONS, NOTICES)
PUBLISHED: Final = (REGISTRY, COMMANDS, ALARM_ACTIONS)
"""What the registry's database tells, under numbers of one row."""
