"""A chunk cut into pieces, for detection: each is short enough that the event loop and its other work need not wait.

A chunk is cut where silence is checked (`detectors.log_time`) and before control records (`schemas.control`), which
apply to what comes after them. What lies between is decoded part by part, as many parts
as fit the time. The result is cut again where it holds too many reports of one device, for these are processed one
after the other. A piece may end between any two reports.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np

from common.times import now_ms
from detectors.control.applying import apply_control, time_told
from detectors.device_status import MISPLACED
from detectors.limits import LimitTable
from detectors.log_time import LogTime
from detectors.process import Share, process_together
from detectors.rounds import Result
from detectors.sift import Sifted, sift
from detectors.state import PartitionState
from detectors.statuses import check_silence
from schemas.absences import Absences
from schemas.control import ControlRecord, sorted_out, times_in
from schemas.control_keys import NO_KEYS
from schemas.records import Records
from schemas.report_rejects import Reject, reject_reports
from schemas.report_rules import Fault
from schemas.reports import Reports, decoded
from streams.partitioner import is_misplaced

REPORTS_ENOUGH: Final = 5_000
"""Reports of a piece, and at most a part's more: some 40 ms [measured]. A common chunk is one piece."""
OF_DEVICE_MOST: Final = 64
"""Reports of one device in a piece, each a round of its own: some 15 ms, on a slow machine 60 [measured]."""
ROUNDS: Final = 2
ROUNDS_LEAST: Final = 64
"""Of a piece so many rounds of its devices are processed at a time, or so many reports where these are more. Partitions
that catch up have many reports of few devices: meanwhile more of them have decoded theirs, and rounds become wide. A
worker of 64 partitions took 27 CPU s instead of 33 for 600,000 reports [measured]."""
DECODE_S: Final = 0.04
"""Parts are decoded for so long before what they held is processed."""


class SilenceCheck(NamedTuple):
    """Before which record silence is checked, the log's time before it and by it, epoch ms, and which devices report to
    another partition by then."""

    before_ts: int
    ts: int
    offset: int
    gone: frozenset[tuple[str, bool]] = frozenset()


class Piece(NamedTuple):
    """What some consecutive reports of a chunk hold. `seconds` is what decoding them took. `check` comes before them,
    then `control`. `times` are the offsets and arrivals of records of time, and `log_ts` is the log's time after them.
    """

    reports: Reports
    rejects: list[Reject]
    seconds: float
    check: SilenceCheck | None = None
    log_ts: int = 0
    control: ControlRecord | None = None
    times: Sequence[tuple[int, int]] = ()


Signers = Callable[[Records], tuple[Records, dict[int, ControlRecord]]]
"""Sorts out the control records of a chunk: `schemas.control.sorted_out` by the topic's id and the worker's keys."""
WITHOUT_KEYS: Final[Signers] = partial(sorted_out, telemetry_id=UUID(int=0), keys=NO_KEYS)


def pieces_of(
    records: Records, absences: Absences, log: LogTime, partitions: int = 0, signers: Signers = WITHOUT_KEYS
) -> Iterator[Piece]:
    """The records piece by piece. What comes next is decoded when it is asked for.

    `partitions` is how many their topic has; by it reports that are in another partition than their keys belong to are
    told as misplaced. Without it none are.
    """
    checks, newest = log.checks(records.timestamps)
    misplaced = _misplaced(records, partitions)
    records, controls = signers(records)
    for begin, end in pairwise(sorted({0, *checks, *controls, len(newest)})):
        before_ts = int(newest[begin - 1]) if begin else log.ts
        check = SilenceCheck(before_ts, int(newest[begin]), int(records.offsets[begin])) if begin in checks else None
        part = records if end - begin == len(newest) else records.between(begin, end)
        control, times = controls.get(begin), _times(part)
        for piece in _pieces(part, absences):
            reports = _with_misplaced(piece.reports, records, misplaced)
            yield piece._replace(
                reports=reports,
                check=check,
                log_ts=_reached(piece, part, newest[begin:end]),
                control=control,
                times=times,
            )
            check, control, times = None, None, ()


def _times(records: Records) -> Sequence[tuple[int, int]]:
    return [(int(records.offsets[number]), int(records.timestamps[number])) for number in times_in(records)]


def _misplaced(records: Records, partitions: int) -> np.ndarray | None:
    """Which records are misplaced, bool[n]; None where none is, or it is not known how many partitions there are."""
    keys, home = records.keys, records.partition
    if not partitions:
        return None
    found = np.fromiter((is_misplaced(key, home, partitions) for key in keys), np.bool_, len(keys))
    return found if found.any() else None


def _with_misplaced(reports: Reports, records: Records, misplaced: np.ndarray | None) -> Reports:
    """The reports, those that can be read with a note where their records are misplaced."""
    if misplaced is None:
        return reports
    found = misplaced[np.searchsorted(records.offsets, reports.offset)] & ~reports.rejected
    notes = {report: (*reports.notes.get(report, ()), MISPLACED) for report in found.nonzero()[0].tolist()}
    return replace(reports, notes={**reports.notes, **notes})


