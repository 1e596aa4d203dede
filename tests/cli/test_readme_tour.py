"""A newcomer's tour: every command of README on the stack that README starts, and its shown output held against it."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson
import pytest

from cli.demo.account import Account
from cli.demo.show import demo_table
from common.settings import Settings
from common.times import now_ms
from schemas.topics import TELEMETRY
from streams.storage import asking
from tests.cli.readme import CHINESE, ENGLISH, Shown, blocks, shown
from tests.cli.stacks import address, started, until_it_runs
from tests.cli.test_alarms import FollowingProcess
from tests.support.kafka_outside import Kafka, ProducerRecord
from tests.support.processes import command_line, environment_of, run, until, working

NOT_RUN: Final = {
    "make demo": "cli/test_demo.py runs the demo",
    "make test": "it runs this",
    "emberline demo": "cli/test_demo.py runs it; its table is held against README's here",
    "clickhouse-client": "no package of ours brings it; its query is run by our own client",
    "emberline registry publish": "cli/test_registry.py runs it",
    "emberline limits": "cli/test_limits.py runs it",
    "emberline hourly": "cli/hourly/test_run.py runs it: the hours of a stack that has just begun are not over",
    "export": "three brokers and a server that nobody has here",
}
"""How commands begin that a test cannot run, each with its reason."""
TOURED: Final = (
    "emberline run",
    "emberline simulate",
    "emberline alarms",
    "emberline replay",
    "emberline topics",
    "emberline migrate",
    "emberline registry migrate",
    "emberline registry export",
    "emberline registry check",
    "emberline registry import",
    "emberline worker detect",
    "emberline worker sink",
)
"""How the others begin; what the tour does not run is missed by its first test."""
REGISTER: Final = (
    "emberline simulate --devices 500 --rate 500 --registry fleet.xlsx",
    "emberline registry import fleet.xlsx",
)
"""What registers the fleet before it is simulated."""
SQL: Final = re.compile(r"SELECT [^;]+;")


def normal(line: str) -> str:
    """A line with every device, number and time alike."""
    line = re.sub(r"\b[A-Z]{2}-\d{6}\b", "DEVICE", line)
    return re.sub(r"\d[\d.,:-]*", "0", line)


def block_with(beginning: str) -> str:
    """The block of README that begins so."""
    (found,) = ["\n".join(block) for block in blocks(ENGLISH) if block[0].startswith(beginning)]
    return found


def the(beginning: str) -> Shown:
    """The command of README that begins so."""
    (found,) = [one for one in shown(ENGLISH) if one.command.startswith(beginning)]
    return found


def last(beginning: str) -> Shown:
    """The last command of README that begins so."""
    return [one for one in shown(ENGLISH) if one.command.startswith(beginning)][-1]


def arguments_of(command: str) -> list[str]:
    return shlex.split(command)[1:]


def test_both_languages_show_the_same_commands_and_outputs() -> None:
    assert shown(ENGLISH) == shown(CHINESE)


def test_every_command_is_toured_or_says_why_not() -> None:
    commands = [one.command for one in shown(ENGLISH)]
    assert commands
    unknown = [one for one in commands if not one.startswith((*NOT_RUN, *TOURED))]
    assert not unknown, "add them to the tour"
    for beginning in (*NOT_RUN, *TOURED):
        assert any(one.startswith(beginning) for one in commands), f"README does not show {beginning} any more"


def test_the_table_of_the_demo_is_what_the_demo_prints(capsys: pytest.CaptureFixture[str]) -> None:
    def labels(lines: Iterable[str]) -> list[str]:
        told = [line for line in lines if re.search(r"\w", line)]
        return [line.split("│")[1].strip() if "│" in line else line.split(":")[0] for line in told]

    demo_table(Account(ok=True, message="【紧急】", unregistered=["LY-000123"]))
    title, *printed = labels(line.strip() for line in capsys.readouterr().out.splitlines())
    (demo,) = [one for one in shown(ENGLISH) if one.command == "emberline demo"]
    assert title == "emberline demo"
    assert labels(demo.output) == printed


def test_recorded_reports_are_tried_as_readme_shows_them(tmp_path: Path) -> None:
    file, limits = tmp_path / "FILE.jsonl", tmp_path / "limits.toml"
    report = orjson.loads(block_with('{"v": 1'))
    other = orjson.dumps({"ingest_ts": report["event_ts"] + 1_000, "report": report}).decode()
    file.write_text(block_with('{"ingest_ts"') + "\n" + other + "\n")
    limits.write_text(block_with("[default.residual_current]"))
    ended = run("try", str(file), "--limits", str(limits), settings={})
    assert (ended.status, ended.err) == (0, "")
    assert "LY-1 在线" in ended.out
    assert ended.out.splitlines()[-1].startswith("共 报告 2，无效值 0，拒收 0，")


def test_the_registry_is_filled_as_readme_shows_it(tmp_path: Path) -> None:
    commands = [one.command for one in shown(ENGLISH) if one.command.startswith("emberline registry")]
    assert commands.pop(0) == REGISTER[1]
    for command in commands[:-1]:
        ended = run(*arguments_of(command), settings={"EMBERLINE_DATA_DIR": str(tmp_path)}, cwd=tmp_path)
        assert (ended.status, ended.err) == (0, ""), command
    assert (tmp_path / "registry.xlsx").exists()


def environment(folder: Path) -> dict[str, str]:
    """What a newcomer has, but for addresses and a folder that are ours alone."""
    return {
        "EMBERLINE_KAFKA": address(),
        "EMBERLINE_CLICKHOUSE": address(),
        "EMBERLINE_DATA_DIR": str(folder / ".emberline"),
    }


@contextmanager
def stack(folder: Path, *arguments: str) -> Iterator[tuple[dict[str, str], Settings]]:
    """`emberline run`; the environment in which other commands find it, and the same as settings."""
    given = environment(folder)
    with started(["run", *arguments], environment_of(given)) as process:
        until_it_runs(process)
        yield given, Settings.from_environment(given)
        assert process.poll() is None


def register(given: Mapping[str, str], settings: Settings, folder: Path) -> None:
    """The fleet is registered as README shows it, and detection knows it."""
    for command in REGISTER:
        ended = run(*arguments_of(command), settings=given, cwd=folder)
        assert (ended.status, ended.err) == (0, ""), command
    with asking(settings) as service:

        def known() -> bool:
            (told,) = service.query("SELECT uniqExact(device_id) FROM control_records WHERE kind = 'change'")
            return told == (490,)

        until(known, "what became of all that is registered", 60)


def reject_and_replay(given: Mapping[str, str], settings: Settings) -> None:
    """A record that is none is listed, shown and sent again; nothing had to be set for it."""
    with Kafka(settings.kafka, settings.partitions) as kafka:
        kafka.send([ProducerRecord(0, b"\x1b[2JLY-9", b"\x1b[31mnot JSON")], TELEMETRY.name)
    listed = run("rejects", "list", settings=given)

    def there() -> bool:
        nonlocal listed
        listed = run("rejects", "list", settings=given)
        return "not_json" in listed.out

    until(there, "the reject", 90)
    (line,) = [line for line in listed.out.splitlines() if "not_json" in line]
    (id_,) = re.findall(r"\b[0-9a-f]{8}-\d+-\d+\b", line)
    whole = run("rejects", "show", id_, settings=given)
    assert "\\x1b[31mnot JSON" in whole.out
    assert "\x1b" not in whole.out + listed.out
    assert "give ids, a filter, or --all" in run("rejects", "replay", settings=given).refusal
    sent = run("rejects", "replay", "--all", settings=given)
    assert (sent.status, sent.out) == (0, "sent 1, sent before 0\n"), sent.err


def test_the_commands_of_readme_print_what_it_shows(tmp_path: Path) -> None:
    simulate, replay = last("emberline simulate"), the("emberline replay")
    with stack(tmp_path, *arguments_of(the("emberline run").command)[1:]) as (given, settings):
        register(given, settings, tmp_path)
        follower = FollowingProcess(tmp_path, given, arguments_of(the("emberline alarms").command)[1:])
        sending = subprocess.Popen(
            command_line(*arguments_of(simulate.command)),
            env=environment_of(given),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with follower.process, sending:
            try:
                meanwhile(given, settings, tmp_path)
                out, err = sending.communicate(timeout=300)
                assert (sending.returncode, err) == (0, b"")
                assert out.startswith(b"sent 3")
                missing = set(map(normal, the("emberline alarms").output))

                def seen() -> bool:
                    return missing <= set(map(normal, follower.out))

                with suppress(AssertionError):
                    until(seen, "the alarms that README shows", 60)
                assert missing - set(map(normal, follower.out)) == set()
                assert follower.err == []
            finally:
                sending.kill()
                follower.process.kill()
        recorded(tmp_path / arguments_of(replay.command)[1])
        ended = run(*arguments_of(replay.command), settings=given, cwd=tmp_path, seconds=300)
        assert (ended.status, ended.err) == (0, "")
        assert list(map(normal, ended.out.splitlines())) == list(map(normal, replay.output))
        with asking(settings) as service:
            (query,) = re.findall(r'--query "(.*)"', the("clickhouse-client").command)
            assert service.query(query)
            for statement in SQL.findall(block_with("-- alarms of the last week")):
                assert service.query(statement) or "LY-000123" in statement


def keyed(settings: Settings) -> Settings:
    """For a detect worker beside `emberline run`: all have the key with which that signs, for checkpoints name it."""
    return replace(settings, control_keys_file=str(Path(settings.data_dir) / "control-keys"))


def meanwhile(given: Mapping[str, str], settings: Settings, folder: Path) -> None:
    """What needs no quiet stack: topics and tables are there, workers join, rejects and backfills are listed."""
    for word, name in (("topics", "emberline topics"), ("migrate", "emberline migrate")):
        ended = run(*arguments_of(the(name).command), settings=given)
        assert (ended.status, ended.err) == (0, ""), word
    reject_and_replay(given, settings)
    with (
        working("detect", keyed(settings), folder / "workers") as detect,
        working("sink", settings, folder / "workers") as sink,
    ):
        assert [worker.stop(60) for worker in (detect, sink)] == [0, 0]
    limits = folder / "limits.toml"
    limits.write_text(block_with("[default.residual_current]"))
    (period,) = re.findall(r"`emberline (backfill --from [^`]*) FILE`", ENGLISH.read_text(encoding="utf-8"))
    times = iter((now_ms() - 3_600_000, now_ms()))
    period = re.sub(r"\d{4}-\d\d-\d\d", lambda _: str(next(times)), period)  # README's days hold nothing of ours
    for arguments in ([*shlex.split(period), str(limits)], ["backfill", "--list"], ["settings", "--json"]):
        ended = run(*arguments, settings=given)
        assert (ended.status, ended.err) == (0, ""), (arguments, ended)


def recorded(file: Path) -> None:
    """Readings in the form of the file that README replays, which is not ours to keep here."""
    rows = [f"2014-02-{1 + n // 24:02d} {n % 24:02d}:00:00,{80 + n % 7}.5" for n in range(200)]
    file.write_text("\n".join(["timestamp,value", *rows]) + "\n")


def test_the_embedded_stack_takes_a_second_worker_a_replay_and_a_demo_beside_it(tmp_path: Path) -> None:
    with stack(tmp_path, "--broker", "embedded") as (given, settings):
        assert settings.fencing
        reject_and_replay(given, settings)
        with working("detect", keyed(settings), tmp_path / "workers") as worker:
            assert worker.process.poll() is None
        with asking(settings) as service:
            (before,) = service.query("SELECT count() FROM telemetry")
            ended = run("demo", "--seconds", "3", "--devices", "60", "--json", settings=given, seconds=300)
            assert ended.status == 0, ended
            account = orjson.loads(ended.out)
            # What does not fit into three seconds is said, and does not count as missed.
            assert {"residual_current_rise", "temperature_rise"} <= set(account["kinds_not_planted"])
            assert account["alarms_missed"] == 0
            assert service.query("SELECT count() FROM telemetry") == [before]
