"""Rejects listed, shown and sent again: each once, whoever dies between sending and remembering."""

from __future__ import annotations

import asyncio
import itertools
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import uuid4

import numpy as np
import orjson
import pytest

from cli.rejects import replay as sending
from cli.rejects.command import wanted_of
from cli.rejects.remembered import SEND_MOST_S, Notebook, read_notes
from cli.rejects.replay import RejectReplayOutcome, about_to_send, replay_all, start
from cli.rejects.stored import REPLAY_OF, Body, RejectFilter, RejectId, StoredReject, bodies, by_ids
from common.errors import OperatorError
from common.settings import Settings
from common.times import now_ms
from embedded.processes import Running, running_kafka
from schemas.records import Records
from schemas.rejects import RejectEvent
from schemas.topics import REJECTS, REPLAYS, TELEMETRY
from sinks.clickhouse.rows import BLOCKS
from streams.storage import asking, run_migrations
from streams.topics import make_topics, topic_ids
from tests.support.apache_kafka import kafka_for_tests
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.platform import Platform, quick_settings
from tests.support.processes import Ended, run, until

HEADERS: Final = [("gateway", b"g-7"), ("trace", b"\xff\x00"), ("gateway", b"again")]


def _report(device: str, **fields: Any) -> dict[str, Any]:
    known = {"v": 1, "device_id": device, "device_kind": "electrical_monitor", "event_ts": now_ms()}
    return known | {"temperature_c": [31.3]} | fields


def _rejects(settings: Settings, *arguments: str) -> Ended:
    return run("rejects", *arguments, settings=settings)


def _json(settings: Settings, *arguments: str) -> Any:
    ended = _rejects(settings, *arguments, "--json")
    assert ended.status == 0, ended.err
    return orjson.loads(ended.out)


def _id_of(platform: Platform, offset: int, partition: int = 0, index: int = -1) -> str:
    """The id of the reject of a telemetry record, once it is stored."""
    query = (
        "SELECT topic_id, `partition`, `offset` FROM rejects WHERE source_offset = %(offset)s "
        "AND source_partition = %(partition)s AND source_index = %(index)s"
    )

    def ask() -> list[tuple[Any, ...]]:
        return platform.query(query, offset=offset, partition=partition, index=index)

    until(lambda: len(ask()) == 1, "the reject")
    return RejectId(*ask()[0]).full


def _reports_of(platform: Platform, device: str) -> int:
    count: int = platform.query("SELECT count() FROM telemetry WHERE device_id = %(id)s", id=device)[0][0]
    return count


def _flush(platform: Platform, partition: int) -> None:
    """Wait until everything that is on telemetry now is stored, by a report sent after it."""
    device = f"FLUSH-{uuid4().hex}"
    report = _report(device)
    platform.kafka.send([ProducerRecord(partition, device.encode(), orjson.dumps(report))])
    until(lambda: _reports_of(platform, device) == 1, "the report sent last")


def test_a_reject_is_listed_shown_and_sent_again_once(platform: Platform) -> None:
    settings, kafka = platform.settings, platform.kafka
    offset = kafka.ends(TELEMETRY.name)[1]
    key, value = b"\xfe\x01key", orjson.dumps(_report("RJ-1", v=9)) + b" "
    kafka.send([ProducerRecord(1, key, value, HEADERS)])
    full = _id_of(platform, offset, 1, 0)
    short = full[24:]

    (line,) = [line for line in _rejects(settings, "list").out.splitlines() if short in line]
    assert "unknown_version" in line
    assert " no " in line

    shown = _json(settings, "show", short)
    assert b64decode(shown["key"]["base64"]) == key
    assert b64decode(shown["value"]["base64"]) == value
    assert [(one["name"], b64decode(one["base64"])) for one in shown["headers"]] == HEADERS
    assert (shown["gateway"], shown["reports"], shown["cut"]) == ("g-7", 1, -1)
    assert _rejects(settings, "show", short, "--raw").out.encode() == value

    assert _json(settings, "replay", short, "--dry-run")["sent"] == 1
    assert _sent_again(kafka, 1, full) == []
    for told in ("sent 1, sent before 0\n", "sent 0, sent before 1\n"):
        assert _rejects(settings, "replay", short).out == told
    (again,) = _sent_again(kafka, 1, full)
    assert (again.key, again.value) == (key, value)
    assert list(again.headers) == [*HEADERS, (REPLAY_OF, full.encode())]
    (listed,) = [one for one in _json(settings, "list", "--all", "--reason", "unknown_version") if one["id"] == full]
    assert (listed["source_offset"], listed["size"]) == (offset, len(value))
    assert (listed["replayed"], listed["replayed_offset"]) == ("yes", again.offset)


