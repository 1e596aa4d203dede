"""Hours of components from their stored minutes, and days from hours, each an INSERT ... SELECT on the server.

**Which hours.** Minutes know their offset, and what is stored of a partition is a prefix (`sinks.contract`). So a row
of `aggregates_made` says exactly of which minutes hours are made: `until`, before which all hours are, and how far each
partition was then. The next making takes hours that have closed since whole, and of earlier ones the devices of which
minutes lie beyond those offsets: late ones, wherever their time falls. Days go by the `made` of hours as hours go by
offsets.

**Exact under repeats.** A making reads how far partitions are before it reads minutes, and notes that last. A run that
dies in between leaves rows that the next one makes again, from the same minutes or more; they have the same key and a
higher `made`, and of rows with one key the highest counts. So ReplacingMergeTree and no replaced partitions: a late
minute makes one device's hour anew, and not that of a city.

**In bounded memory.** Minutes are stored in the order of the groups, so the server aggregates them as it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from cli.hourly.storage import insert
from early_warning.calendar import DAY_HOURS, SHANGHAI_HOURS, day_of
from sinks.clickhouse.service import Service

Heard = Callable[[str], object]
"""Hears what is begun: an hour, a day, a slice."""

LATE_MOST: Final = 10_000
"""Of so many devices late minutes are made one by one; of more, their hour is made whole [ours]."""
HOUR_S: Final = 3_600
SKEW_S: Final = 600
"""By how much the arrival of a partition's records may go back where its leader changes [ours]."""
_SETTINGS: Final = {
    "optimize_aggregation_in_order": 1,
    "max_query_size": 4 * 1_048_576,  # LATE_MOST ids of 64 letters, and more
    "max_threads": 2,
}
_OF: Final = "AND device_id IN %(devices)s"
_HOURS: Final = """
    INSERT INTO aggregates_1h (hour_ts, device_id, device_kind, test, quantity, component, count, min, max, mean, made)
    WITH toDateTime(%(at)s, 'UTC') AS begin
    SELECT begin, device_id, any(m.device_kind), test, quantity, component,
        sum(m.count), min(m.min), max(m.max), sum(m.mean * m.count) / sum(m.count), %(made)s
    FROM aggregates_1m AS m
    WHERE minute_ts >= begin AND minute_ts < begin + 3600 AND ingest_ts >= begin AND m.count > 0 {of}
    GROUP BY device_id, quantity, component, test
"""
"""What is judged by arrival lies no later than it, so a minute is published after it began."""
_DAYS: Final = """
    INSERT INTO aggregates_1d
    (day, device_id, device_kind, test, quantity, component, hours, count, min, max, mean, made)
    WITH toDate(toDateTime(%(at)s, 'UTC'), 'Asia/Shanghai') AS begin
    SELECT begin, device_id, any(h.device_kind), test, quantity, component, count(),
        sum(h.count), min(h.min), max(h.max), sum(h.mean * h.count) / sum(h.count), %(made)s
    FROM aggregates_1h AS h FINAL
    WHERE toDate(hour_ts, 'Asia/Shanghai') = begin {of}
    GROUP BY device_id, quantity, component, test
"""
_BEYOND_MAP: Final = "CAST(%(beyond)s, 'Map(String, Int64)')[concat(toString(topic_id), toString(`partition`))]"
"""A partition that the map lacks reads 0: all of it is new."""
_SOURCES: Final = f"""
    SELECT topic_id, `partition`, toUnixTimestamp64Milli(max(ingest_ts)) FROM aggregates_1m
    WHERE ingest_ts >= fromUnixTimestamp64Milli(%(since)s) AND `offset` < {_BEYOND_MAP}
    GROUP BY topic_id, `partition`
"""  # noqa: S608
_STORED: Final = "SELECT topic_id, `partition`, max(`offset`) FROM aggregates_1m GROUP BY topic, topic_id, `partition`"
_LATE_HOURS: Final = f"""
    SELECT toInt64(toUnixTimestamp(minute_ts)) AS at, groupUniqArray({LATE_MOST + 1})(device_id) FROM (
        SELECT toStartOfHour(minute_ts) AS minute_ts, device_id FROM aggregates_1m
        WHERE minute_ts < toDateTime(%(until)s, 'UTC') AND `offset` >= {_BEYOND_MAP}
            AND ingest_ts >= fromUnixTimestamp64Milli(%(since)s)
    ) GROUP BY at ORDER BY at
"""  # noqa: S608
_LATE_DAYS: Final = f"""
    SELECT min(toInt64(toUnixTimestamp(hour_ts))), groupUniqArray({LATE_MOST + 1})(device_id) FROM aggregates_1h
    WHERE hour_ts >= toDateTime(%(first)s, 'UTC') AND hour_ts < toDateTime(%(until)s, 'UTC') AND made > %(made)s
    GROUP BY toDate(hour_ts, 'Asia/Shanghai') AS day ORDER BY day
"""  # noqa: S608
_NOTED: Final = """
    SELECT made, toUnixTimestamp(until_ts), sources.topic_id, sources.partition, sources.offset,
        arrayMap(one -> toUnixTimestamp64Milli(one), sources.ingest_ts)
    FROM aggregates_made WHERE period = %(period)s ORDER BY made DESC, until_ts DESC LIMIT 1
"""


