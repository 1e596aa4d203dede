"""The stack that `emberline run` starts, and commands beside it that are told nothing but where it is."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import Request, urlopen

import orjson
import pytest

from cli.passwords import kept_password
from common.settings import Settings
from common.times import now_ms
from embedded.manners import free_port
from schemas.commands import Command
from schemas.registry import DeviceEntry
from schemas.topics import COMMANDS, REGISTRY
from streams.partitioner import partition_of
from tests.services.registry.given_files import written
from tests.support.fleet_sends import steady
from tests.support.kafka_outside import Kafka
from tests.support.platform import quick_settings
from tests.support.processes import ask, command_line, environment_of, run, until


@dataclass
class Started:
    """A running stack, and what it said of itself."""

    settings: Settings
    said: str


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("stack")
    settings = quick_settings(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    settings = replace(settings, data_dir=str(folder / "data"))
    log = folder / "log"
    with log.open("wb") as output:
        arguments = command_line("run", "--broker", "embedded")
        process = subprocess.Popen(arguments, env=environment_of(settings), stdout=output, stderr=output)
    try:
        until(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None, "a running stack", 120)
        assert process.poll() is None, log.read_text()
        yield Started(settings, log.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_commands_find_the_password_that_run_keeps(stack: Started) -> None:
    for command in (["migrate"], ["rejects", "list"]):
        ended = run(*command, settings=stack.settings)
        assert ended.status == 0, ended


def test_what_is_registered_and_ordered_is_published_from_the_data_folder(stack: Started, tmp_path: Path) -> None:
    (publisher,) = re.findall(r"registry publisher +(\S+)", stack.said)
    assert ask(publisher, "/readyz") == (200, "ready\n")
    written(tmp_path)
    ended = run("registry", "import", str(tmp_path), settings=stack.settings)
    assert ended.status == 0, ended
    # It waits for what becomes of the order: so that is on its topic.
    refused = run("device", "replace", "LY-1", "--why", "坏了", "--wait", "60", settings=stack.settings)
    assert (refused.status, refused.out.splitlines()[1]) == (1, "LY-1：命令2被拒绝：本分区没有该设备的记录"), refused
    with Kafka(stack.settings.kafka, stack.settings.partitions) as kafka:
        (entry,) = [one for held in kafka.read(REGISTRY.name) for one in held]
        (order,) = [one for held in kafka.read(COMMANDS.name) for one in held]
        home = partition_of(b"LY-1", stack.settings.partitions)
        kafka.send(steady("LY-1", 9, now_ms(), home))
    assert DeviceEntry.from_json(entry.value).device_id == "LY-1"
    assert Command.from_json(order.value).why == "坏了"
    assert (entry.key, entry.partition) == (order.key, order.partition)
    maintain = ("device", "maintain", "LY-1", "--for", "1h", "--why", "检修", "--wait", "60", "--json")
    obeyed = run(*maintain, settings=stack.settings)
    assert (obeyed.status, [one["outcome"] for one in orjson.loads(obeyed.out)["done"]]) == (0, ["applied"])
    told = run("device", "orders", "LY-1", settings=stack.settings).out.splitlines()
    assert [line.strip() for line in told[1::2]] == ["已执行", "被拒绝：本分区没有该设备的记录"]


def test_people_are_told_how_to_read(stack: Started) -> None:
    found = re.search(r"(http://\S+)  user (\w+) may only read; password in (\S+)", stack.said)
    assert found, stack.said
    url, user, path = found.groups()
    headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": Path(path).read_text().strip()}
    database = stack.settings.clickhouse_database
    asked = f"{url}/?database={database}&query=SELECT%20count()%20FROM%20alarms"
    with urlopen(Request(asked, headers=headers)) as answer:  # noqa: S310
        assert answer.read() == b"0\n"


def test_passwords_are_for_this_user_alone_and_said_nowhere(stack: Started) -> None:
    data = Path(stack.settings.data_dir)
    own, readers = (data / name for name in ("clickhouse-password", "clickhouse-reader-password"))
    assert own.read_text() != readers.read_text()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (data, own, readers)] == [0o700, 0o600, 0o600]
    said = stack.said + "".join(log.read_text(errors="replace") for log in (data / "logs").iterdir())
    assert not any(path.read_text().strip() in said for path in (own, readers))


def test_a_password_that_is_set_goes_before_that_which_is_kept(stack: Started) -> None:
    refusal = run("migrate", settings=stack.settings.to_environment() | {"EMBERLINE_CLICKHOUSE_PASSWORD": "x"}).refusal
    assert "refuses user 'default'" in refusal


def test_a_password_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "password"
    assert kept_password(path) == kept_password(path) != kept_password(path.with_name("other"))
