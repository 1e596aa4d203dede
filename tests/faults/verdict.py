"""What a run came to, by counting: one function that every scenario ends with.

It reads the topics as they are and asks ClickHouse, and trusts no worker. What the workers should have made of the
telemetry it takes from the slow twin (`detectors.twin`), fed with the same bytes.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from clickhouse_driver import Client
from faust.types import TP

from common.settings import Settings, host_port
from detectors.device_status import MISPLACED
from detectors.limits import LimitTable, load_limits
from detectors.twin.devices import Device as Twin
from detectors.twin.oracle import ControlSettings, Oracle, Told, timeless
from schemas.charging_sessions import ChargingSession
from schemas.device_requests import DeviceRequest
from schemas.events import Aggregate, Alarm, ControlOutcome, DeviceStatus, Outcome
from schemas.positions import Event, Position, Repeats
from schemas.records import Records
from schemas.rejects import DETECTOR_FAILED, NOT_JUDGED, RejectEvent
from schemas.reports import Reports, decode
from schemas.topics import (
    AGGREGATES,
    ALARM_ACTIONS,
    ALARMS,
    CHARGING_SESSIONS,
    CONTROL_OUTCOMES,
    DEVICE_REQUESTS,
    DEVICE_STATUS,
    REGISTRY,
    REJECTS,
    TELEMETRY,
)
from streams.moves import Move
from streams.partitioner import is_misplaced
from streams.transport import to_records
from tests.faults.checkpoints import Device, Row
from tests.faults.watch import TABLES, Look, Place, Stored
from tests.support.control import control_settings
from tests.support.fleet_sends import fed, rejects_of, without_repeats

StatusRow = tuple[str, bool, str, str, int, int]
"""Device, test, status, faults, offset and ordinal."""
Topics = dict[str, list[list[ConsumerRecord]]]
ORDER_KINDS: Final = ("reset", "reset_by_force", "accept_rise", "replace", "maintenance", "change", "limits")
"""What the load orders and registers; of each the verdict counts how many were applied."""
SHOWN: Final = 5
"""Of a long difference."""


AlikeEvent = Alarm | Aggregate | ChargingSession | DeviceRequest


@dataclass(slots=True)
class Verdict:
    """Counts, and what is wrong."""

    counts: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def same(self, found: Sequence[Any], wanted: Sequence[Any], what: str) -> None:
        """Complain if two sequences differ, by what is missing and what is too much."""
        if list(found) == list(wanted):
            return
        missing = [one for one in wanted if one not in set(found)] if _hashable(wanted, found) else []
        extra = [one for one in found if one not in set(wanted)] if _hashable(wanted, found) else []
        self.complaints.append(
            f"{what}: {len(found)} found, {len(wanted)} wanted; missing {len(missing)}: {missing[:SHOWN]}, "
            f"too much {len(extra)}: {extra[:SHOWN]}"
        )

    def alike(self, found: Sequence[AlikeEvent], wanted: Sequence[AlikeEvent], what: str) -> None:
        """Complain if two sequences of events differ: by their positions, or else by what their fields say."""
        self.same([Position.of(event) for event in found], [Position.of(event) for event in wanted], what)
        unlike = [list(_unlike(*both)) for both in zip(found, wanted, strict=False) if both[0] != both[1]]
        self.hold(not unlike, f"{what}: {len(unlike)} differ: {unlike[:SHOWN]}")

    def hold(self, fact: bool, what: str) -> None:
        """Complain if it does not hold, once."""
        if not fact and what not in self.complaints:
            self.complaints.append(what)


def _unlike(found: AlikeEvent, wanted: AlikeEvent) -> Iterator[str]:
    """Of which device an event is, and each field in which it is not what it should be."""
    yield found.device_id
    for name in found.__struct_fields__:
        is_, should_be = getattr(found, name), getattr(wanted, name, None)
        if is_ != should_be:
            yield f"{name} {is_!r}, not {should_be!r}"


def _hashable(*sequences: Sequence[Any]) -> bool:
    return all(isinstance(one, tuple) for sequence in sequences for one in sequence[:1])


Fails = Callable[[Any], bool]
"""Whether a detector raises on a report, as parsed."""


class _Sifted(Oracle):
    """The twin, which never raises, without the reports that a detector raises on: as if they had never been there."""

    def __init__(
        self,
        limits: LimitTable,
        fails: Fails,
        number: int,
        gone: Sequence[Set[tuple[Device, int]]],
        control: ControlSettings,
    ) -> None:
        super().__init__(
            limits,
            misplaced=lambda key: is_misplaced(key, number, len(gone)),
            gone=lambda device, offset: (device, offset) in gone[number],
            control=control,
        )
        self.failed: list[tuple[int, int, str]] = []
        self._fails = fails

    def _take(self, report: Any, offset: int, index: int, ingest_ts: int, now: Told) -> None:
        if self._fails(report):
            self.failed.append((offset, index, DETECTOR_FAILED))
        else:
            super()._take(report, offset, index, ingest_ts, now)


def judge(
    settings: Settings,
    clickhouse: str,
    looks: Sequence[Look],
    checkpoints: Sequence[Sequence[Row]],
    moves: Sequence[Mapping[Device, Move]],
    gone: Sequence[Set[tuple[Device, int]]],
    acknowledged: Sequence[int],
    fails: Fails = lambda report: False,
    widened: bool = False,
) -> Verdict:
    """Everything that must hold of the first `settings.partitions`, once the load has stopped and lag is 0.

    `moves` are the devices that came to each partition from others, `gone` those that each partition let go, and at
    which offset. Where topics were `widened`, what statuses say of
    misplaced reports is left out: since when they are hangs on when a worker has heard of it.
    """
    verdict = Verdict()
    ends = looks[-1].ends
    topics = asyncio.run(read_topics(settings, ends))
    limits = load_limits(settings.limits_path)
    controls = control_settings(settings)
    oracles = [_Sifted(limits, fails, number, gone, controls[number]) for number in range(settings.partitions)]
    told = _Twins(topics[TELEMETRY.name], oracles, moves).told()
    host, port = host_port(clickhouse)
    with Client(host, port, settings.clickhouse_database, password=settings.clickhouse_password) as client:
        _judge_telemetry(verdict, topics, told, client, acknowledged)
        _judge_alarms(verdict, topics, told, client)
        _judge_statuses(verdict, topics, told, client, looks[-1].telemetry_ends, widened)
        _judge_outcomes(verdict, topics, told, client, looks[-1].telemetry_ends)
        _judge_once(verdict, client)
        rows = {place: _rows_of(place[0], records) for place, records in _placed(topics)}
        _judge_stored(verdict, rows, ends, client)
    _judge_sink_commits(verdict, rows, looks)
    for number, records in enumerate(topics[TELEMETRY.name]):
        rejects = topics[REJECTS.name][number]
        _judge_detect_commits(verdict, number, records, told[number], rejects, checkpoints[number], looks)
    verdict.counts |= {"looks": len(looks), "moved": sum(map(len, moves))}
    return verdict


class _Twins:
    """The twins of all partitions. Each goes on by itself, but where a device came to one of them: there the one that
    it came from must have got as far as its row had."""

    def __init__(
        self,
        records: Sequence[Sequence[ConsumerRecord]],
        oracles: Sequence[_Sifted],
        moves: Sequence[Mapping[Device, Move]],
    ) -> None:
        self._oracles = oracles
        self._left = [deque(of_partition) for of_partition in records]
        due = [sorted((move.before, device, move) for device, move in of_partition.items()) for of_partition in moves]
        self._due = [deque(of_partition) for of_partition in due]
        self._kept: dict[tuple[int, int, Device], Twin] = {}
        self._keep: defaultdict[tuple[int, int], list[Device]] = defaultdict(list)
        for of_partition in due:
            for _, device, move in of_partition:
                self._keep[move.source, move.offset].append(device)

    def told(self) -> list[Told]:
        """What they say of all records; what a detector raises on is rejected."""
        for number, oracle in enumerate(self._oracles):
            self._go_on(number, math.inf)
            oracle.told.rejects = sorted([*oracle.told.rejects, *oracle.failed])
        return [oracle.told for oracle in self._oracles]

    def _go_on(self, number: int, beyond: float) -> None:
        """Take in a partition's records below an offset."""
        left, due, oracle = self._left[number], self._due[number], self._oracles[number]
        while left and left[0].offset < beyond:
            record = left.popleft()
            while due and due[0][0] <= record.offset:
                _, device, move = due.popleft()
                self._go_on(move.source, move.offset + 1)
                oracle.take_over(self._kept.pop((move.source, move.offset, device)))
            fed(oracle, [record])
            for device in self._keep[number, record.offset]:
                self._kept[number, record.offset, device] = deepcopy(oracle.devices[device])