class StoredUpTo(NamedTuple):
    """How far the minutes of a partition are: the newest offset, and when it was published, epoch ms."""

    offset: int
    ingest_ts: int


Sources = Mapping[tuple[UUID, int], StoredUpTo]
"""By incarnation of the topic and partition."""
StoredOffsets = Mapping[tuple[UUID, int], int]
"""The same, the newest offset alone."""


class MadeUpTo(NamedTuple):
    """How far hours or days are made: all before the hour `until`, counted from 1970, and of earlier ones what
    `sources` hold, or what hours up to `made` say."""

    made: int
    until: int
    sources: Sources


class NewlyMade(NamedTuple):
    """What a run has made: the number of the hours that were made last, the oldest hour of this run, and how many hours
    and days, late ones among them."""

    made: int
    first: int
    hours: int
    days: int


def make_aggregates(service: Service, closed: int, now_ms: int, tell: Heard) -> NewlyMade | None:
    """Make what has closed before the hour `closed`, and what late minutes change; None where nothing is there to make.
    `tell` hears each hour and day."""
    before = noted(service, "hour")
    stored = {(topic, partition): offset for topic, partition, offset in service.query(_STORED)}
    if not (stored or before):
        return None
    there = _still_there(before.sources, stored) if before else {}
    is_less = before is not None and there != before.sources
    before = before and before._replace(sources=there)
    since = _since(stored, before)
    sources = _sources(service, stored, before, since)
    made = max(now_ms, before.made + 1 if before else 0)
    until = before.until if before else _oldest(service)
    late = _late(service, before, since) if before else ()
    hours = [*_made_late(service, _HOURS, late, made, lambda: tell("hour"))]
    note = MadeUpTo(made, until, sources)
    if hours or is_less:
        _note(service, "hour", note, min(hours, default=until))
    for hour in range(until, closed):
        tell("hour")
        _make(service, _HOURS, hour, made)
        hours.append(hour)
        _note(service, "hour", note._replace(until=hour + 1), hour)
    first = min(hours, default=closed)
    days = _make_days(service, first, max(until, closed), made, tell)
    return NewlyMade(made if hours or not before else before.made, first, len(hours), days)


