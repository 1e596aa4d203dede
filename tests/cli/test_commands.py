"""The command line as an operator meets it: every refusal is one sentence on standard error and status 1."""

from __future__ import annotations

import fcntl
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from socket import socket
from typing import IO, Final

import click
import orjson
import pytest
from click.testing import CliRunner

from cli.main import cli
from common.settings import Settings, described
from common.times import now_ms
from embedded.manners import free_port
from embedded.processes import Running, running_broker
from schemas.control import is_control
from schemas.topics import ALARMS, TELEMETRY, TOPICS
from sinks.clickhouse.migrate import migrations
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.platform import Platform, asking, quick_settings
from tests.support.processes import command_line, environment_of, last_words, run, until

PIPE_LINES_BYTES: Final = 40_000
"""A pipe of 64 KiB holds more than that in whole lines, and less than these alarms of some 700 bytes each."""
ALARMS_BEYOND_A_PIPE: Final = 150


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if child := command.get_command(context, name):
                yield from _commands(child, (*path, name))


@pytest.mark.parametrize("path", _commands(cli), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_help_of_the_program_itself() -> None:
    ended = run("--help", settings={})
    assert ended.status == 0
    assert ended.err == ""


def test_wrong_usage_has_a_status_of_its_own() -> None:
    for arguments in (["no-such-command"], ["worker", "dance"], ["demo", "--seconds", "soon"]):
        ended = run(*arguments, settings={})
        assert ended.status == 2
        assert "Traceback" not in ended.err


def test_settings_are_listed_for_people_and_programs() -> None:
    listed = orjson.loads(run("settings", "--json", settings={}).out)
    assert listed == {name: {"default": default, "what": what} for name, default, what in described()}
    lines = run("settings", settings={}).out.splitlines()
    assert [line.split()[0] for line in lines] == list(listed)


@pytest.mark.parametrize(
    ("name", "value"),
    [("EMBERLINE_PARTITIONS", "many"), ("EMBERLINE_KAFKA", "here"), ("EMBERLINE_KAFKAA", "here:9092")],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    assert name in run("worker", "detect", settings={name: value}).refusal


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics"],
        ["alarms"],
        ["simulate", "--seconds", "1", "--devices", "20", "--rate", "10", "--faults", "0"],
    ],
    ids=" ".join,
)
def test_a_broker_that_is_away_is_said(arguments: list[str]) -> None:
    settings = quick_settings(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    assert settings.kafka in run(*arguments, settings=settings).refusal


@pytest.mark.parametrize("role", ["detect", "sink"])
def test_a_worker_without_a_broker_ends_with_one_sentence(role: str) -> None:
    settings = quick_settings(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    ended = run("worker", role, settings=settings)
    assert ended.status == 1
    assert settings.kafka in last_words(ended.err)


def test_topics_that_are_not_made_yet_are_asked_for(tmp_path: Path) -> None:
    with running_broker(tmp_path / "log") as empty:
        ended = run("worker", "sink", settings=quick_settings(empty.address))
    assert ended.status == 1
    assert "`emberline topics`" in last_words(ended.err)


def test_clickhouse_that_is_away_is_said() -> None:
    settings = replace(quick_settings("127.0.0.1:1", f"127.0.0.1:{free_port()}"), clickhouse_deadline_s=1)
    assert f"ClickHouse at {settings.clickhouse} does not answer" in run("migrate", settings=settings).refusal


def test_tables_that_are_not_made_yet_are_asked_for(kafka: Kafka, clickhouse: Running) -> None:
    kafka.send([ProducerRecord(0, b"LY-1", b"{}")])
    ended = run("worker", "sink", settings=quick_settings(kafka.address, clickhouse.address))
    assert ended.status == 1
    assert "`emberline migrate`" in last_words(ended.err)


@pytest.fixture
def taken() -> Iterator[str]:
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_taken_port_is_said(taken: str, tmp_path: Path) -> None:
    settings = replace(quick_settings("127.0.0.1:1"), http=taken)
    refusal = run("worker", "detect", settings=settings).refusal
    assert taken in refusal
    assert "EMBERLINE_HTTP" in refusal
    refusal = run(
        "run", "--broker", "embedded", settings=replace(quick_settings(taken), data_dir=str(tmp_path))
    ).refusal
    assert taken in refusal
    settings = replace(quick_settings(f"127.0.0.1:{free_port()}", taken), data_dir=str(tmp_path))
    ended = run("run", "--broker", "embedded", settings=settings)
    assert taken in ended.refusal


def test_a_limits_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    settings = replace(quick_settings("127.0.0.1:1"), limits_file=str(path))
    assert str(path) in run("worker", "detect", settings=settings).refusal
    for text, entry in (("[nonsense", str(path)), ("[default.temperature]\nwarming = 1\n", "warming")):
        path.write_text(text)
        assert entry in run("worker", "detect", settings=settings).refusal


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "data"
    settings = replace(quick_settings(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"), data_dir=str(folder))
    for arguments in (
        ["run", "--broker", "embedded"],
        ["demo", "--seconds", "2", "--devices", "20", "--rate", "10", "--json"],
    ):
        assert str(folder) in run(*arguments, settings=settings).refusal


def test_numbers_that_make_no_fleet_are_refused(broker: Running) -> None:
    settings = quick_settings(broker.address)
    assert (
        "a device may report every 10 ms at most"
        in run("simulate", "--devices", "1", "--rate", "1000", settings=settings).refusal
    )
    assert "devices, rate and seconds must be above 0" in run("demo", "--devices", "0", settings=settings).refusal


def test_topics_are_made_once(tmp_path: Path) -> None:
    with running_broker(tmp_path / "log") as empty:
        settings = quick_settings(empty.address)
        first, second = (run("topics", settings=settings) for _ in range(2))
        with Kafka(empty.address, settings.partitions) as kafka:
            assert kafka.ends(TELEMETRY.name) == [0, 0]
    for ended, word in ((first, "made"), (second, "there")):
        assert ended.status == 0
        assert [line.split()[:2] for line in ended.out.splitlines()] == [[word, topic.name] for topic in TOPICS]


def test_tables_are_made_once(clickhouse: Running) -> None:
    settings = quick_settings("127.0.0.1:1", clickhouse.address)
    first, second = (run("migrate", settings=settings) for _ in range(2))
    assert (first.status, second.status) == (0, 0)
    numbers = [f"{migration.number:04}" for migration in migrations()]
    assert re.findall(r"^applied (\d+)", first.out, re.MULTILINE) == numbers
    assert second.out.splitlines() == [first.out.splitlines()[-1]]
    assert ("telemetry",) in asking(settings)("SHOW TABLES")


def test_what_is_simulated_arrives(platform: Platform) -> None:
    arguments = ["--seconds", "2", "--devices", "40", "--rate", "50", "--faults", "0", "--bad", "2", "--seed", "9"]
    before = _sent(platform)
    ended = run("simulate", *arguments, settings=platform.settings)
    assert ended.status == 0, ended.err
    told = re.fullmatch(r"sent (\d+) reports in (\d+) records; 1 to be rejected among them\n", ended.out)
    assert told, ended.out
    assert int(told[1]) >= 98
    assert _sent(platform) - before == int(told[2])


def _sent(platform: Platform) -> int:
    """Records of telemetry, but for those that the worker itself appends where nothing has come for long."""
    records = chain.from_iterable(platform.kafka.read(TELEMETRY.name))
    return sum(not is_control(record.value, record.headers) for record in records)


def _follow(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_line("alarms", *arguments),
        env=environment_of(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _make_an_alarm(platform: Platform, device: str) -> None:
    begin = now_ms() - 60_000
    hot = [
        {
            "v": 1,
            "device_id": device,
            "device_kind": "electrical_monitor",
            "event_ts": begin + 1_000 * n,
            "temperature_c": [99],
        }
        for n in range(30)
    ]
    platform.kafka.send([ProducerRecord(1, device.encode(), orjson.dumps(report)) for report in hot])


@pytest.mark.parametrize("as_json", [True, False])
def test_alarms_are_followed_until_ctrl_c(platform: Platform, as_json: bool) -> None:
    device = f"HOT-{int(as_json)}"
    _make_an_alarm(platform, device)
    until(lambda: any(record.key == device.encode() for record in platform.kafka.read(ALARMS.name)[1]), "the alarm")
    with _follow(platform.settings, "--from-beginning", *["--json"] * as_json) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        line = b""
        while device.encode() not in line:
            line = following.stdout.readline()
            assert line, following.stderr.read()
            if as_json:
                event = orjson.loads(line)
                assert {"alarm_id", "device_id", "severity", "message"} <= event.keys()
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130
        assert b"Traceback" not in following.stderr.read()


def _unread(pipe: IO[bytes]) -> int:
    return int.from_bytes(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


def test_ctrl_c_ends_a_follower_whose_reader_has_stopped_reading(platform: Platform) -> None:
    for number in range(ALARMS_BEYOND_A_PIPE):
        _make_an_alarm(platform, f"MANY-{number}")
    with _follow(platform.settings, "--from-beginning", "--json") as following:
        assert following.stdout is not None
        pipe = following.stdout
        until(lambda: _unread(pipe) > PIPE_LINES_BYTES, "a full pipe", 60)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130


def test_python_m_cli_is_the_command_emberline() -> None:
    assert command_line("--version")[:3] == [sys.executable, "-m", "cli"]
    ended = run("--version", settings={})
    assert ended.status == 0
    assert re.search(r"\d+\.\d+\.\d+", ended.out)
