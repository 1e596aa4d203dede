"""What detectors are shown, and what they find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from detectors.limit_rows import LimitRows


class Elements(NamedTuple):
    """m measured values, of m different components, as arrays of length m.

    `slots` index the detector's state, `limits` are the components' own, `ts` epoch ms, `values` finite float64,
    `ingest_ts` their arrival, `before_ts` the moment of the value before, 0 for a first one. The other times are those
    of `detectors.channels.Passed`. Of a kind of several inputs `others` are those beside the first, float64[m] each,
    NaN where there is none."""

    slots: np.ndarray
    values: np.ndarray
    ts: np.ndarray
    ingest_ts: np.ndarray
    before_ts: np.ndarray
    elapsed_ms: np.ndarray
    step_ms: np.ndarray
    interval_ms: np.ndarray
    gap: np.ndarray
    limits: LimitRows
    others: tuple[np.ndarray, ...] = ()

    def take(self, which: np.ndarray) -> Elements:
        """The elements `which` (a mask or indices) selects."""
        *columns, limits, others = self
        beside = tuple(column[which] for column in others)
        return Elements._make([*(column[which] for column in columns), limits.take(which), beside])


class Finding(NamedTuple):
    """One thing that happened to an element. The fields are those of `Findings`."""

    element: int
    event: int
    severity: int
    highest: int
    level: int
    value: float
    limit: float
    onset_ts: int
    episode: int
    peak: float
    baseline: float
    ts: int
    late: bool
    active: bool
    untold: int


class Findings(NamedTuple):
    """k things that happened, as arrays of length k. `element` says which of the elements; `event` indexes `EVENTS`.

    `severity` is how bad that is of which the event tells, 0 where an alarm is normal again or over, and `highest` the
    highest of the episode; `level` the one whose `limit` the `value` was compared with; `ts` when it happened, and
    `late` whether a late value tells of it. `active` is what the event tells of that, and `untold` how many recoveries
    and reactivations of the episode were not told. `baseline` is NaN where none is compared."""

    element: np.ndarray
    event: np.ndarray
    severity: np.ndarray
    highest: np.ndarray
    level: np.ndarray
    value: np.ndarray
    limit: np.ndarray
    onset_ts: np.ndarray
    episode: np.ndarray
    peak: np.ndarray
    baseline: np.ndarray
    ts: np.ndarray
    late: np.ndarray
    active: np.ndarray
    untold: np.ndarray

    def of(self, chosen: np.ndarray | slice) -> Findings:
        """The same of the values of which the elements were those that are `chosen`, a slice for all."""
        return self if isinstance(chosen, slice) else self._replace(element=chosen[self.element])

    def each(self) -> Iterator[Finding]:
        """One by one."""
        return map(Finding._make, zip(*(column.tolist() for column in self), strict=True))


NOTHING: Final = Findings(*(np.empty(0, np.int64) for _ in Findings._fields))
"""Nothing happened."""