def _sent_again(kafka: Kafka, partition: int, full: str) -> list[Any]:
    return [one for one in kafka.read(TELEMETRY.name)[partition] if dict(one.headers).get(REPLAY_OF) == full.encode()]


def test_one_report_of_an_array_is_sent_without_its_neighbours(platform: Platform) -> None:
    offset = platform.kafka.ends(TELEMETRY.name)[0]
    bad = _report("RJ-2-BAD", v=9)
    platform.kafka.send([ProducerRecord(0, b"RJ-2", orjson.dumps([_report("RJ-2-GOOD"), bad]))])
    full = _id_of(platform, offset, 0, 1)
    assert _json(platform.settings, "replay", full)["sent"] == 1
    (again,) = _sent_again(platform.kafka, 0, full)
    assert orjson.loads(again.value) == bad
    _flush(platform, 0)
    assert (_reports_of(platform, "RJ-2-GOOD"), _reports_of(platform, "RJ-2-BAD")) == (1, 0)


def test_an_array_in_an_array_is_left_out_with_its_reason(platform: Platform) -> None:
    offset = platform.kafka.ends(TELEMETRY.name)[0]
    platform.kafka.send([ProducerRecord(0, b"RJ-3", orjson.dumps([[_report("RJ-3")]]))])
    full = _id_of(platform, offset, 0, 0)
    outcome = _json(platform.settings, "replay", full)
    assert (outcome["sent"], outcome["left_out"]) == (0, 1)
    assert "neighbours" in outcome["reasons"][0]["why"]


def test_what_is_rejected_again_names_its_origin_and_stands_for_it(platform: Platform) -> None:
    settings, kafka = platform.settings, platform.kafka
    offset = kafka.ends(TELEMETRY.name)[0]
    kafka.send([ProducerRecord(0, b"RJ-4", b"{ no JSON \x1b[2J", HEADERS)])
    origin = _id_of(platform, offset)
    first = StoredCase(settings, kafka, origin)
    assert [first.replay().sent for _ in range(2)] == [1, 0]
    second = _id_of(platform, int(_note(settings, 0, origin)))
    everything = {one["id"]: one for one in _json(settings, "list", "--all", "--reason", "not_json")}
    folded = _rejects(settings, "list", "--reason", "not_json").out.splitlines()
    assert everything[origin]["replay_of"] is None
    assert everything[second]["replay_of"] == origin
    assert not any(f"  {origin[24:]} " in line for line in folded)
    assert any(f"  {second[24:]} " in line and f"replay of {origin[24:]}" in line for line in folded)
    text = _rejects(settings, "show", second).out
    assert "\x1b" not in text
    assert "{ no JSON \\x1b[2J" in text
    assert "header trace    \\xff\\x00" in text
    headers = _json(settings, "show", second)["headers"]
    assert [(one["name"], b64decode(one["base64"])) for one in headers] == [*HEADERS, (REPLAY_OF, origin.encode())]
    # The later one may be sent again too; its record then names it, and not the first.
    assert StoredCase(settings, kafka, second).replay().sent == 1
    third = _json(settings, "show", _id_of(platform, int(_note(settings, 0, second))))
    assert [one["text"] for one in third["headers"] if one["name"] == REPLAY_OF] == [second]


def _note(settings: Settings, partition: int, full: str) -> int:
    return asyncio.run(read_notes(settings, [partition]))[full].offset


@dataclass(frozen=True, slots=True)
class StoredCase:
    """One reject in ClickHouse, and the steps of sending it again."""

    settings: Settings
    kafka: Kafka
    full: str

    def replay(self) -> RejectReplayOutcome:
        """All of it, waiting hardly at all for what an earlier one may still send."""
        outcome = RejectReplayOutcome(dry_run=False)
        with asking(self.settings) as service:

            async def work() -> None:
                plan = await start(self.settings, service, RejectFilter.of([self.full]), outcome, lambda text: None)
                await replay_all(replace(plan, settle_s=0.1))

            asyncio.run(work())
        return outcome

    def chosen(self) -> list[tuple[StoredReject, Body]]:
        with asking(self.settings) as service:
            (stored,) = by_ids(service, [self.full])
            return [(stored, bodies(service, [stored.id])[stored.id])]

    def times_sent(self) -> int:
        mine = self.full.encode()
        return sum(dict(one.headers).get(REPLAY_OF) == mine for one in self.kafka.read(TELEMETRY.name)[0])

    async def note_only(self) -> None:
        async with Notebook(self.settings, 0) as notebook:
            await notebook.write(about_to_send(self.chosen(), 0))

    async def note_and_send(self) -> None:
        await self.note_only()
        async with sending._telemetry(self.settings) as producer:
            await sending.send(producer, self.chosen(), time.monotonic())


