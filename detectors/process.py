"""The middle of emberline: reports in, what they mean out. Pure: no Kafka, no loop, no clock.

What numpy does costs as much for one report as for a hundred. So the reports of several partitions are processed
together, and what they mean is told partition by partition.

Reports are processed in rounds (`detectors.rounds`). In each round is found which reports are new and which are their
devices' newest (`order`), what is wrong with the devices (`statuses`), what their minutes hold (`minutes`) and what the
detectors see (`alarms`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from detectors import aggregates, alarms, channels, device_status, minutes, order, requests, statuses
from detectors.charging import sessions
from detectors.limits import LimitTable
from detectors.rounds import IS_WATCHED, NOT_FITTED, Context, QuantityValues, Result, Round, Seen, faulty_of, rounds_of
from detectors.state import COLUMN, WATCHING, Devices, PartitionState
from detectors.values import RoundValues, round_values, values_of
from schemas.charging_sessions import ChargingSession
from schemas.events import Aggregate, Alarm, DeviceStatus
from schemas.rejects import DEVICE_FLOODS, DEVICE_REFUSED
from schemas.report_fields import Marks
from schemas.report_rules import Fault
from schemas.reports import Reports

FLOOD_REPORTS: Final = 3_000
"""Reports of one device that are judged of those that arrive within one minute. The fastest devices send one a second,
and hand in up to 600 kept ones at once, each perhaps twice (domain.md); beyond that a device floods [ours]."""
_WINDOW_MS: Final = 60_000
_FLOODS: Final = Fault(
    DEVICE_FLOODS,
    f"over {FLOOD_REPORTS} reports of this device within a minute: this one and all that follow in the minute are "
    "stored, but not judged",
)
_REFUSED: Final = Fault(
    DEVICE_REFUSED,
    "the partition has as many devices as EMBERLINE_DEVICES_MOST allows; it is stored, but not judged: find out who "
    "sends ids that are nobody's, or raise it",
)


class Share(NamedTuple):
    """Some reports of one partition, and its state."""

    reports: Reports
    state: PartitionState


def process(reports: Reports, state: PartitionState, limits: LimitTable, now: int) -> Result:
    """Process `reports` against `state`, in place, and say what they mean.

    `now` (epoch ms) only marks when alarms were detected; it decides nothing, so the same reports give the same
    events. Reports that a device's row already reflects are skipped.
    """
    return process_together([Share(reports, state)], limits, now)[0]


def process_together(shares: Sequence[Share], limits: LimitTable, now: int) -> list[Result]:
    """`process` the shares of partitions whose devices lie together, one each; what each of them means is what it means
    by itself."""
    tables = [share.state.in_force(limits) for share in shares]
    results = [Result() for _ in shares]
    together = defaultdict[int, list[_Admitted]](list)
    for number, (share, table) in enumerate(zip(shares, tables, strict=True)):
        for admitted in _admitted(number, share):
            if admitted.is_last:
                together[id(table)].append(admitted)
            else:
                _process([admitted], table, now, results)
    for some in together.values():
        _process(some, tables[some[0].number], now, results)
    for result in results:
        for events in (result.alarms, result.aggregates, result.sessions, result.statuses):
            events.sort(key=_source)
        result.requests += requests.read_backs(result.alarms)
    return results


class _Admitted(NamedTuple):
    """Reports of the share `number`, whose devices have these rows, -1 where one was refused. `is_last` says whether
    they are the last of their share."""

    number: int
    reports: Reports
    rows: np.ndarray
    state: PartitionState
    is_last: bool


def _admitted(number: int, share: Share) -> Iterator[_Admitted]:
    """The reports of a share, as many at a time as can be admitted before they are processed."""
    reports, state = share
    while len(rows := state.admit(reports)) < len(reports):
        yield _Admitted(number, reports.between(0, len(rows)), rows, state, is_last=False)
        reports = reports.between(len(rows), len(reports))
    yield _Admitted(number, reports, rows, state, is_last=True)


def _process(admitted: Sequence[_Admitted], limits: LimitTable, now: int, results: Sequence[Result]) -> None:
    reports = Reports.joined([one.reports for one in admitted])
    rows = np.concatenate([one.rows for one in admitted])
    share = np.repeat([one.number for one in admitted], [len(one.rows) for one in admitted])
    state, counts, known = admitted[0].state.devices, results[0], rows >= 0
    counts.readable += int(np.count_nonzero(~reports.rejected))
    state.look_up(rows[known])
    for report in (~known & ~reports.rejected).nonzero()[0].tolist():
        results[share[report]].refused[int(reports.offset[report]), int(reports.index[report])] = _REFUSED
    if not known.any():
        return
    before, offset = state.rows["offset"][rows], reports.offset
    newer = (offset > before) | ((offset == before) & (reports.index > state.rows["index"][rows]))
    counts.skipped += int(np.count_nonzero(known & ~newer & ~reports.rejected))
    taken = (known & newer).nonzero()[0]
    fresh = _without_flood(rows, taken, reports, state, counts)
    faulty = faulty_of(reports.marks)
    if len(faulty):
        counts.absent_values += int(np.count_nonzero(np.isin(faulty, fresh)))
    values = values_of(reports)
    context = Context(
        reports, values, _odd(reports, faulty), _unfitted(reports), order.fingerprints(reports, values),
        values.counts.sum(axis=0) > 0, state, limits, now, results, share,
    )  # fmt: skip
    for chosen in rounds_of(rows[fresh]):
        which = fresh[chosen]
        ingest_ts, heard_ts = reports.ingest_ts[which], state.rows["heard_ts"][rows[which]]
        silent_ms = np.where(heard_ts > 0, np.maximum(ingest_ts - heard_ts, 0), 0)
        _process_round(Round(which, rows[which], reports.ts[which], ingest_ts, silent_ms), context)
    state.rows["offset"][rows[taken]] = offset[taken]
    state.rows["index"][rows[taken]] = reports.index[taken]
    state.dirty[rows[taken]] = True


def _odd(reports: Reports, faulty: np.ndarray) -> np.ndarray:
    """The reports that carry faults, notes or values that are none for want of a good sensor, bool[n]."""
    odd = reports.rejected.copy()
    odd[list(reports.faults)] = odd[list(reports.notes)] = True
    odd[faulty] = True
    return odd


def _unfitted(reports: Reports) -> Marks:
    marks = reports.marks
    which = ((marks.reason == NOT_FITTED) & IS_WATCHED[marks.quantity]).nonzero()[0]
    return Marks._make(column[which] for column in marks)


def _without_flood(rows: np.ndarray, fresh: np.ndarray, reports: Reports, state: Devices, counts: Result) -> np.ndarray:
    """Those of the reports `fresh` whose devices have not had all that is judged of a minute: quick, where many are."""
    at, window = rows[fresh], reports.ingest_ts[fresh] // _WINDOW_MS
    full = (state.rows["in_window"][at] > FLOOD_REPORTS) & (state.rows["window"][at] == window)
    if not np.count_nonzero(full):
        return fresh
    counts.flooded += int(np.count_nonzero(full))
    within: np.ndarray = fresh[~full]
    return within


def _source(event: Alarm | Aggregate | ChargingSession | DeviceStatus) -> tuple[int, int]:
    return event.source_offset, event.source_ordinal


def _process_round(arrived: Round, context: Context) -> None:
    reports, rows, counts = context.reports, context.state.rows, context.counts
    arrived = arrived.take(_within_flood(arrived, context))
    if not len(arrived.row):
        return
    returned = _put_online(arrived, context)
    fresh = ~reports.rejected[arrived.report]
    taken = arrived.take(fresh)
    which = taken.report
    new = order.arrive(rows, taken.row, context.prints[which], reports.event_ts[which], taken.silent_ms)
    fresh[fresh] = new
    arrived = _dated(arrived, fresh, context)
    taken = arrived.take(fresh)
    counts.repeated += len(new) - int(np.count_nonzero(new))
    newest = np.zeros(len(arrived.row), np.bool_)
    newest[fresh] = _take_on(taken, context)
    statuses.tell(arrived, fresh, newest, returned, context)


def _within_flood(arrived: Round, context: Context) -> np.ndarray:
    """Which of the reports are among those of their devices and minutes that are judged, bool[k]."""
    rows, at, window = context.state.rows, arrived.row, arrived.ingest_ts // _WINDOW_MS
    count = np.where(rows["window"][at] == window, rows["in_window"][at], 0).astype(np.int64)
    rows["window"][at], rows["in_window"][at] = window, np.minimum(count + 1, FLOOD_REPORTS + 1)
    within: np.ndarray = count < FLOOD_REPORTS
    last = arrived.report[count == FLOOD_REPORTS - 1]
    if len(last):
        context.flooding.update(last.tolist())
        context.odd[last] = True
    if np.count_nonzero(within) < len(within):
        context.counts.flooded += int(np.count_nonzero(~within))
        # The first of them tells of all: what a device floods with is not to flood the rejects.
        first = arrived.report[count == FLOOD_REPORTS]
        for report in first[~context.reports.rejected[first]].tolist():
            place = int(context.reports.offset[report]), int(context.reports.index[report])
            context.result_of(report).refused[place] = _FLOODS
    return within


def _put_online(arrived: Round, context: Context) -> np.ndarray:
    """Note that the devices were heard. Which of them were not online, bool[k]."""
    rows, at = context.state.rows, arrived.row
    rows["heard_ts"][at] = np.maximum(rows["heard_ts"][at], arrived.ingest_ts)
    returned: np.ndarray = rows["status"][at] != device_status.ONLINE
    if np.count_nonzero(returned):
        _count_returns(arrived, context)
        rows["since_ts"][at[returned]] = arrived.ingest_ts[returned]
        rows["status"][at[returned]] = device_status.ONLINE
    return returned


def _count_returns(arrived: Round, context: Context) -> None:
    """Note who comes back from silence."""
    rows, silent = context.state.rows, context.state.rows["status"][arrived.row] >= device_status.OFFLINE
    at, ingest_ts = arrived.row[silent], arrived.ingest_ts[silent]
    anew = ingest_ts - rows["returns_ts"][at] >= device_status.FLAPS_MS
    rows["returns_ts"][at[anew]] = ingest_ts[anew]
    rows["returns"][at] = np.where(anew, 1, np.minimum(rows["returns"][at].astype(np.int64) + 1, 255))


def _dated(arrived: Round, fresh: np.ndarray, context: Context) -> Round:
    """The reports with their moments, of those that are new and whose clocks are not credible."""
    reports, rows = context.reports, context.state.rows
    by_arrival = fresh & reports.by_arrival[arrived.report]
    rows["has_clock"][arrived.row[fresh & ~by_arrival]] = 0
    if not np.count_nonzero(by_arrival):
        return arrived
    wrong, ts = arrived.take(by_arrival), arrived.ts.copy()
    ts[by_arrival] = order.dated(rows, wrong.row, reports.event_ts[wrong.report], wrong.ingest_ts, wrong.silent_ms)
    return replace(arrived, ts=ts)


def _take_on(taken: Round, context: Context) -> np.ndarray:
    """Count and judge the values of new reports. Which of these are their devices' newest, bool[k]."""
    state, rows, reports, counts = context.state, context.state.rows, context.reports, context.counts
    counts.by_arrival += int(np.count_nonzero(reports.by_arrival[taken.report]))
    width = minutes.width_of(taken, context)
    found = round_values(context.values, taken.report, width)
    shown = [_live(one, taken, state) for one in _shown(found, taken, context)]
    newest = taken.ts >= rows["newest_ts"][taken.row]
    seen = _seen(shown, len(newest))
    newest = np.where(seen.any.any(axis=1), seen.live.any(axis=1), newest)
    anew = order.set_back(
        rows, taken.row, taken.ts, taken.ingest_ts, reports.seq[taken.report], reports.has_seq[taken.report], ~newest
    )
    if np.count_nonzero(anew):
        taken = _by_arrival_anew(taken, anew, context)
        _begin_anew(taken.take(anew), context)
        shown = [one._replace(live=one.live | anew[one.which]) for one in shown]
        seen = _seen(shown, len(newest))
        newest |= anew
    counts.late += len(newest) - int(np.count_nonzero(newest))
    _note_newest(taken.take(newest), context)

    newest_ts = rows["newest_ts"][taken.row] = np.maximum(rows["newest_ts"][taken.row], taken.ts)
    minutes.close_minutes(taken, newest_ts, context)
    hidden = _hide_power_on(shown, found, state)
    if hidden is not None:
        counts.absent_values += int(np.count_nonzero(hidden))
        shown = [one.only(~hidden[one.part]) for one in shown]
        seen = _seen(shown, len(newest))
        found = found.only(~hidden)
    minutes.count(found, taken, newest_ts, width.sum(axis=1), context)
    _note_judged(seen, taken, state)
    ports = sessions.take(shown, found, taken, context)
    alarms.watch(shown, ports, taken, context)
    return newest


