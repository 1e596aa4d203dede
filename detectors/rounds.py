"""What `process` works with: the context of what is processed together, the rounds it is processed in, and the result.

A round holds at most one report of each device, and rounds keep the order of the records. So within a round every array
operation touches each device and component once, and the reports of a device stay in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

import numpy as np

from detectors.limits import LimitTable
from detectors.state import WATCHING, Devices
from detectors.values import Values
from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus
from schemas.quantities import QUANTITIES
from schemas.report_fields import Marks
from schemas.report_rules import Fault, Reason
from schemas.reports import Reports

WATCHED_CODES: Final = np.array(list(WATCHING))
# Python 3.11 finds a member of an enumeration by a function of its own, which is slow for every round.
NOT_FITTED: Final = int(Reason.NOT_FITTED)
POWER_ON: Final = int(Reason.POWER_ON)
IS_WATCHED: Final = np.isin(np.arange(len(QUANTITIES)), WATCHED_CODES)
"""By the code of a quantity whether any detector sees it."""


@dataclass(slots=True)
class Result:
    """What reports of a partition meant: events in the order of their positions; what was not judged, by offset and
    index; and counts of reports by sort, `readable` of those that are not rejected. Of partitions that are processed
    together the first result has the counts of all."""

    alarms: list[Alarm] = field(default_factory=list)
    requests: list[DeviceRequest] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    sessions: list[ChargingSession] = field(default_factory=list)
    statuses: list[DeviceStatus] = field(default_factory=list)
    outcomes: list[ControlOutcome] = field(default_factory=list)
    refused: dict[tuple[int, int], Fault] = field(default_factory=dict)
    readable: int = 0
    skipped: int = 0
    repeated: int = 0
    late: int = 0
    flooded: int = 0
    by_arrival: int = 0
    absent_values: int = 0

    def __add__(self, later: Result) -> Result:
        together = {one.name: getattr(self, one.name) for one in fields(self)}
        for one in fields(self):
            more = getattr(later, one.name)
            together[one.name] = together[one.name] | more if one.name == "refused" else together[one.name] + more
        return Result(**together)


@dataclass(frozen=True, slots=True)
class Context:
    """What all rounds have in common. `odd`, bool[n], marks the reports about which something is to be told, `unfitted`
    are the marks of watched components that are not fitted, `prints` the reports' fingerprints, and `valued` says which
    have a value at all. `results` are one a partition, and `share`, int64[n], says which of them a report's is.
    `flooding` gets the reports that are the last to be judged of a minute, and `shown` the notes of what values show of
    sensors that are stuck and ports that are faulty, by report."""

    reports: Reports
    values: Values
    odd: np.ndarray
    unfitted: Marks
    prints: np.ndarray
    valued: np.ndarray
    state: Devices
    limits: LimitTable
    now: int
    results: Sequence[Result]
    share: np.ndarray
    flooding: set[int] = field(default_factory=set)
    shown: dict[int, list[str]] = field(default_factory=dict)

    @property
    def counts(self) -> Result:
        """The result that counts for all."""
        return self.results[0]

    def result_of(self, report: int) -> Result:
        """The result of the partition of a report."""
        number: int = self.share[report]
        return self.results[number]


@dataclass(frozen=True, slots=True)
class Round:
    """k reports of k different devices: the index of each among all reports, its device's row in the state, its moment
    and its arrival; and how long its device was silent before, by arrival."""

    report: np.ndarray
    row: np.ndarray
    ts: np.ndarray
    ingest_ts: np.ndarray
    silent_ms: np.ndarray

    def take(self, which: np.ndarray) -> Round:
        """Those that `which`, bool[k], selects."""
        if np.count_nonzero(which) == len(which):
            return self
        columns = (self.report, self.row, self.ts, self.ingest_ts, self.silent_ms)
        return Round(*(column[which] for column in columns))


class QuantityValues(NamedTuple):
    """The values of one watched quantity in a round: its code and which they are among all, and of each the report
    within the round, the slot, the component and the value; whether it is its component's newest, and whether it is
    what sensors show at power-on."""

    code: int
    part: slice
    which: np.ndarray
    slots: np.ndarray
    component: np.ndarray
    value: np.ndarray
    live: np.ndarray
    power_on: np.ndarray | None

    def only(self, kept: np.ndarray) -> QuantityValues:
        """Those values that are `kept`, bool[m]."""
        which, slots, component, value, live = (column[kept] for column in self[2:7])
        power_on = None if self.power_on is None else self.power_on[kept]
        return QuantityValues(self.code, self.part, which, slots, component, value, live, power_on)


class Seen(NamedTuple):
    """By `COLUMN`, of which watched quantities the reports of a round have any value, and a live one. bool[k, watched]
    each."""

    any: np.ndarray
    live: np.ndarray


def rounds_of(rows: np.ndarray) -> list[np.ndarray]:
    """Indices into `rows`: first every row's first occurrence, then every row's second, and so on."""
    if not len(rows):
        return []
    ordered = np.sort(rows)
    if (ordered[1:] > ordered[:-1]).all():
        return [np.arange(len(rows))]
    by_row = np.argsort(rows, kind="stable")
    begins = np.concatenate([[True], ordered[1:] > ordered[:-1]]).nonzero()[0]
    occurrence = np.arange(len(rows)) - np.repeat(begins, np.diff(begins, append=len(rows)))
    by_round = np.argsort(occurrence, kind="stable")
    ends = np.cumsum(np.bincount(occurrence))
    return np.split(by_row[by_round], ends[:-1])


def faulty_of(marks: Marks) -> np.ndarray:
    """The report of each value that is none for want of a good sensor."""
    faulty: np.ndarray = marks.report[(marks.reason != NOT_FITTED) & (marks.reason != POWER_ON)]
    return faulty