def _make_days(service: Service, first: int, closed: int, made: int, tell: Heard) -> int:
    """Make the days that have closed before an hour, and those before of which hours were made since."""
    before = noted(service, "day") or MadeUpTo(0, _begin_of(day_of(first)), {})
    found = service.query(
        _LATE_DAYS,
        {"first": first_since(service, before.made) * HOUR_S, "until": before.until * HOUR_S, "made": before.made},
    )
    late = [(_begin_of(day_of(int(at) // HOUR_S)), devices) for at, devices in found]
    days = [*_made_late(service, _DAYS, late, made, lambda: tell("day"))]
    until = max(before.until, _begin_of(day_of(closed)))
    for hour in range(before.until, until, DAY_HOURS):
        tell("day")
        _make(service, _DAYS, hour, made)
        days.append(hour)
    if days or not before.made:
        _note(service, "day", MadeUpTo(made, until, {}), min(days, default=until))
    return len(days)


def noted(service: Service, period: str) -> MadeUpTo | None:
    """How far hours or days are made; None for not at all."""
    for made, until, topics, partitions, offsets, arrivals in service.query(_NOTED, {"period": period}):
        places = zip(topics, partitions, strict=True)
        stored = map(StoredUpTo, offsets, arrivals)
        return MadeUpTo(made, int(until) // HOUR_S, dict(zip(places, stored, strict=True)))
    return None


def first_since(service: Service, made: int) -> int:
    """The oldest hour that was made after a making."""
    asked = "SELECT toUnixTimestamp(min(first_ts)) FROM aggregates_made WHERE period = 'hour' AND made > %(made)s"
    return int(service.query(asked, {"made": made})[0][0]) // HOUR_S


def _sources(service: Service, stored: StoredOffsets, before: MadeUpTo | None, since: int) -> Sources:
    """How far each partition was when it was asked, and when the newest of that was published."""
    if not stored:
        return before.sources if before else {}
    found = service.query(_SOURCES, {"since": since, "beyond": _beyond(stored)})
    newer = {(topic, partition): StoredUpTo(stored[topic, partition], at) for topic, partition, at in found}
    return {**(before.sources if before else {}), **newer}


def _still_there(sources: Sources, stored: StoredOffsets) -> Sources:
    """Of what hours are made what is still stored: after ClickHouse was restored from a backup, sinks store the rest
    again, which is new once more, whenever it was published."""
    return {
        place: held if (offset := stored.get(place, -1)) >= held.offset else StoredUpTo(offset, 0)
        for place, held in sources.items()
    }


def _since(stored: StoredOffsets, before: MadeUpTo | None) -> int:
    """Since when, epoch ms, minutes were published that hours are not made of: by it parts are left out unread."""
    known = before.sources if before else {}
    nothing = StoredUpTo(-1, 0)
    new = [held.ingest_ts for place, offset in stored.items() if (held := known.get(place, nothing)).offset < offset]
    newest = max((one.ingest_ts for one in known.values()), default=0)
    return max(0, min(new, default=newest) - SKEW_S * 1_000)


def _beyond(offsets: StoredOffsets) -> list[tuple[str, int]]:
    """By incarnation and partition the offset behind that one, as a map of the statements."""
    return [(f"{topic}{partition}", offset + 1) for (topic, partition), offset in offsets.items()]


def _oldest(service: Service) -> int:
    ((oldest,),) = service.query("SELECT toUnixTimestamp(min(minute_ts)) FROM aggregates_1m WHERE count > 0")
    return int(oldest) // HOUR_S


def _late(service: Service, before: MadeUpTo, since: int) -> Sequence[tuple[int, Sequence[str]]]:
    """By hour that was made before, of which devices minutes have come since."""
    beyond = _beyond({place: one.offset for place, one in before.sources.items()})
    params = {"until": before.until * HOUR_S, "since": since, "beyond": beyond}
    return [(int(at) // HOUR_S, devices) for at, devices in service.query(_LATE_HOURS, params)]


def _made_late(
    service: Service,
    statement: str,
    late: Sequence[tuple[int, Sequence[str]]],
    made: int,
    tell: Callable[[], object],
) -> Iterator[int]:
    """Make hours or days anew for some devices; each as it is made."""
    for hour, devices in late:
        tell()
        _make(service, statement, hour, made, devices if len(devices) <= LATE_MOST else ())
        yield hour


def _make(service: Service, statement: str, hour: int, made: int, devices: Sequence[str] = ()) -> None:
    """Make an hour, or the day that begins with it, whole or for some devices."""
    params: dict[str, Any] = {"at": hour * HOUR_S, "made": made, "devices": tuple(devices)}
    sql = statement.format(of=_OF if devices else "")
    service.call(lambda client: client.execute(sql, params, settings=_SETTINGS))


def _note(service: Service, period: str, made: MadeUpTo, first: int) -> None:
    places, stored = [*made.sources], [*made.sources.values()]
    row = {
        "period": period,
        "made": made.made,
        "first_ts": first * HOUR_S,
        "until_ts": made.until * HOUR_S,
        "sources.topic_id": [topic for topic, _ in places],
        "sources.partition": [partition for _, partition in places],
        "sources.offset": [one.offset for one in stored],
        "sources.ingest_ts": [one.ingest_ts for one in stored],
    }
    insert(service, "aggregates_made", {name: [value] for name, value in row.items()})


def _begin_of(day: int) -> int:
    """The hour with which a day in Shanghai begins."""
    return day * DAY_HOURS - SHANGHAI_HOURS
