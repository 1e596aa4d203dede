"""Runs say what the rules say of the same hours, once, whatever happens between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pytest
from msgspec import structs

from cli.hourly import run as run_module
from cli.hourly.command import alone, every
from cli.hourly.learned import KeptSlices
from cli.hourly.run import HourlyJob, RunSummary, run_once
from cli.hourly.slices import AREA_MOST, RegisteredPlace, sliced
from cli.hourly.storage import insert
from common.errors import OperatorError
from common.settings import Settings
from common.times import now_ms
from early_warning.advance import CURRENT, HourlyValues, RelearnOrder
from early_warning.parameters import load_parameters
from early_warning.risk import load_risk
from early_warning.table import LEAKAGE, TEMPERATURE
from embedded.processes import Running
from schemas.commands import Command, CommandKind
from schemas.notices import Notice
from schemas.registry import DeviceEntry
from schemas.topics import NOTICES
from sinks.clickhouse.service import Service
from streams.topics import make_topics
from tests.cli.hourly.given import register, store_hours
from tests.cli.stacks import started
from tests.early_warning.given_hours import FIRST, hours_of, neighbour, told
from tests.support.kafka_outside import Kafka
from tests.support.platform import PARTITIONS
from tests.support.processes import environment_of
from tests.support.processes import run as run_command

DEVICES: Final = tuple("ABCDEF")
HOURS: Final = 10 * 24
HOUR_MS: Final = 3_600_000
ENTRIES: Final = [neighbour(name) for name in DEVICES]


def given_values() -> dict[str, HourlyValues]:
    """Six devices, A with a step of its leakage after eight days, B with a cable that gets warm after nine."""
    rng = np.random.default_rng(7)
    made = {}
    for quantity, parts, base in ((LEAKAGE, 1, 40.0), (TEMPERATURE, 2, 30.0), (CURRENT, 2, 10.0)):
        values = base * (1 + 0.05 * rng.standard_normal((len(DEVICES), parts, HOURS)))
        values[rng.random(values.shape) < 0.05] = np.nan
        values[0, :, 8 * 24 :] += 60
        values[1, 0, 9 * 24 :] += 30
        # What a column of Float32 holds.
        made[quantity] = hours_of(dict(zip(DEVICES, np.round(values * 8) / 8, strict=True)))
    return made


ALL: Final = given_values()


def cut(begin: int, end: int) -> dict[str, HourlyValues]:
    return {name: HourlyValues(v.keys, v.value[:, begin:end], v.counts[:, begin:end]) for name, v in ALL.items()}


@cache
def expected(end: int = HOURS, orders: tuple[RelearnOrder, ...] = ()) -> Sequence[Notice]:
    """What the rules say of the first hours, by the rules alone."""
    return told(cut(0, end), orders, ENTRIES)


@pytest.fixture(scope="module")
def outside(broker: Running, database: Settings) -> Iterator[Kafka]:
    """The broker that notices are told to, with emberline's topics."""
    asyncio.run(make_topics(replace(database, kafka=broker.address)))
    with Kafka(broker.address, PARTITIONS) as kafka:
        yield kafka


class Runs:
    """Runs as a test needs them, and what has been told since it began."""

    def __init__(self, settings: Settings, service: Service, outside: Kafka) -> None:
        self.settings, self.service, self._outside = settings, service, outside
        self._begin = [len(records) for records in outside.read(NOTICES.name)]
        self._stored = 0

    def store(self, end: int) -> None:
        """Store hours up to there, behind those that are."""
        store_hours(self.service, ALL, FIRST, self._stored, end)
        self._stored = end

    def run(self, **changed: Any) -> RunSummary:
        """One run, as soon as the hours have closed that are stored."""
        job = HourlyJob(self.settings, load_parameters(), load_risk(), settle_ms=0)
        return run_once(self.service, replace(job, **changed), (FIRST + self._stored) * HOUR_MS)

    def told(self) -> list[Notice]:
        """What has been told, in the order of the rules."""
        read = zip(self._outside.read(NOTICES.name), self._begin, strict=True)
        found = [(record.key, Notice.from_json(record.value)) for records, begin in read for record in records[begin:]]
        assert all(key.decode() == notice.device_id for key, notice in found)
        return in_order(notice for _, notice in found)


def in_order(notices: Any) -> list[Notice]:
    return sorted(notices, key=lambda one: (one.hour_ts, one.device_id, one.quantity, one.component, one.rule))


