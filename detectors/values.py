"""The values of a chunk's reports as flat arrays, so that a round touches all of its values at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.aggregates import offsets
from detectors.table import runs
from schemas.quantities import CODES, QUANTITIES
from schemas.reports import Reports


class Values(NamedTuple):
    """The m values of n reports that are there, quantity by quantity and within that report by report.

    `codes` are the quantities that occur. Of the quantity `codes[q]` report i has the `counts[q, i]` values from
    `starts[q, i]` on, and components below `width[q, i]`. `component` and `value` are arrays of length m.
    """

    codes: list[int]
    starts: np.ndarray
    counts: np.ndarray
    width: np.ndarray
    component: np.ndarray
    value: np.ndarray


class Measured(NamedTuple):
    """The values of a round's k reports, in the order of `Values`: of the quantity q `bounds[q]` to `bounds[q + 1]`.

    `which` of the reports each is of, its component, that component's place among all of its device, and the value.
    """

    bounds: list[int]
    which: np.ndarray
    component: np.ndarray
    within: np.ndarray
    value: np.ndarray

    def of(self, chosen: np.ndarray) -> Measured:
        """Those of the reports that are `chosen`, bool[k]."""
        if np.count_nonzero(chosen) == len(chosen):
            return self
        kept = chosen[self.which]
        before = np.concatenate([[0], np.cumsum(kept)])
        return Measured(before[self.bounds].tolist(), *(column[kept] for column in self[1:]))


def values_of(reports: Reports) -> Values:
    """All values of the reports but the absent ones."""
    ragged = list(reports.quantities.values())
    shape = len(ragged), len(reports)
    counts = np.array([part.counts for part in ragged], dtype=np.int64).reshape(shape)
    value = np.concatenate([part.values for part in ragged]) if ragged else np.empty(0)
    component = runs(np.zeros(counts.size, np.int64), counts.ravel())
    width, there = counts, np.isfinite(value)
    if not there.all():
        report = np.repeat(np.arange(counts.size), counts.ravel())[there]
        component, value = component[there], value[there]
        counts = np.bincount(report, minlength=counts.size).reshape(shape)
        width = np.zeros(shape, np.int64)
        width.ravel()[report] = component + 1  # they rise within a report, and the last one stays
    starts = counts.ravel().cumsum().reshape(shape) - counts
    return Values([CODES[name] for name in reports.quantities], starts, counts, width, component, value)


def wanted_width(values: Values, reports: np.ndarray) -> np.ndarray:
    """How many components of each quantity the devices of some reports must have. int64[k, quantities]."""
    wanted = np.zeros((len(reports), len(QUANTITIES)), np.int64)
    wanted[:, values.codes] = values.width[:, reports].T
    return wanted


def measured(values: Values, reports: np.ndarray, width: np.ndarray) -> Measured:
    """The values of some reports, whose devices have `width` components of each quantity, int64[k, quantities]."""
    counts, component, value = values.counts, values.component, values.value
    if len(reports) < counts.shape[1]:  # else they are all, in their order
        counts = counts[:, reports]
        picked = runs(values.starts[:, reports].ravel(), counts.ravel())
        component, value = component[picked], value[picked]
    run = np.repeat(np.arange(counts.size), counts.ravel())
    within = offsets(width).T[values.codes].ravel()[run] + component
    bounds = [0, *counts.sum(axis=1).cumsum().tolist()]
    return Measured(bounds, run % len(reports), component, within, value)