def _rejected(platform: Platform) -> StoredCase:
    """A record that the workers have just rejected."""
    offset = platform.kafka.ends(TELEMETRY.name)[0]
    platform.kafka.send([ProducerRecord(0, b"key", b"no JSON", HEADERS)])
    return StoredCase(platform.settings, platform.kafka, _id_of(platform, offset))


_offsets = itertools.count(100)


def _planted(settings: Settings, kafka: Kafka, reason: str = "not_json", reports: int = 1, cut: int = -1) -> StoredCase:
    """A reject in ClickHouse as the sink would have written it; no workers run."""
    incarnation = asyncio.run(topic_ids(settings, [REJECTS.name]))[REJECTS.name]
    found = RejectId(incarnation, 0, next(_offsets))
    event = RejectEvent(reason, "planted", TELEMETRY.name, 0, found.offset, -1, now_ms(), reports, cut)
    records = Records(
        topic=REJECTS.name,
        partition=0,
        offsets=np.array([found.offset]),
        timestamps=np.array([now_ms()]),
        keys=[b"key"],
        values=[b"no JSON"],
        headers=[event.to_headers([*HEADERS, ("none", None)])],
    )
    block = BLOCKS[REJECTS.name](records, incarnation)
    names = ", ".join(f"`{name}`" for name in block.columns)
    with asking(settings) as service:
        service.call(lambda client: client.execute(f"INSERT INTO rejects ({names}) VALUES", block))
    return StoredCase(settings, kafka, found.full)


def check_interruptions(noted: StoredCase, sent: StoredCase) -> None:
    """Break a replay off after each of its steps; the next one must tell what went out."""
    asyncio.run(noted.note_only())
    assert noted.times_sent() == 0
    outcome = noted.replay()
    assert (outcome.sent, outcome.found, noted.times_sent()) == (1, 0, 1)

    asyncio.run(sent.note_and_send())
    outcome = sent.replay()
    assert (outcome.sent, outcome.sent_before, outcome.found, sent.times_sent()) == (0, 1, 1, 1)
    for case in (noted, sent):
        assert case.replay().sent_before == 1
        assert case.times_sent() == 1


def test_a_replay_that_breaks_off_is_taken_up_by_the_next_on_the_embedded_broker(platform: Platform) -> None:
    check_interruptions(_rejected(platform), _rejected(platform))


def test_a_replay_that_stood_still_sends_nothing(platform: Platform) -> None:
    case = _rejected(platform)

    async def late() -> None:
        async with sending._telemetry(case.settings) as producer:
            await sending.send(producer, case.chosen(), time.monotonic() - SEND_MOST_S)

    with pytest.raises(OperatorError, match="stood still"):
        asyncio.run(late())
    assert case.times_sent() == 0


