"""What orders do to a device: `obey` applies a command to its row (`detectors.control` judges it before)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from detectors.limits import LimitTable
from detectors.state import PartitionState
from schemas.commands import Command
from schemas.events import Aggregate, Alarm

NOT_YET = "尚不支持"


class OrderAt(NamedTuple):
    """Where in the log an order stands: the offset of its control record, its number in that, and its arrival there,
    epoch ms."""

    offset: int
    number: int
    ingest_ts: int


class Obeyed(NamedTuple):
    """Why an order was refused, empty where it was applied; and the events that follow from it, in their order."""

    reason: str = ""
    alarms: Sequence[Alarm] = ()
    aggregates: Sequence[Aggregate] = ()


def obey(command: Command, row: int, at: OrderAt, state: PartitionState, limits: LimitTable) -> Obeyed:
    """Apply a command to the device of a row."""
    return Obeyed(NOT_YET)
