"""The peers run the same rules as the twin, and the race tells who finds what."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings

from benchmarks import workload
from benchmarks.machine import spread
from benchmarks.peers.kafka_streams.build import HERE, can_build
from benchmarks.peers.latches import KINDS
from benchmarks.peers.records import Source, plain, read
from benchmarks.peers.rivals import BY_NAME, RIVALS, Rival
from benchmarks.peers.rules import PeerDevice, PeerDevices, key_of
from benchmarks.peers.run import all_equal, chosen, run, summary
from benchmarks.workload import SentRecord, arrived
from benchmarks.written import differences
from detectors.limits import LimitTable
from detectors.twin.oracle import Oracle, Record, Told
from embedded.kafka.jars import POM
from fleet import Fleet, FleetConfig
from fleet.bad import CASES
from schemas.events import Alarm, AlarmEvent
from tests.detectors.given_reports import T0, fleets
from tests.detectors.test_process_equals_twin import quick_limits
from tests.support.apache_kafka import kafka_for_tests, missing_tools, skip_but_in_ci

PROFILE = settings(
    max_examples=40, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    return quick_limits(tmp_path_factory.mktemp("limits"))


def by_peers(records: Sequence[SentRecord], limits: LimitTable, stored: bool = False, again: int = 0) -> Told:
    """What the peers' rules say; with `stored`, each device goes through its bytes after every report. The last `again`
    records come twice."""
    told, makes = Told(), PeerDevices(limits)
    devices: dict[str, PeerDevice] = {}
    numbered = list(enumerate(records))
    for offset, (ingest_ts, key, value) in numbered + numbered[len(numbered) - again :]:
        good, rejects = read(Source("telemetry", 0, offset, ingest_ts), key, value)
        told.rejects += [rejected(dict(reject.headers)) for reject in rejects]
        for index, report in good:
            name = key_of(report)
            device = devices.get(name) or makes.make(report)
            for event in device.take(report, offset, index, ingest_ts):
                if isinstance(event, Alarm):
                    told.alarms.append(event)
                else:
                    told.aggregates.append(event)
            devices[name] = makes.restored(device.dump()) if stored else device
    told.sort()
    return told


def rejected(headers: dict[str, bytes]) -> tuple[int, int, str]:
    offset, index = int(headers["emberline.source_offset"]), int(headers["emberline.source_index"])
    return offset, index, headers["emberline.reason"].decode()


def by_twin(records: Sequence[SentRecord], limits: LimitTable) -> Told:
    """What the twin says but device status, requests, charges and other kinds of alarm: no peer is asked for these."""
    oracle = Oracle(limits)
    for offset, (ingest_ts, key, value) in enumerate(records):
        oracle.feed(offset, ingest_ts, value, key)
    oracle.told.statuses.clear()
    oracle.told.requests.clear()
    oracle.told.sessions.clear()
    oracle.told.alarms = [alarm for alarm in oracle.told.alarms if alarm.kind in KINDS]
    return oracle.told


def simulated(seed: int) -> list[SentRecord]:
    """A fleet's plain records, with planted faults and every kind of bad record."""
    config = FleetConfig(
        seed=seed, devices=60, rate=24, seconds=150, share_late=0.1, share_repeated=0.05, bad_records=len(CASES)
    )
    return list(plain(map(arrived, Fleet(config).due(config.start_ts, config.end_ts))))


@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "stored after every report"])
def test_the_peers_rules_say_of_a_fleet_what_the_twin_says(limits: LimitTable, stored: bool) -> None:
    records = simulated(seed=1)
    told = by_peers(records, limits, stored)
    assert told == by_twin(records, limits)
    assert told.alarms
    assert told.aggregates
    assert len({reason for *_, reason in told.rejects}) >= 8


@PROFILE
@given(records=fleets())
def test_the_peers_rules_say_what_the_twin_says_of_rare_things(limits: LimitTable, records: list[Record]) -> None:
    given_to_peers = list(plain(SentRecord(ingest_ts, b"key", value or b"") for _, ingest_ts, value in records))
    assert by_peers(given_to_peers, limits, stored=True) == by_twin(given_to_peers, limits)


