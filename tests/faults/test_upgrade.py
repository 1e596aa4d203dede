"""Rolling upgrades under load: from the release before, and to one that takes other records, and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson
import pytest
from clickhouse_driver import Client

from common.settings import host_port
from schemas.topics import TELEMETRY
from tests.faults.arena import PARTITIONS, Arena
from tests.faults.conftest import Open
from tests.faults.crew import CommandLine, product
from tests.faults.releases import BEFORE, release_after, release_before
from tests.support.kafka_outside import Kafka, ProducerRecord

SEED: Final = 44


@pytest.fixture
def before(tmp_path: Path) -> CommandLine:
    command = release_before(tmp_path)
    if command is None:
        pytest.skip(f"the history of this checkout does not reach back to {BEFORE}")
    return command


def test_an_upgrade_under_load_sinks_first_loses_nothing_and_repeats_nothing(arena: Open, before: CommandLine) -> None:
    # The release before takes control records for bad reports: keys come once it is gone.
    with arena(detect=2, sink=2, command=before, control_keys_file="") as ring, ring.load(SEED) as load:
        ring.live()
        ring.crew.roll_out(ring.crew.sink)
        ring.live()
        ring.crew.roll_out(ring.crew.detect)
        ring.live()
        verdict = ring.judge(load)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
    assert verdict.counts["alarms"] > 0


LONG: Final = "L" * 80
"""A device id that this release rejects and the one after takes."""
SENDS: Final = 5


def _report(device_id: str) -> ProducerRecord:
    fields = {"v": 1, "device_id": device_id, "device_kind": "electrical_monitor", "residual_current_ma": [20.0]}
    return ProducerRecord(PARTITIONS - 1, device_id.encode(), orjson.dumps(fields))


class _Disputed:
    """Reports of which the releases say different things, to the last partition, which is not judged."""

    def __init__(self, ring: Arena) -> None:
        self._ring = ring
        self.sent: list[range] = []

    def send(self) -> None:
        """A few, and one that nobody disputes: sinks that come next do not go back over what has no rows."""
        with Kafka(self._ring.settings.kafka, PARTITIONS) as kafka:
            begin = kafka.ends(TELEMETRY.name)[-1]
            kafka.send([_report(LONG)] * SENDS + [_report("short")])
        self.sent.append(range(begin, begin + SENDS))

    def found(self) -> list[tuple[int, int]]:
        """How many rows, and how many rejects, there are of the reports of each stage."""
        settings, (host, port) = self._ring.settings, host_port(self._ring.clickhouse.address)
        told = "SELECT count() FROM {} WHERE `partition` = {} AND {} BETWEEN {} AND {}"
        with Client(host, port, settings.clickhouse_database, password=settings.clickhouse_password) as client:

            def count(table: str, column: str, stage: range) -> int:
                ((rows,),) = client.execute(told.format(table, PARTITIONS - 1, column, stage[0], stage[-1]))
                return int(rows)

            return [
                (count("telemetry", "`offset`", stage), count("rejects", "source_offset", stage)) for stage in self.sent
            ]


def test_an_upgrade_to_a_release_that_takes_other_records_and_a_roll_back_lose_and_repeat_nothing(
    arena: Open, tmp_path: Path
) -> None:
    after = release_after(tmp_path)
    with arena(detect=2, sink=2) as ring:
        ring.settings = replace(ring.settings, partitions=PARTITIONS - 1)
        disputed, crew = _Disputed(ring), ring.crew
        with ring.load(SEED) as load:
            for posts, command in (
                (crew.sink, product),
                (crew.sink, after),
                (crew.detect, after),
                (crew.detect, product),
                (crew.sink, product),
            ):
                crew.roll_out(posts, command)
                disputed.send()
                # What detect workers have taken is stored before sinks come that do not take it.
                ring.live()
                ring.stored()
            verdict = ring.judge(load, widened=True)
        found = disputed.found()
        said = "".join(post.said for post in crew.detect)
    assert verdict.complaints == []
    assert ring.crew.gave_up == []
    assert "dropped row.certified_ts" in said
    rejected, both, taken = (0, SENDS), (SENDS, SENDS), (SENDS, 0)
    assert found == [rejected, both, taken, both, rejected]
