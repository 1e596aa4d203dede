"""Whether a device is heard, and what is wrong with it (requirement A2).

Whatever a device sends puts it online, even if it is rejected: it is heard. Silence puts it offline, and after 6 h
overdue-offline (requirement A7). Silence is judged by the log's time and the arrivals of reports
(`detectors.log_time`), not by the device's clock; so a backlog is not taken for an outage.

The `faults` of a status are the device's own words, from its newest report, and notes of emberline. A note says what is
wrong with a device, so that nothing stays silently unjudged:

    sensor_fault:QUANTITY[COMPONENT]:REASON   a value that is none (`report_rules.Reason`), or a sensor: see below
    not_judged:QUANTITY                       all of it is late, repeated or unusable, or it is sent no more
    port_fault:PORT:WORD                      a port, from 0, that says what of it is broken (`schemas.charging`)
    no_values                                 reports come without any value
    rejected                                  reports come that cannot be read
    misplaced                                 its reports are in another partition than their key belongs to
    flapping                                  it has come back from silence `FLAPS` times within a day
    floods                                    more reports come within a minute than are judged of one
    clock_ahead, clock_behind, no_clock, clock_in_seconds, clock_in_microseconds, clock_in_nanoseconds
    unknown_quantity:NAME, unknown_device_kind, components_differ, too_many_components:QUANTITY, no_array:QUANTITY,
    bad_seq, bad_test, bad_faults, faults_cut

A sensor's fault is told where it was fitted and is not any more (not_fitted), and where it says the same for a day
(stuck, open: `detectors.stuck`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

import numpy as np

from detectors.own_words import OwnAlarm
from schemas.alarm_kinds import AlarmKind
from schemas.charging import PORT_STATES
from schemas.events import Status
from schemas.quantities import QUANTITIES
from schemas.report_rules import Reason

UNKNOWN, ONLINE, OFFLINE, OVERDUE = -1, 0, 1, 2
LABELS: Final = {ONLINE: Status.ONLINE, OFFLINE: Status.OFFLINE, OVERDUE: Status.OVERDUE_OFFLINE}

OFFLINE_AFTER_MS: Final = {
    "electrical_monitor": 15 * 60_000,  # one 10-min upload period and a grace of half [ours]
    "charging_pile": 6 * 60_000,  # two 3-min heartbeats, AP3000 [H]
    "smoke_detector": 25 * 3_600_000,  # a heartbeat a day and an hour's grace [ours]
    "circuit_breaker": 15 * 60_000,  # as a monitor [ours]
}
OFFLINE_MOST_MS: Final = 6 * 3_600_000 + 600_000
"""No device reports more seldom than each 6 h (A7), and 10 min of grace, but one whose kind may (domain.md,
Confirming)."""
OVERDUE_AFTER_MS: Final = 6 * 3_600_000
"""Requirement A7: data are uploaded at least every 6 h."""

HOLD_MS: Final = 600_000
"""A note stays for so long after it last held: what comes and goes is told once, not with each report [ours]."""
FLAPS: Final = 6
FLAPS_MS: Final = 86_400_000
"""Who comes back so often has a bad link, and each silence of it says little; as often as an alarm may [ours]."""
MAX_NOTES: Final = 32
"""Notes kept of a device; one with 64 probes off is told of as well by half of them [ours]."""


class DeviceFaults(NamedTuple):
    """What is wrong with a device: its own words, notes of ours with the arrival at which each last held, and alarms
    that are open by its own word."""

    words: tuple[str, ...] = ()
    notes: Mapping[str, int] = {}
    own: Mapping[AlarmKind, OwnAlarm] = {}

    @property
    def faults(self) -> list[str]:
        """As a status tells it."""
        return [*self.words, *sorted(self.notes)]


NO_FAULTS: Final = DeviceFaults()
MISPLACED: Final = "misplaced"


def sensor_fault(quantity: int, component: int, reason: Reason) -> str:
    """The note of a component that has no value though its sensor should give one."""
    return f"sensor_fault:{QUANTITIES[quantity].name}[{component}]:{reason.label}"


def port_fault(port: int, code: int) -> str:
    """The note of a port that says by a code of its state that something of it is broken."""
    return f"port_fault:{port}:{PORT_STATES[code].name}"


def not_judged(quantity: int) -> str:
    """The note of a quantity that no detector sees."""
    return f"not_judged:{QUANTITIES[quantity].name}"


def component_of(note: str) -> tuple[str, int] | None:
    """The quantity and component that a sensor's fault is of, None for any other note."""
    if not note.startswith("sensor_fault:"):
        return None
    quantity, _, rest = note.removeprefix("sensor_fault:").partition("[")
    return quantity, int(rest.partition("]")[0])


def heard(
    told: DeviceFaults,
    words: tuple[str, ...] | None,
    notes: Collection[str],
    ingest_ts: int,
    measures: Callable[[str, int], bool],
) -> DeviceFaults:
    """What is wrong with a device after a report that arrived at `ingest_ts`.

    `words` are its own, None where the report is not its newest; such a report ends no note. `notes` are what is wrong
    with the report. A sensor's fault ends only with a value: `measures` says of a quantity and component whether there
    is one."""
    kept = dict(told.notes)
    if words is not None:
        for note, held_ts in told.notes.items():
            whose = component_of(note)
            if ingest_ts - held_ts >= HOLD_MS and (whose is None or measures(*whose)):
                del kept[note]
    for note in sorted(notes):
        if note in kept or len(kept) < MAX_NOTES:
            kept[note] = ingest_ts
    return DeviceFaults(told.words if words is None else words, kept, told.own)


def offline_after(default_ms: np.ndarray, interval_ms: np.ndarray) -> np.ndarray:
    """The silence after which devices are offline, int64[k]: their kinds' defaults, or two and a half of their
    intervals."""
    least = np.maximum(default_ms, interval_ms.astype(np.int64) * 5 // 2)
    after: np.ndarray = np.minimum(least, np.maximum(OFFLINE_MOST_MS, default_ms))
    return after


def flaps(returns: np.ndarray, returns_ts: np.ndarray, ingest_ts: np.ndarray) -> np.ndarray:
    """Which devices come and go, bool[k]: that returned from silence so often since `returns_ts`."""
    found: np.ndarray = (returns >= FLAPS) & (ingest_ts - returns_ts < FLAPS_MS)
    return found


def silence(
    status: np.ndarray, heard_ts: np.ndarray, offline_after_ms: np.ndarray, now: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that silence moves to another status at `now` (epoch ms), and that status. Both int64[k].

    A device whose offline time exceeds 6 h goes overdue only after that time.
    """
    silent_ms = now - heard_ts
    overdue = silent_ms >= np.maximum(OVERDUE_AFTER_MS, offline_after_ms)
    wanted = np.where(overdue, OVERDUE, np.where(silent_ms >= offline_after_ms, OFFLINE, ONLINE))
    rows = np.flatnonzero((status >= ONLINE) & (wanted > status))
    return rows, wanted[rows]
