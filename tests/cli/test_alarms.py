"""`emberline alarms` beside records that are no alarms, and beside a broker that goes and comes back."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson
from msgspec import structs

from common.settings import Settings
from embedded.processes import running_broker, running_kafka
from schemas.events import Alarm
from schemas.topics import ALARMS
from streams.topics import make_topics
from tests.cli.stacks import address
from tests.support.apache_kafka import kafka_for_tests
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import command_line, environment_of, until

ALARM: Final = Alarm(
    v=1,
    alarm_id="0" * 32,
    event="opened",
    severity=2,
    severity_label="报警",
    kind="temperature",
    device_id="LY-1",
    device_kind="electrical_monitor",
    quantity="temperature_c",
    component=0,
    episode=1_790_000_000_000,
    event_ts=1_790_000_000_000,
    onset_ts=1_790_000_000_000,
    ingest_ts=1_790_000_000_000,
    detected_ts=1_790_000_000_000,
    by_arrival=False,
    late=False,
    value=99.0,
    limit=70.0,
    peak=99.0,
    baseline=None,
    limit_from="a test",
    test=False,
    message="",
    source_offset=0,
    source_ordinal=0,
)


def alarm(message: str) -> bytes:
    return structs.replace(ALARM, message=message).to_json()


FOREIGN: Final[dict[str, bytes | None]] = {
    "it has no value": None,
    "JSON is malformed": b"<alarm/>",
    "Expected `object`, got `array`": b"[1]",
    "nested too deeply": b'{"x":' * 10_000,
    "version 2; this program reads version 1": alarm("x").replace(b'"v":1', b'"v":2'),
    "missing required field `alarm_id`": b'{"v": 1}',
    "Expected `str`, got `null` - at `$.message`": alarm("x").replace(b'"message":"x"', b'"message":null'),
    "Expected `int` <= 4102444800000 - at `$.event_ts`": alarm("x").replace(b'"event_ts":', b'"event_ts":9'),
}


class FollowingProcess:
    """`emberline alarms` as a process, and what it has said so far."""

    def __init__(self, folder: Path, settings: Settings | Mapping[str, str], arguments: Sequence[str]) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command_line("alarms", *arguments),
                env=environment_of(settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> list[str]:
        return self._out.read_text().splitlines()

    @property
    def err(self) -> list[str]:
        return self._err.read_text().splitlines()

    def until_said(self, words: str, times: int = 1) -> None:
        """Wait until so many lines of both outputs hold these words."""

        def seen() -> bool:
            assert self.process.poll() is None, self.err
            return sum(words in line for line in self.out + self.err) >= times

        until(seen, f"{times} lines with {words!r}", 90)


@contextmanager
def following(folder: Path, settings: Settings, *arguments: str) -> Iterator[FollowingProcess]:
    follower = FollowingProcess(folder, settings, arguments)
    try:
        yield follower
    finally:
        follower.process.kill()
        follower.process.wait()


def settings_of(address: str) -> Settings:
    return Settings(kafka=address, partitions=2)


def _send(kafka: Kafka, records: Sequence[ProducerRecord]) -> None:
    kafka.send(records, ALARMS.name)


@contextmanager
def topics_of(settings: Settings) -> Iterator[Kafka]:
    """A broker with emberline's topics, seen from outside."""
    asyncio.run(make_topics(settings))
    with Kafka(settings.kafka, settings.partitions) as kafka:
        yield kafka


def test_what_is_no_alarm_is_told_counted_and_passed_over(tmp_path: Path) -> None:
    settings = settings_of(address())
    port = int(settings.kafka.rpartition(":")[2])
    with running_broker(tmp_path / "log", port=port), topics_of(settings) as kafka:
        _send(
            kafka,
            [ProducerRecord(0, b"k", value) for value in FOREIGN.values()]
            + [ProducerRecord(0, b"k", alarm("a\x1b[2J\u202eb\nc"))],
        )
        with following(tmp_path, settings, "--from-beginning") as follower:
            follower.until_said("a\\x1b[2J\\u202eb\\nc")
            assert len(follower.out) == 1
            for number, (why, line) in enumerate(zip(FOREIGN, follower.err, strict=True), 1):
                assert line.startswith(
                    f"emberline: {ALARMS.name} partition 0 offset {number - 1} is no alarm of ours: "
                )
                assert why in line
                assert line.endswith(f"passed over ({number} so far)")
            assert follower.process.poll() is None


def test_a_follower_says_that_its_broker_is_away_and_follows_the_next_from_its_beginning(tmp_path: Path) -> None:
    settings = settings_of(address())
    port = int(settings.kafka.rpartition(":")[2])
    with following_on_two(tmp_path, settings, port) as (follower, first, second):
        assert [line.rpartition("  ")[2] for line in follower.out] == [*first, *second]
        assert sum("no Kafka answers" in line for line in follower.err) == 1
        assert sum("Kafka answers again" in line for line in follower.err) >= 1
        assert sum("was made anew" in line for line in follower.err) == 1


@contextmanager
def following_on_two(
    folder: Path, settings: Settings, port: int
) -> Iterator[tuple[FollowingProcess, list[str], list[str]]]:
    """A follower that has met one embedded broker after another at one address, and what was on them."""
    first, second = ["first"], ["second", "third"]
    with running_broker(folder / "log", port=port) as broker, topics_of(settings) as kafka:
        _send(kafka, [ProducerRecord(0, b"k", alarm(message)) for message in first])
        follower = FollowingProcess(folder, settings, ["--from-beginning"])
        try:
            follower.until_said("first")
            broker.process.kill()
            follower.until_said("no Kafka answers")
        except BaseException:
            follower.process.kill()
            raise
    try:
        with running_broker(folder / "log", port=port), topics_of(settings) as kafka:
            _send(kafka, [ProducerRecord(0, b"k", alarm(message)) for message in second])
            follower.until_said("third")
            yield follower, first, second
    finally:
        follower.process.kill()
        follower.process.wait()


def test_no_alarm_is_lost_or_shown_twice_over_a_restart_of_kafka(tmp_path: Path) -> None:
    with kafka_for_tests(), running_kafka(tmp_path / "data", tmp_path / "logs", brokers=1) as cluster:
        settings = settings_of(cluster.bootstrap)
        broker = cluster.brokers[0]
        with topics_of(settings) as kafka, following(tmp_path, settings, "--json") as follower:
            # Without --from-beginning it shows what comes after it stands, and says nothing of where it stands.
            number = 0

            def shown() -> bool:
                nonlocal number
                _send(kafka, [ProducerRecord(number % 2, b"k", alarm(f"n{number}"))])
                number += 1
                return bool(follower.out)

            until(shown, "the first alarm", 60)
            end = number + 70
            _send(kafka, [ProducerRecord(one % 2, b"k", alarm(f"n{one}")) for one in range(number, number + 20)])
            broker.kill()
            follower.until_said("no Kafka answers")
            broker.start()
            _send(kafka, [ProducerRecord(one % 2, b"k", alarm(f"n{one}")) for one in range(number + 20, end)])
            for last in (end - 2, end - 1):
                follower.until_said(f'"n{last}"')
            follower.until_said("Kafka answers again")
            told = sorted(int(orjson.loads(line)["message"][1:]) for line in follower.out)
            assert [one for one in told if one >= number] == list(range(number, end))
            assert len(set(told)) == len(told)
            assert not [line for line in follower.err if "made anew" in line]