def coming_and_going(kind: str, pace_ms: int) -> list[SentRecord]:
    """A device whose values are over limits at times, for days; some come at once by a clock that hardly goes on. Its
    other probes are not always there, or hardly ever."""
    rng, ts, records = random.Random(pace_ms), T0, []
    odd_ms = [10, 10, 10, pace_ms // 3, 2 * pace_ms, 5 * pace_ms, 3_600_000, 90_000_000]
    restless = False
    for _ in range(1_200):
        ts += pace_ms if rng.random() < 0.9 else rng.choice(odd_ms)
        restless = rng.random() < 0.5 if rng.random() < 0.1 else restless
        current = rng.choice([20.0, 20.0, 40.0, 185.0, 210.0, 320.0, 700.0]) if restless else 20.0
        temperature = rng.choice([30.0, 33.0, 52.0, 61.0, 72.0, 85.5]) if restless else 30.0
        one = {"v": 1, "device_id": f"{kind}-{pace_ms}", "device_kind": kind, "event_ts": ts}
        seldom = [
            rng.choice([30.0, *7 * [85.5]]) if rng.random() < share else -200.0 for share in (0.3, 0.3, 0.01, 0.01)
        ]
        values = {"residual_current_ma": [current], "temperature_c": [temperature, *seldom]}
        records.append(SentRecord(ts + rng.choice([200, 300]), b"D", orjson.dumps(one | values)))
    return records


def test_the_peers_rules_say_of_all_that_becomes_of_an_alarm_what_the_twin_says(limits: LimitTable) -> None:
    devices = product(["electrical_monitor", "charging_pile"], [1_000, 7_000, 30_000, 600_000])
    records = [record for kind, pace_ms in devices for record in coming_and_going(kind, pace_ms)]
    told = by_peers(records, limits, stored=True)
    assert told == by_twin(records, limits)
    never = {AlarmEvent.AMENDED, AlarmEvent.RESET, AlarmEvent.CLOSED}
    assert {alarm.event for alarm in told.alarms} == {*AlarmEvent} - never
    assert max(alarm.repeats_untold for alarm in told.alarms) > 0


def test_records_that_come_again_change_nothing(limits: LimitTable) -> None:
    records = simulated(seed=3)
    again, once = by_peers(records, limits, again=300), by_peers(records, limits)
    assert again.alarms == once.alarms
    assert again.aggregates == once.aggregates


def test_what_is_left_out_for_the_peers_is_what_is_odd_late_or_a_repeat() -> None:
    def sent(ts: int, **fields: Any) -> SentRecord:
        report = {"v": 1, "device_id": "D", "device_kind": "electrical_monitor", "event_ts": ts} | fields
        return SentRecord(1_790_000_000_000, b"D", orjson.dumps(report))

    first, second = sent(1_789_999_990_000), sent(1_789_999_991_000, residual_current_ma=[20.0])
    odd = [
        sent(740),
        sent(1_789_999_995_000, residual_current_ma=[-0.1]),
        sent(1_789_999_996_000, temperature_c=[None]),
    ]
    rejected = sent(0, v=2)
    assert list(plain([first, second, first, second, *odd, rejected])) == [first, second, rejected]


def test_what_a_rival_did_not_find_is_told() -> None:
    wanted = workload.Wanted(frozenset({b"one", b"two"}), frozenset(), frozenset({(0, 1, -1, "not_json")}))
    found = workload.Wanted(frozenset({b"two", b"three"}), frozenset(), wanted.rejects)
    assert not differences(wanted, wanted)
    assert found.hash != wanted.hash
    (difference,) = differences(found, wanted)
    assert "alarms: 1 too much" in difference
    assert "1 missing" in difference


def test_ratios_are_of_rivals_in_one_round_and_leave_out_who_failed() -> None:
    def ran(rate: int) -> dict[str, Any]:
        return {
            "reports_per_cpu_second": rate,
            "reports_per_second": rate,
            "cpu_seconds": 1.0,
            "seconds_to_committed": 1.0,
        }

    rounds: list[dict[str, dict[str, Any]]] = [
        {"emberline": ran(40), "peer": ran(10)},
        {"emberline": ran(60), "peer": ran(30)},
        {"emberline": ran(50), "peer": {"failed": "it ended"}},
    ]
    told = summary(rounds)["peer"]
    assert told["rounds"] == 2
    assert told["emberline_reports_per_cpu_second_ratio"] == {"min": 2.0, "median": 3.0, "max": 4.0}
    assert spread([]) is None
    assert not all_equal({"rounds": rounds})


def test_a_run_of_every_kind_of_rival_finds_what_the_twin_says() -> None:
    rivals = [BY_NAME[name] for name in ("emberline", "faust", "quix", "bytewax", "ceiling: parse")]
    absent = Rival("absent", "benchmarks.peers.absent", "a package that nobody has")
    said: list[str] = []
    with kafka_for_tests():
        result = run(reports=2_000, rounds=1, devices=100, rivals=[*rivals, absent], say=said.append)
    assert all_equal(result), said
    (ran,) = result["rounds"]
    assert {name: one.get("hash", result["wanted"]["hash"]) for name, one in ran.items()} == dict.fromkeys(
        (rival.name for rival in rivals if rival.installed), result["wanted"]["hash"]
    )
    assert result["not_installed"] == [rival.name for rival in (*rivals, absent) if not rival.installed]
    assert min(result["wanted"]["alarms"], result["wanted"]["aggregates"], result["wanted"]["rejects"]) > 0


@pytest.fixture
def javac() -> None:
    """What the one in Java needs beside Kafka."""
    if missing_tools() is None and not can_build():
        skip_but_in_ci("the peer on Kafka Streams needs javac, and this machine has only a Java to run things")


@pytest.mark.usefixtures("javac")
def test_kafka_streams_with_its_state_and_without_finds_what_the_twin_says() -> None:
    rivals = chosen(["kafka streams"])
    said: list[str] = []
    with kafka_for_tests():
        result = run(reports=2_000, rounds=1, devices=100, rivals=rivals, say=said.append)
    assert all_equal(result), said
    assert not result["not_installed"]
    (ran,) = result["rounds"]
    assert {one["hash"] for one in ran.values()} == {result["wanted"]["hash"]}
    assert set(ran) == {"kafka streams", "kafka streams, no state"}


def test_without_java_kafka_streams_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert not BY_NAME["kafka streams"].installed


def test_kafka_streams_is_of_the_brokers_version() -> None:
    poms = POM, HERE / "pom.xml"
    versions = [re.findall("<kafka.version>(.+)</kafka.version>", pom.read_text(encoding="utf-8")) for pom in poms]
    assert versions[0] == versions[1]


def test_every_rival_that_keeps_state_may_also_race_without() -> None:
    with_state = {rival.name for rival in RIVALS if rival.detects and not rival.is_emberline and "," not in rival.name}
    assert {f"{name}, no state" for name in with_state} <= BY_NAME.keys()