def _by_arrival_anew(taken: Round, anew: np.ndarray, context: Context) -> Round:
    """The reports; those whose clocks are not credible and were set back have their arrivals for their moments."""
    reports, rows = context.reports, context.state.rows
    wrong = anew & reports.by_arrival[taken.report]
    rows["clock_ms"][taken.row[wrong]] = taken.ingest_ts[wrong] - reports.event_ts[taken.report[wrong]]
    return replace(taken, ts=np.where(wrong, taken.ingest_ts, taken.ts))


def _shown(found: RoundValues, taken: Round, context: Context) -> Iterator[QuantityValues]:
    """The watched quantities that occur; all of their values for new as yet."""
    for number, code in enumerate(context.values.codes):
        part = slice(*found.bounds[number : number + 2])
        if code in WATCHING and part.start < part.stop:
            which, component = found.which[part], found.component[part]
            slots = context.state.indices["first"][taken.row, COLUMN[code]][which] + component
            power_on = None if found.power_on is None else found.power_on[part]
            yield QuantityValues(
                code, part, which, slots, component, found.value[part], np.ones(len(which), np.bool_), power_on
            )


def _live(one: QuantityValues, taken: Round, state: Devices) -> QuantityValues:
    return one._replace(live=taken.ts[one.which] >= state.channels[one.code]["ts"][one.slots])