def _reached(piece: Piece, part: Records, newest: np.ndarray) -> int:
    """The log's time after a piece: at its last record that tells of anything."""
    reports, rejects = piece.reports.offset[-1:].tolist(), [reject.offset for reject in piece.rejects[-1:]]
    last = max([*reports, *rejects], default=int(part.offsets[-1]))
    return int(newest[np.searchsorted(part.offsets, last)])


def _pieces(records: Records, absences: Absences) -> Iterator[Piece]:
    parts, rejects, count, seconds = list[Reports](), list[Reject](), 0, 0.0
    began = time.perf_counter()
    for reports, bad in decoded(records, absences):
        seconds += time.perf_counter() - began
        parts.append(reports)
        rejects += bad
        count += len(reports)
        if count >= REPORTS_ENOUGH or seconds >= DECODE_S:
            yield from _cut(Piece(Reports.joined(parts), rejects, seconds))
            parts, rejects, count, seconds = [], [], 0, 0.0
        began = time.perf_counter()
    if parts:
        yield from _cut(Piece(Reports.joined(parts), rejects, seconds))


def _cut(whole: Piece) -> Iterator[Piece]:
    """The piece, or as many as it takes."""
    reports = whole.reports
    begins = [0, *_begins(reports), len(reports)]
    if len(begins) == 2:
        yield whole
        return
    rejected_at = [(reject.offset, reject.index) for reject in whole.rejects]
    first_at = [(int(reports.offset[begin]), int(reports.index[begin])) for begin in begins[1:-1]]
    rejects = [0, *(bisect_left(rejected_at, at) for at in first_at), len(rejected_at)]
    for (first, beyond), (reject, next_reject) in zip(pairwise(begins), pairwise(rejects), strict=True):
        seconds = whole.seconds * (beyond - first) / len(reports)
        yield Piece(reports.between(first, beyond), whole.rejects[reject:next_reject], seconds)


def _begins(reports: Reports) -> Iterator[int]:
    """Where pieces after the first begin: before there are too many reports of a device."""
    if max(Counter(reports.device_id).values(), default=0) <= OF_DEVICE_MOST:
        return
    seen = Counter[str]()
    for report, device_id in enumerate(reports.device_id):
        seen[device_id] += 1
        if seen[device_id] > OF_DEVICE_MOST:
            yield report
            seen = Counter([device_id])


class Processing:
    """A piece on its way through detection: `result` is what it has meant so far, all of it once it `is_done`."""

    def __init__(self, piece: Piece, state: PartitionState) -> None:
        self.piece, self.state, self.result = piece, state, Result()
        self.is_done = self._is_begun = False
        self._at = 0
        self._most = max(ROUNDS * len(set(piece.reports.device_id)), ROUNDS_LEAST)

    def begin(self, limits: LimitTable) -> None:
        """Do what comes before its reports, unless that is done."""
        if not self._is_begun:
            self._is_begun, self.result = True, before_reports(self.piece, self.state, limits)

    def next(self, most: int) -> Share:
        """Its next reports, so many at most, and no more than some rounds of its devices: then others join."""
        reports, begin = self.piece.reports, self._at
        self._at = min(begin + min(most, self._most), len(reports))
        return Share(reports if self._at - begin == len(reports) else reports.between(begin, self._at), self.state)

    def take(self, result: Result) -> None:
        """What its last reports meant."""
        self.result += result
        self.is_done = self._at == len(self.piece.reports)
        if self.is_done:
            self.state.log.reach(self.piece.log_ts)


def advance(some: Sequence[Processing], limits: LimitTable, reports: int) -> None:
    """Process so many reports or a few more, of all pieces together: as many of each, for reports of one device are
    processed one after the other. Raises what a detector raises; then the state is half changed."""
    most = -(-reports // len(some))
    for one in some:
        one.begin(limits)
    shares = [one.next(most) for one in some]
    for one, result in zip(some, process_together(shares, limits, now_ms()), strict=True):
        one.take(result)


def processed(piece: Piece, state: PartitionState, limits: LimitTable) -> Result:
    """What a piece means, in place. Raises what a detector raises."""
    one = Processing(piece, state)
    while not one.is_done:
        advance([one], limits, REPORTS_ENOUGH)
    return one.result


def sifted(piece: Piece, state: PartitionState, limits: LimitTable) -> Sifted:
    """The same without the reports on which a detector raises (`detectors.sift`)."""
    before = before_reports(piece, state, limits)
    result, failed = sift(piece.reports, state, limits, now_ms())
    state.log.reach(piece.log_ts)
    return Sifted(before + result, failed)


def before_reports(piece: Piece, state: PartitionState, limits: LimitTable) -> Result:
    """What silence means before a piece, and what was ordered."""
    result, number = Result(statuses=check_silence(state, *piece.check) if piece.check else []), piece.reports.partition
    if piece.control is not None:
        result += apply_control(
            piece.control, state, limits, now_ms(), lambda key, partitions: is_misplaced(key, number, partitions)
        )
    result.outcomes += [time_told(*one) for one in piece.times]
    return result


def with_unjudged(rejects: list[Reject], unjudged: Mapping[tuple[int, int], Fault], records: Records) -> list[Reject]:
    """The rejects, and the reports that were not judged, in the order of their offsets and indices."""
    if not unjudged:
        return rejects
    return sorted([*rejects, *reject_reports(records, unjudged)], key=lambda reject: (reject.offset, reject.index))
