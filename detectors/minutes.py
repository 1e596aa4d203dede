"""The minutes of a round: its values are counted in them, and what closes becomes events (`detectors.aggregates`)."""

from __future__ import annotations

import numpy as np

from detectors import aggregates
from detectors.rounds import Context, Round
from detectors.state import Devices
from detectors.values import RoundValues, wanted_width
from schemas.events import VERSION, Aggregate, Statistics
from schemas.quantities import DEVICE_KINDS, QUANTITIES


def close_minutes(taken: Round, newest_ts: np.ndarray, context: Context) -> None:
    close(aggregates.passed(context.state.minutes, taken.row, newest_ts), taken, context)


def close(closed: aggregates.Closed, taken: Round, context: Context) -> None:
    reports, report = context.reports, taken.report[closed.report]
    for number, aggregate in told(closed, context.state, reports.offset[report], reports.index[report]):
        context.result_of(int(report[number])).aggregates.append(aggregate)


def told(
    closed: aggregates.Closed, state: Devices, offset: np.ndarray, index: np.ndarray
) -> list[tuple[int, Aggregate]]:
    """Empty the closed minutes, and tell what was in them, each with its number among the minutes. `offset` and `index`
    say what each of them follows from."""
    if not len(closed.row):
        return []
    return [
        (
            number,
            Aggregate(
                v=VERSION,
                device_id=state.device_ids[row],
                device_kind=DEVICE_KINDS[kind].name,
                test=bool(test),
                minute_ts=minute_ts,
                quantities=statistics,
                source_offset=source_offset,
                source_ordinal=ordinal,
            ),
        )
        for number, (statistics, row, kind, test, minute_ts, source_offset, ordinal) in enumerate(
            zip(
                _taken(closed, state),
                closed.row.tolist(),
                state.kinds(closed.row).tolist(),
                state.rows["test"][closed.row].tolist(),
                closed.minute_ts.tolist(),
                offset.tolist(),
                (index << 1 | closed.bucket).tolist(),
                strict=True,
            )
        )
        if statistics
    ]


def _taken(closed: aggregates.Closed, state: Devices) -> list[dict[str, Statistics]]:
    """Empty the closed minutes; the statistics of each, by quantity."""
    width = state.rows["width"][closed.row].astype(np.int64)
    columns = aggregates.take(state.minutes, closed, width.sum(axis=1))
    counts, least, greatest, mean, last = columns.values()
    minute, quantity = width.nonzero()
    ends = np.cumsum(width[minute, quantity])
    begins = ends - width[minute, quantity]
    taken: list[dict[str, Statistics]] = [{} for _ in closed.row]
    for number, code, begin, end in zip(*map(np.ndarray.tolist, (minute, quantity, begins, ends)), strict=True):
        # What follows the last value is left out: one value of a device with many components is not told as many.
        while end > begin and not counts[end - 1]:
            end -= 1
        if count := counts[begin:end]:
            taken[number][QUANTITIES[code].name] = {
                "count": count,
                "min": least[begin:end],
                "max": greatest[begin:end],
                "mean": mean[begin:end],
                "last": last[begin:end],
            }
    return taken


def width_of(taken: Round, context: Context) -> np.ndarray:
    """How many components of each quantity the devices have, those of these reports among them."""
    width = context.state.rows["width"]
    held, wanted = width[taken.row], wanted_width(context.values, taken.report)
    short = wanted > held
    if np.count_nonzero(short):
        wider = short.any(axis=1)
        context.state.make_room(taken.row[wider], wanted[wider])
        held = width[taken.row]
    enough: np.ndarray = held.astype(np.int64)
    return enough


def count(found: RoundValues, taken: Round, newest_ts: np.ndarray, sizes: np.ndarray, context: Context) -> None:
    """Count the values in their minute, where it is open."""
    minutes = context.state.minutes
    counting = aggregates.open_minutes(minutes, taken.row, taken.ts, newest_ts, sizes)
    counted = found.of(counting.in_time)
    aggregates.count(minutes, counting, sizes, counted.which, counted.within, taken.ts, counted.value)