def _seen(shown: list[QuantityValues], size: int) -> Seen:
    found = Seen(*np.zeros((2, size, len(WATCHING)), np.bool_))
    for one in shown:
        found.any[one.which, COLUMN[one.code]] = True
        found.live[one.which[one.live], COLUMN[one.code]] = True
    return found


def _begin_anew(taken: Round, context: Context) -> None:
    """The clocks of these devices were set back: their time, and that of all their components, begins anew."""
    state = context.state
    minutes.close(aggregates.all_open(state.minutes, taken.row), taken, context)
    state.rows["newest_ts"][taken.row] = taken.ts
    for code in WATCHING:
        slots = state.slots(code, taken.row)
        ts = np.repeat(taken.ts, state.rows["width"][taken.row, code])
        state.channels[code]["ts"][slots] = np.minimum(state.channels[code]["ts"][slots], ts)
    sessions.begin_anew(state, taken.row, taken.ts)


def _note_newest(taken: Round, context: Context) -> None:
    """Note what only the newest report of a device tells of it: its kind, clock, interval and sequence number."""
    state, rows, reports, at = context.state, context.state.rows, context.reports, taken.row
    own_ts, kind = reports.event_ts[taken.report], reports.device_kind[taken.report]
    first = rows["own_ts"][at] == 0
    rows["interval_ms"][at], rows["silence_ms"][at] = channels.usual_interval(
        rows["interval_ms"][at], rows["silence_ms"][at], np.where(first, 0, taken.silent_ms)
    )
    rows["own_ts"][at] = own_ts
    has_seq = reports.has_seq[taken.report]
    rows["has_seq"][at] = has_seq
    rows["seq"][at] = np.where(has_seq, reports.seq[taken.report], 0)
    other = (kind >= 0) & (kind != rows["device_kind"][at])
    rows["device_kind"][at[other]] = kind[other]
    state.indices["profile"][at[other]] = -1