@pytest.fixture
def runs(database: Settings, broker: Running, service: Service, outside: Kafka) -> Runs:
    register(service, ENTRIES)
    return Runs(replace(database, kafka=broker.address), service, outside)


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Something to die of, for as long as the block lasts."""
    with monkeypatch.context() as patched:
        yield patched


def die(*_: Any) -> None:
    raise KeyboardInterrupt


def test_there_is_something_to_tell() -> None:
    assert {one.device_id for one in expected()} == {"A", "B"}


def test_runs_tell_what_the_rules_say_each_once(runs: Runs) -> None:
    # Cut where something was just told, and elsewhere.
    for end in (100, 8 * 24 + 7, 8 * 24 + 14, 8 * 24 + 15, 9 * 24 + 1, HOURS):
        runs.store(end)
        summary = runs.run()
        assert runs.run().notices == 0
    assert runs.told() == in_order(expected())
    # What is learned is stored once for each hour that is made, and not for a run that finds nothing new.
    assert runs.service.query("SELECT max(version) FROM learned_state") == [(6,)]
    assert (summary.devices, summary.components) == (6, 18)
    assert runs.service.query("SELECT count() FROM learned_state FINAL") == [(1,)]
    assert runs.service.query("SELECT count(), uniqExact(device_id) FROM risk_components") == [(18, 6)]
    # What was told of it stands, so its risk shows it.
    worst = "SELECT device_id FROM risk_components WHERE trend > 0 ORDER BY `index` LIMIT 1"
    assert runs.service.query(worst) == [("A",)]
    assert runs.service.query("SELECT unit_id, components FROM risk_units") == [("U1", 18)]


def test_a_run_that_dies_after_it_has_told_says_the_same_again_under_the_same_ids(
    runs: Runs, dying: pytest.MonkeyPatch
) -> None:
    runs.store(9 * 24 + 1)
    dying.setattr(KeptSlices, "save", die)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            runs.run()
    dying.undo()
    runs.run()
    once = in_order(expected(9 * 24 + 1))
    assert once
    assert runs.told() == in_order([*once, *once, *once])
    runs.store(HOURS)
    runs.run()
    assert {one.notice_id for one in runs.told()} == {one.notice_id for one in expected()}


def test_a_run_that_dies_before_it_tells_loses_nothing(runs: Runs, dying: pytest.MonkeyPatch) -> None:
    runs.store(9 * 24 + 1)
    dying.setattr(run_module, "publish", die)
    with pytest.raises(KeyboardInterrupt):
        runs.run()
    assert runs.told() == []
    dying.undo()
    runs.store(HOURS)
    runs.run()
    assert runs.told() == in_order(expected())


def test_a_dry_run_tells_and_keeps_nothing(runs: Runs) -> None:
    runs.store(HOURS)
    heard: list[Notice] = []
    summary = runs.run(is_dry=True, told=heard.append)
    assert in_order(heard) == in_order(expected())
    assert summary.by_rule == {rule: sum(one.rule == rule for one in heard) for rule in {one.rule for one in heard}}
    assert runs.told() == []
    for table in ("learned_state", "risk_component_ratings", "risk_group_ratings"):
        assert runs.service.query(f"SELECT count() FROM {table}") == [(0,)]  # noqa: S608


def test_hours_of_tests_teach_nothing(runs: Runs) -> None:
    runs.store(200)
    store_hours(runs.service, {LEAKAGE: hours_of({"T": [np.full(HOURS, 40.0)]})}, FIRST, 0, 200, test=True)
    assert runs.run().components == 18


def test_what_comes_late_is_taken_where_nothing_newer_has_been(runs: Runs) -> None:
    late = {name: HourlyValues(v.keys, v.value.copy(), v.counts) for name, v in ALL.items()}
    of_a = {name: [row for row, key in enumerate(v.keys) if key.device_id == "A"] for name, v in ALL.items()}
    for name, of in late.items():
        of.value[of_a[name], 150:] = np.nan
    store_hours(runs.service, late, FIRST, 0, HOURS)
    runs._stored = HOURS
    runs.run()
    assert {one.device_id for one in runs.told()} == {"B"}
    only = {
        name: HourlyValues([v.keys[row] for row in of_a[name]], v.value[of_a[name]], v.counts[of_a[name]])
        for name, v in ALL.items()
    }
    store_hours(runs.service, only, FIRST, 150, HOURS)
    runs.run()
    assert {one.device_id for one in runs.told()} == {"A", "B"}
    # What was taken is not taken again, though it is made again.
    store_hours(runs.service, ALL, FIRST, 0, HOURS)
    assert runs.run().notices == 0


def test_what_people_accept_is_learned_anew(runs: Runs) -> None:
    at = FIRST + 9 * 24
    for kind, outcome, test in (
        ("accept_rise", "applied", False),
        ("replace", "refused", False),
        ("replace", "applied", True),
    ):
        command = Command(1, CommandKind(kind), "A", "李工", "x", at * HOUR_MS)
        body = command.to_json().decode()
        row = {
            "kind": kind,
            "device_id": "A",
            "outcome": outcome,
            "test": test,
            "body": body,
            "ingest_ts": at * HOUR_MS,
        }
        insert(runs.service, "control_records", {name: [value] for name, value in row.items()})
    runs.store(HOURS)
    runs.run()
    accepted = expected(orders=(RelearnOrder(at, "accept_rise", "A"),))
    assert runs.told() == in_order(accepted)
    # The state shows it even where nothing else is told.
    (learned,) = [KeptSlices(runs.service).load(number, of) for number, of in sliced(DEVICES, PLACES).items()]
    state = learned.states[LEAKAGE]
    assert state.fields["anew_hour"][[key.device_id for key in state.keys].index("A")] == at


PLACES: Final = {entry.device_id: RegisteredPlace(entry.area, entry.unit_id) for entry in ENTRIES}


def moved(entry: DeviceEntry) -> DeviceEntry:
    return structs.replace(entry, unit_id="U-other", area="350481")


def test_a_device_that_changes_its_slice_takes_along_what_is_learned(runs: Runs, dying: pytest.MonkeyPatch) -> None:
    entries = [moved(entry) for entry in ENTRIES]
    where = {entry.device_id: RegisteredPlace(entry.area, entry.unit_id) for entry in entries}
    assert sliced(DEVICES, PLACES).keys() != sliced(DEVICES, where).keys()
    runs.store(8 * 24)
    runs.run()
    register(runs.service, entries, number=2)
    runs.store(HOURS)
    dying.setattr(KeptSlices, "save", die)
    with pytest.raises(KeyboardInterrupt):
        runs.run()
    dying.undo()
    runs.run()
    assert {one.notice_id for one in runs.told()} == {one.notice_id for one in expected()}
    assert runs.run().notices == 0


def test_what_is_learned_is_whole_or_refused(runs: Runs) -> None:
    runs.store(100)
    runs.run()
    runs.service.query(
        "INSERT INTO learned_state SELECT * REPLACE (version + 1 AS version, arrayMap(one -> substring(one, 2), states)"
        " AS states) FROM learned_state"
    )
    with pytest.raises(
        OperatorError, match=r"is damaged, in slice \d+ .* ALTER TABLE learned_state DELETE WHERE slice"
    ):
        runs.run()


def test_of_two_runs_at_once_one_is_refused_and_learns_nothing(runs: Runs) -> None:
    runs.store(100)
    runs.run()
    ((number, of),) = sliced(DEVICES, PLACES).items()
    one, other = KeptSlices(runs.service), KeptSlices(runs.service)
    mine, others = one.load(number, of), other.load(number, of)
    other.save(others, of, 7, FIRST + 100)
    with pytest.raises(OperatorError, match="another run of `emberline hourly`"):
        one.save(mine, of, 8, FIRST + 100)
    assert runs.service.query("SELECT max(version), argMax(hours_made, version) FROM learned_state") == [(2, 7)]


def test_an_area_stays_together_unless_it_is_large() -> None:
    small = {f"A{n}": RegisteredPlace("350481001002", f"U{n}") for n in range(AREA_MOST)}
    assert len(sliced(small, small)) == 1
    large = small | {f"B{n}": RegisteredPlace("350481001002", f"U{n}") for n in range(AREA_MOST)}
    parts = sliced(large, large)
    assert len(parts) == 2
    assert sorted(device for of in parts.values() for device in of) == sorted(large)
    # A unit is never divided.
    assert all({f"B{device[1:]}" for device in of if device[0] == "A"} <= {*of} for of in parts.values())


def test_a_device_that_is_not_registered_is_taken_by_itself() -> None:
    found = sliced([f"N{n}" for n in range(500)], {})
    assert sorted(device for of in found.values() for device in of) == sorted(f"N{n}" for n in range(500))
    assert len(found) > 50


def test_one_run_at_a_time_and_a_dead_one_blocks_none(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "new"))
    second = alone(settings)
    with alone(settings), pytest.raises(OperatorError, match="another run of `emberline hourly` is under way"):
        second.__enter__()
    with alone(settings):
        assert (tmp_path / "new" / "hourly.lock").exists()


def test_every_hour_that_closes_is_run_once() -> None:
    now, ran = FIRST * HOUR_MS + 1_000, list[int]()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += round(seconds * 1_000) * 60
        if now > (FIRST + 4) * HOUR_MS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        every(ran.append, 600_000, lambda: now, sleep)
    assert [(at - 600_000) // HOUR_MS - FIRST for at in ran] == [-1, 0, 1, 2, 3]


def test_the_command_says_what_it_told(runs: Runs, tmp_path: Path) -> None:
    first = now_ms() // HOUR_MS - HOURS - 1
    store_hours(runs.service, ALL, first, 0, HOURS)
    settings = replace(runs.settings, data_dir=str(tmp_path))
    ended = run_command("hourly", "--json", settings=settings)
    assert ended.status == 0, ended.err
    *told_lines, summary = map(orjson.loads, ended.out.splitlines())
    ids = [one.notice_id for one in told(ALL, registered=ENTRIES, first=first)]
    assert ids
    assert [line["value"]["notice_id"] for line in told_lines] == ids
    assert summary["summary"]["notices"] == len(ids)
    assert {one.notice_id for one in runs.told()} == {*ids}
    with alone(settings):
        second = run_command("hourly", settings=settings)
    assert (second.status, "another run" in second.err) == (1, True)


def test_it_runs_for_every_hour_until_it_is_told_to_end(runs: Runs, tmp_path: Path) -> None:
    settings = replace(runs.settings, data_dir=str(tmp_path))
    with started(["hourly", "--every"], environment_of(settings)) as process:
        assert process.stdout is not None
        assert "提示 0" in process.stdout.readline().decode()
        process.terminate()
        assert process.wait(60) == 0