@pytest.fixture(scope="module")
def real(clickhouse: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Apache Kafka, one broker, with emberline's topics."""
    folder = tmp_path_factory.mktemp("real")
    with kafka_for_tests(), running_kafka(folder / "data", folder / "logs", brokers=1) as cluster:
        settings = replace(quick_settings(cluster.bootstrap, clickhouse.address), fencing=True)
        asyncio.run(make_topics(settings))
        run_migrations(settings)
        yield settings


def test_a_replay_that_breaks_off_is_taken_up_by_the_next_on_kafka(real: Settings) -> None:
    with Kafka(real.kafka, real.partitions) as kafka:
        check_interruptions(_planted(real, kafka), _planted(real, kafka))


def test_of_two_replays_at_once_the_first_can_note_nothing_more(real: Settings) -> None:
    with Kafka(real.kafka, real.partitions) as kafka:
        case = _planted(real, kafka)

    async def both() -> None:
        async with Notebook(real, 0) as first:
            await first.write(about_to_send(case.chosen(), 0))
            async with Notebook(real, 0) as second:
                with pytest.raises(OperatorError, match="another replay has taken over partition 0"):
                    await first.write(about_to_send(case.chosen(), 5))
                await second.write(about_to_send(case.chosen(), 7))

    asyncio.run(both())
    assert _note(real, 0, case.full) == 7


def test_notes_have_a_topic_of_their_own_and_telemetry_no_markers(real: Settings) -> None:
    with Kafka(real.kafka, real.partitions) as kafka:
        case = _planted(real, kafka)
        assert case.replay().sent == 1
        telemetry = kafka.read(TELEMETRY.name)[0]
        assert [one.offset for one in telemetry] == list(range(kafka.ends(TELEMETRY.name)[0]))
        assert case.full.encode() in {one.key for one in kafka.read(REPLAYS.name)[0]}


def test_what_is_cut_or_stored_all_the_same_is_not_sent_again_and_said_so(settings: Settings, kafka: Kafka) -> None:
    cut, many = _planted(settings, kafka, cut=70_000), _planted(settings, kafka, "wrong_type", 600, 9_000)
    refused = _planted(settings, kafka, "too_many_devices")
    assert "give ids, a filter, or --all" in _rejects(settings, "replay").refusal
    outcome = _json(settings, "replay", "--all")
    assert (outcome["sent"], outcome["left_out"]) == (0, 3)
    why = {one["id"]: one["why"] for one in outcome["reasons"]}
    for case in (cut, many):
        offset = case.full.rpartition("-")[2]
        assert why[case.full].endswith(f"{TELEMETRY.name} partition 0 offset {offset} has the record whole, as long as "
                                       "the topic keeps it")  # fmt: skip
    assert why[refused.full].startswith("it is stored with the good reports")
    assert kafka.ends(TELEMETRY.name)[0] == 0

    lines = {line.split()[2]: line for line in _rejects(settings, "list").out.splitlines()[1:]}
    assert lines[cut.full[24:]].endswith("planted (cut)")
    assert lines[many.full[24:]].endswith("planted (600 reports) (cut)")
    shown = _rejects(settings, "show", cut.full).out
    assert "header none     null" in shown
    assert f"7 bytes of 70000, the others are in {TELEMETRY.name} partition 0 offset" in shown
    shown = _json(settings, "show", many.full)
    assert (shown["reports"], shown["cut"], shown["gateway"]) == (600, 9_000, "g-7")
    assert shown["headers"][-1] == {"name": "none", "text": None, "base64": None}


def test_a_header_without_a_value_is_sent_again_as_it_was(real: Settings) -> None:
    with Kafka(real.kafka, real.partitions) as kafka:
        case = _planted(real, kafka)
        assert case.replay().sent == 1
        (again,) = _sent_again(kafka, 0, case.full)
    assert list(again.headers) == [*HEADERS, ("none", None), (REPLAY_OF, case.full.encode())]


def test_an_empty_result_says_so(platform: Platform) -> None:
    settings = platform.settings
    assert _rejects(settings, "list", "--reason", "no-such").out == "no such rejects\n"
    assert _rejects(settings, "replay", "--reason", "no-such").out == "no such rejects: nothing to send\n"


def test_without_kafka_the_list_still_answers(platform: Platform) -> None:
    settings = replace(platform.settings, kafka="127.0.0.1:1")
    _rejected(platform)
    ended = _rejects(settings, "list", "--limit", "1")
    assert ended.status == 0, ended.err
    assert "unknown" in ended.out
    assert "what was replayed is unknown" in ended.err


@pytest.mark.parametrize(
    ("ids", "filters", "sentence"),
    [
        (["7"], {}, "'7' is no id of a reject"),
        (["0123abcd-0-1"], {"reason": "not_json"}, "ids or filters, not both"),
        ([], {"from_": "then"}, "--from: 'then' is no time"),
        ([], {"from_": "2026-01-02", "to": "2026-01-01"}, "--from must lie before --to"),
    ],
)
def test_what_cannot_be_wanted_is_refused(ids: list[str], filters: dict[str, str | None], sentence: str) -> None:
    with pytest.raises(OperatorError, match=sentence):
        wanted_of(ids, filters)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "0123abcd-0-99999999"], "there is no reject 0123abcd-0-99999999"),
        (["show", "0123abcd-0-1", "--raw", "--json"], "--raw or --json, not both"),
        (["list", "--limit", "0"], "--limit must lie from 1"),
    ],
)
def test_bad_arguments_are_one_sentence(platform: Platform, arguments: list[str], sentence: str) -> None:
    assert sentence in _rejects(platform.settings, *arguments).refusal


def test_a_database_without_tables_asks_for_them(clickhouse: Running) -> None:
    assert "`emberline migrate`" in _rejects(quick_settings("127.0.0.1:1", clickhouse.address), "list").refusal