def _note_judged(seen: Seen, taken: Round, state: Devices) -> None:
    """Note when detectors saw each watched quantity."""
    rows, ingest_ts = state.rows, taken.ingest_ts[:, None]
    judged_ts, every_ms = rows["judged_ts"][taken.row], rows["judged_every_ms"][taken.row]
    judged_ts = np.where(seen.any & (judged_ts == 0), ingest_ts, judged_ts)
    every = every_ms.astype(np.int64)
    longer = np.maximum(ingest_ts - judged_ts, every - every // 16)
    usual_ms = np.minimum(np.maximum(longer, 0), np.iinfo(np.int32).max)
    rows["judged_every_ms"][taken.row] = np.where(seen.live, usual_ms, every_ms)
    rows["judged_ts"][taken.row] = np.where(seen.live, ingest_ts, judged_ts)


def _hide_power_on(shown: list[QuantityValues], found: RoundValues, state: Devices) -> np.ndarray | None:
    """Which of all values count for none, being what a sensor shows at power-on and no second one, bool[m]."""
    hidden = None
    for one in shown:
        seen = state.channels[one.code]["power_on"]
        if one.power_on is None:
            seen[one.slots[one.live]] = 0
            continue
        if hidden is None:
            hidden = np.zeros(len(found.value), np.bool_)
        hide = one.power_on & ~(one.live & (seen[one.slots] == 1))
        seen[one.slots[one.live]] = one.power_on[one.live]
        hidden[one.part] = hide
    return hidden
