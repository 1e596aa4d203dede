"""The values of a piece's reports as flat arrays, so that a round touches all of its values at once."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from detectors.aggregates import offsets
from detectors.table import runs
from schemas.quantities import CODES, QUANTITIES
from schemas.report_rules import Reason
from schemas.reports import Reports

_POWER_ON: Final = int(Reason.POWER_ON)
_PORTS, _SETTLED = CODES["port_state"], CODES["stop_reason"]


class Values(NamedTuple):
    """The m values of n reports that are there, quantity by quantity and within that report by report.

    `codes` are the quantities that occur. Of the quantity `codes[q]` report i has the `counts[q, i]` values from
    `starts[q, i]` on, and components below `width[q, i]`. `component`, `value` and `power_on` are arrays of length m;
    the last says which are what a sensor shows before it has round_values, and is None where none is."""

    codes: list[int]
    starts: np.ndarray
    counts: np.ndarray
    width: np.ndarray
    component: np.ndarray
    value: np.ndarray
    power_on: np.ndarray | None


class RoundValues(NamedTuple):
    """The values of a round's k reports, in the order of `Values`: of the quantity q `bounds[q]` to `bounds[q + 1]`.

    `which` of the reports each is of, its component, that component's index among all of its device, and the value.
    """

    bounds: list[int]
    which: np.ndarray
    component: np.ndarray
    within: np.ndarray
    value: np.ndarray
    power_on: np.ndarray | None

    def of(self, chosen: np.ndarray) -> RoundValues:
        """Those of the reports that are `chosen`, bool[k]."""
        return self if np.count_nonzero(chosen) == len(chosen) else self.only(chosen[self.which])

    def only(self, kept: np.ndarray) -> RoundValues:
        """Those values that are `kept`, bool[m]."""
        before = np.concatenate([[0], np.cumsum(kept)])
        power_on = None if self.power_on is None else self.power_on[kept]
        bounds, columns = before[self.bounds].tolist(), [column[kept] for column in self[1:5]]
        return RoundValues._make([bounds, *columns, power_on])


def values_of(reports: Reports) -> Values:
    """All values of the reports but the absent ones."""
    ragged = list(reports.quantities.values())
    shape = len(ragged), len(reports)
    counts = np.array([part.counts for part in ragged], dtype=np.int64).reshape(shape)
    value = np.concatenate([part.values for part in ragged]) if ragged else np.empty(0)
    component = runs(np.zeros(counts.size, np.int64), counts.ravel())
    width, there = counts, np.isfinite(value)
    codes = [CODES[name] for name in reports.quantities]
    power_on = _power_on(reports, codes, counts, len(value))
    if not there.all():
        report = np.repeat(np.arange(counts.size), counts.ravel())[there]
        component, value = component[there], value[there]
        power_on = None if power_on is None else power_on[there]
        counts = np.bincount(report, minlength=counts.size).reshape(shape)
        width = np.zeros(shape, np.int64)
        width.ravel()[report] = component + 1  # they rise within a report, and the last one stays
    starts = counts.ravel().cumsum().reshape(shape) - counts
    return Values(codes, starts, counts, width, component, value, power_on)


def _power_on(reports: Reports, codes: list[int], counts: np.ndarray, size: int) -> np.ndarray | None:
    marked = (reports.marks.reason == _POWER_ON).nonzero()[0]
    if not len(marked):
        return None
    begins = counts.ravel().cumsum().reshape(counts.shape) - counts
    quantity = np.array([codes.index(code) for code in reports.marks.quantity[marked].tolist()])
    found = np.zeros(size, np.bool_)
    found[begins[quantity, reports.marks.report[marked]] + reports.marks.component[marked]] = True
    return found


def wanted_width(values: Values, reports: np.ndarray) -> np.ndarray:
    """How many components of each quantity the devices of some reports must have. int64[k, quantities].

    What is kept of ports has the room of their states (`detectors.charging`), also of those that are only settled."""
    wanted = np.zeros((len(reports), len(QUANTITIES)), np.int64)
    wanted[:, values.codes] = values.width[:, reports].T
    if _SETTLED in values.codes:
        wanted[:, _PORTS] = np.maximum(wanted[:, _PORTS], wanted[:, _SETTLED])
    return wanted


def round_values(values: Values, reports: np.ndarray, width: np.ndarray) -> RoundValues:
    """The values of some reports, whose devices have `width` components of each quantity, int64[k, quantities]."""
    counts, component, value, power_on = values.counts, values.component, values.value, values.power_on
    if len(reports) < counts.shape[1]:  # else they are all, in their order
        counts = counts[:, reports]
        picked = runs(values.starts[:, reports].ravel(), counts.ravel())
        component, value = component[picked], value[picked]
        power_on = None if power_on is None else power_on[picked]
    run = np.repeat(np.arange(counts.size), counts.ravel())
    within = offsets(width).T[values.codes].ravel()[run] + component
    bounds = [0, *counts.sum(axis=1).cumsum().tolist()]
    return RoundValues(bounds, run % max(len(reports), 1), component, within, value, power_on)