def _good(records: Records) -> Reports:
    """The reports that are stored."""
    return decode(records)[0].good


async def read_topics(settings: Settings, ends: Mapping[Place, int]) -> Topics:
    """The records below `ends` of telemetry and of what follows from it, by partition, as workers read them."""
    names = list(TABLES)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        enable_auto_commit=False,
        max_partition_fetch_bytes=17 * 1_048_576,
    )
    async with consumer:
        tps = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        found: dict[TopicPartition, list[ConsumerRecord]] = {tp: [] for tp in tps}
        while missing := [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            for tp, records in (await consumer.getmany(*missing, timeout_ms=1_000)).items():
                found[tp] += [record for record in records if record.offset < ends[tp]]
    return {name: [found[TopicPartition(name, number)] for number in range(settings.partitions)] for name in names}


def _placed(topics: Topics) -> Iterable[tuple[Place, list[ConsumerRecord]]]:
    return (((topic, number), records) for topic in TABLES for number, records in enumerate(topics[topic]))


def _judge_telemetry(
    verdict: Verdict, topics: Topics, told: Sequence[Told], client: Client, acknowledged: Sequence[int]
) -> None:
    """In = stored + rejected: every record, once. What was not judged though it can be read is both."""
    judged = f"`partition` < {len(told)} ORDER BY 1, 2, 3"
    stored = client.execute(f"SELECT `partition`, `offset`, `index` FROM telemetry WHERE {judged}")  # noqa: S608
    columns = "source_partition, source_offset, source_index, reason"
    rejected = client.execute(f"SELECT {columns} FROM rejects WHERE {judged}")  # noqa: S608
    good, bad = [], []
    for number, records in enumerate(topics[TELEMETRY.name]):
        reports = _good(to_records(TP(TELEMETRY.name, number), records))
        good += [(number, *place) for place in zip(reports.offset.tolist(), reports.index.tolist(), strict=True)]
        bad += [(number, *one) for one in told[number].rejects]
        on_topic = rejects_of(topics[REJECTS.name][number])
        verdict.same(on_topic, told[number].rejects, f"rejects on the topic, partition {number}")
        offsets = {one[1] for one in (*good, *bad) if one[0] == number}
        offsets |= {one.source_offset for one in told[number].outcomes}
        there = {one.offset for one in records}
        verdict.hold(offsets == there, f"a record of partition {number} is neither good nor bad nor control")
    for number, count in enumerate(acknowledged):
        found = len(topics[TELEMETRY.name][number])
        verdict.hold(found >= count, f"partition {number}: {count} records acknowledged, {found} there")
    verdict.same(stored, good, "reports in ClickHouse")
    verdict.same(rejected, bad, "rejects in ClickHouse")
    verdict.counts |= {"records": sum(map(len, topics[TELEMETRY.name])), "reports": len(good), "rejects": len(bad)}


def _judge_alarms(verdict: Verdict, topics: Topics, told: Sequence[Told], client: Client) -> None:
    columns = "`partition`, source_offset, source_ordinal, alarm_id, event, severity, value"
    stored = client.execute(f"SELECT {columns} FROM alarm_events WHERE `partition` < {len(told)} ORDER BY 1, 2, 3")  # noqa: S608
    wanted = []
    for number, of_partition in enumerate(told):
        alarms = [Alarm.from_json(record.value) for record in topics[ALARMS.name][number]]
        verdict.alike(timeless(without_repeats(alarms)), timeless(of_partition.alarms), f"alarms of partition {number}")
        asked = [DeviceRequest.from_json(record.value) for record in topics[DEVICE_REQUESTS.name][number]]
        verdict.alike(without_repeats(asked), of_partition.requests, f"requests of partition {number}")
        charges = [ChargingSession.from_json(record.value) for record in topics[CHARGING_SESSIONS.name][number]]
        verdict.alike(without_repeats(charges), of_partition.sessions, f"charges of partition {number}")
        minutes = [Aggregate.from_json(record.value) for record in topics[AGGREGATES.name][number]]
        verdict.alike(without_repeats(minutes), of_partition.aggregates, f"minutes of partition {number}")
        wanted += [
            (number, one.source_offset, one.source_ordinal, one.alarm_id, one.event, one.severity, one.value)
            for one in of_partition.alarms
        ]
    verdict.same(stored, wanted, "alarms in ClickHouse")
    verdict.counts |= {
        "alarms": len(wanted),
        "repeated_alarms": sum(map(len, topics[ALARMS.name])) - len(wanted),
        "requests": sum(len(one.requests) for one in told),
        "minutes": sum(len(one.aggregates) for one in told),
    }


def _judge_statuses(
    verdict: Verdict, topics: Topics, told: Sequence[Told], client: Client, ends: Mapping[int, int], widened: bool
) -> None:
    """Those of records below `ends`: devices fall silent after them too, and their statuses come meanwhile."""
    kept: Callable[[Iterable[StatusRow]], list[StatusRow]] = _without_misplaced if widened else list
    wanted = [kept(map(_status_row, of_partition.statuses)) for of_partition in told]
    columns = "`partition`, device_id, test, status, arrayStringConcat(faults, ' '), source_offset, source_ordinal"
    rows = client.execute(f"SELECT {columns} FROM device_status_events ORDER BY `partition`, `offset`")  # noqa: S608
    for number, of_partition in enumerate(wanted):
        events = (DeviceStatus.from_json(record.value) for record in topics[DEVICE_STATUS.name][number])
        statuses = [event for event in events if event.source_offset < ends[number]]
        verdict.same(kept(map(_status_row, without_repeats(statuses))), of_partition, f"statuses of partition {number}")
        stored = [(name, *row) for at, name, *row in rows if at == number and row[-2] < ends[number]]
        verdict.same(kept(stored), of_partition, f"statuses of partition {number} in ClickHouse")
    verdict.counts |= {
        "statuses": sum(map(len, wanted)),
        "silences": sum(status[-1] < 0 for of_partition in wanted for status in of_partition),
    }


def _judge_outcomes(
    verdict: Verdict, topics: Topics, told: Sequence[Told], client: Client, ends: Mapping[int, int]
) -> None:
    """Those of records below `ends`: that time passes is told after them too."""
    columns = "`partition`, source_offset, source_ordinal, kind, device_id, outcome, reason, source, epoch, number"
    rows = client.execute(f"SELECT {columns} FROM control_records ORDER BY `partition`, `offset`")  # noqa: S608
    for number, of_partition in enumerate(told):
        events = (ControlOutcome.from_json(record.value) for record in topics[CONTROL_OUTCOMES.name][number])
        outcomes = [event for event in without_repeats(events) if event.source_offset < ends[number]]
        wanted = [_outcome_row(one) for one in of_partition.outcomes]
        verdict.same([_outcome_row(one) for one in outcomes], wanted, f"outcomes of partition {number}")
        stored = [row for at, *row in rows if at == number and row[0] < ends[number]]
        verdict.same([tuple(row) for row in stored], wanted, f"outcomes of partition {number} in ClickHouse")
    dealt_with = Counter(
        (number, one.source, one.epoch, one.number)
        for number, of_partition in enumerate(told)
        for one in of_partition.outcomes
        if one.source and one.outcome != Outcome.REPEATED
    )
    verdict.hold(max(dealt_with.values(), default=1) == 1, "an order was dealt with twice")
    verdict.counts |= {
        "orders": len(dealt_with),
        "repeated_orders": sum(one.outcome == Outcome.REPEATED for of in told for one in of.outcomes),
        "refused_orders": sum(one.outcome == Outcome.REFUSED for of in told for one in of.outcomes),
    }
    applied = Counter(_kind_of(one) for of in told for one in of.outcomes if one.outcome == Outcome.APPLIED)
    verdict.counts |= {f"applied_{kind}": applied[kind] for kind in ORDER_KINDS}


def _kind_of(one: ControlOutcome) -> str:
    return "reset_by_force" if one.kind == "reset" and orjson.loads(one.body).get("force") else one.kind


def _outcome_row(one: ControlOutcome) -> tuple[int, int, str, str, str, str, str, int, int]:
    place = one.source_offset, one.source_ordinal
    return *place, one.kind, one.device_id, one.outcome, one.reason, one.source, one.epoch, one.number


def _status_row(one: DeviceStatus) -> StatusRow:
    return one.device_id, one.test, one.status, " ".join(one.faults), one.source_offset, one.source_ordinal


def _without_misplaced(statuses: Iterable[StatusRow]) -> list[StatusRow]:
    """The statuses of one partition without what they say of misplaced reports, and without those that say no more."""
    said: dict[tuple[str, bool], tuple[str, str]] = {}
    kept: list[StatusRow] = []
    for device_id, test, status, faults, offset, ordinal in statuses:
        now = status, " ".join(word for word in faults.split(" ") if word != MISPLACED)
        if said.get((device_id, test)) != now:
            said[device_id, test] = now
            kept.append((device_id, test, *now, offset, ordinal))
    return kept


def _judge_once(verdict: Verdict, client: Client) -> None:
    for table in TABLES.values():
        sql = f"SELECT count(), uniqExact(topic, topic_id, `partition`, `offset`, `index`) FROM {table}"  # noqa: S608
        ((count, places),) = client.execute(sql)
        verdict.hold(count == places, f"{table}: {count} rows at {places} places")


class Rows(NamedTuple):
    """The offsets of the records that must be stored, rising, and how many rows there are up to each of them."""

    offsets: np.ndarray
    rows: np.ndarray

    def stored_up_to(self, last: int) -> int:
        """How many rows a prefix has that ends with the offset."""
        count = int(np.searchsorted(self.offsets, last, side="right"))
        return int(self.rows[count - 1]) if count else 0

    def last_below(self, committed: int) -> int:
        """The offset of the last record below the committed offset that must be stored; -1 where there is none."""
        count = int(np.searchsorted(self.offsets, committed, side="left"))
        return int(self.offsets[count - 1]) if count else -1


def _rows_of(topic: str, records: Sequence[ConsumerRecord]) -> Rows:
    counted = [(offset, rows) for offset, rows in _counted(topic, records) if rows]
    offsets = np.array([offset for offset, _ in counted], np.int64)
    return Rows(offsets, np.cumsum(np.array([rows for _, rows in counted], np.int64)))


def _counted(topic: str, records: Sequence[ConsumerRecord]) -> Iterable[tuple[int, int]]:
    """How many rows each record gives, repeats none."""
    if topic == TELEMETRY.name:
        reports = _good(to_records(TP(topic, 0), records))
        offsets, counts = np.unique(reports.offset, return_counts=True)
        yield from zip(offsets.tolist(), counts.tolist(), strict=True)
        return
    if topic in (REGISTRY.name, ALARM_ACTIONS.name):
        # What is published again is a row of its own, and all that is sent here can be read.
        yield from ((record.offset, 1) for record in records)
        return
    repeats = Repeats()
    for record in records:
        event, rows = _event_of(topic, record)
        if repeats.is_new(0, event):
            yield record.offset, rows


def _event_of(topic: str, record: ConsumerRecord) -> tuple[Event, int]:
    """The event of a record, and how many rows it gives."""
    if topic == REJECTS.name:
        return RejectEvent.from_headers(record.headers), 1
    if topic == AGGREGATES.name:
        minute = Aggregate.from_json(record.value)
        return minute, sum(len(statistics["count"]) for statistics in minute.quantities.values())
    if topic == ALARMS.name:
        return Alarm.from_json(record.value), 1
    if topic == CONTROL_OUTCOMES.name:
        return ControlOutcome.from_json(record.value), 1
    if topic == DEVICE_REQUESTS.name:
        return DeviceRequest.from_json(record.value), 1
    if topic == CHARGING_SESSIONS.name:
        return ChargingSession.from_json(record.value), 1
    return DeviceStatus.from_json(record.value), 1


def _judge_stored(verdict: Verdict, rows: Mapping[Place, Rows], ends: Mapping[Place, int], client: Client) -> None:
    for (topic, number), wanted in rows.items():
        sql = f"SELECT count() FROM {TABLES[topic]} WHERE `partition` = {number} AND `offset` < {ends[topic, number]}"  # noqa: S608
        ((stored,),) = client.execute(sql)
        held = int(wanted.rows[-1]) if len(wanted.rows) else 0
        verdict.hold(stored == held, f"{topic} {number}: {stored} rows stored, wanted {held}")


def _judge_sink_commits(verdict: Verdict, rows: Mapping[Place, Rows], looks: Sequence[Look]) -> None:
    """At every look what was committed was stored, and what was stored was a prefix."""
    for look in looks:
        if look.stored is None:
            continue
        for place, wanted in rows.items():
            stored = look.stored.get(place, Stored(-1, 0))
            prefix = wanted.stored_up_to(stored.last)
            verdict.hold(stored.rows == prefix, f"{place}: {stored} is no prefix, which has {prefix} rows")
            committed = look.sink.get(place, 0)
            last = wanted.last_below(committed)
            verdict.hold(last <= stored.last, f"{place}: committed {committed}, but stored only {stored}")


def _judge_detect_commits(
    verdict: Verdict,
    number: int,
    records: Sequence[ConsumerRecord],
    told: Told,
    rejects: Sequence[ConsumerRecord],
    checkpoints: Sequence[Row],
    looks: Sequence[Look],
) -> None:
    """At every look what was committed was reflected by checkpoints or among the rejects."""
    reports = _good(to_records(TP(TELEMETRY.name, number), records))
    unjudged = {(offset, index) for offset, index, reason in told.rejects if reason in NOT_JUDGED}
    places = list(zip(reports.offset.tolist(), reports.index.tolist(), strict=True))
    reports = reports.only(np.array([place not in unjudged for place in places], np.bool_))
    devices = list(zip(reports.device_id, reports.test.tolist(), strict=True))
    offsets = reports.offset.tolist()
    rejected = np.array([offset for offset, *_ in told.rejects], np.int64)
    told_at = np.array([record.offset for record in rejects], np.int64)
    told_of = [RejectEvent.from_headers(record.headers).source_offset for record in rejects]
    reached_by = np.maximum.accumulate(np.array([-1, *told_of], np.int64))
    rows: dict[Device, int] = {}
    report = row = 0
    for look in looks:
        committed = look.detect.get(number, 0)
        while row < len(checkpoints) and checkpoints[row].offset < look.checkpoints.get(number, 0):
            _, device, reflects = checkpoints[row]
            verdict.hold(rows.get(device, -1) <= reflects, f"partition {number}: the row of {device} went back")
            rows[device] = reflects
            row += 1
        while report < len(offsets) and offsets[report] < committed:
            held = rows.get(devices[report], -1)
            at = f"{devices[report]} is at {held}, not {offsets[report]}"
            verdict.hold(held >= offsets[report], f"partition {number}: committed {committed}, but {at}")
            report += 1
        reached = int(reached_by[np.searchsorted(told_at, look.rejects.get(number, 0))])
        last = int(rejected[rejected < committed].max(initial=-1))
        verdict.hold(last <= reached, f"partition {number}: committed {committed}, but rejects only up to {reached}")
