"""How ClickHouse stands a long history: bytes a report, the sink's speed, and an analyst's questions, by its length.

The first million is the simulated fleet's, through the sink. The rest are copies of it that the server makes: each
later in time, and every device with another one's values, so that no value is found again near by, which would
compress better than a fleet does.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from clickhouse_driver import Client

from benchmarks.machine import machine, versions
from benchmarks.processes import cpu_s
from benchmarks.workload import START_TS, arrived, records_of
from common.settings import Settings, host_port
from embedded.processes import running_clickhouse
from fleet import Fleet, FleetConfig
from schemas.records import Records
from schemas.topics import TELEMETRY
from sinks.clickhouse.rows import telemetry_block
from sinks.contract import Sink
from streams.storage import make_sink, run_migrations

ROWS: Final = (1_000_000, 10_000_000, 100_000_000)
DEVICES: Final = 3_000
PERIOD_S: Final = 20
SEED: Final = 13
NEW: Final = 200_000
"""Reports that the sink adds at every length, to see its speed."""
TOPIC_ID: Final = UUID(int=1)
TIMES: Final = 3
"""How often a question is asked; the middle counts."""
QUESTIONS: Final = {
    "one device, its last day": """
        SELECT * FROM telemetry_values
        WHERE device_id = '{device}' AND event_ts > (SELECT max(ingest_ts) FROM telemetry) - INTERVAL 1 DAY
    """,
    "one device, all its hours": """
        SELECT toStartOfHour(event_ts) AS hour, quantity, component, max(value) FROM telemetry_values
        WHERE device_id = '{device}' GROUP BY hour, quantity, component
    """,
    "latest values of one device": "SELECT * FROM latest_values WHERE device_id = '{device}'",
    "latest values of all": "SELECT * FROM latest_values",
    "reports a minute, all time": "SELECT * FROM reports_per_minute",
}
_ASK: Final = "SELECT count(), sum(cityHash64(*)) FROM ({question})"
"""All rows and columns of the answer are made, and none is sent."""
_COPY: Final = """
    INSERT INTO telemetry SELECT * REPLACE(
        transform(device_id, {devices}, {others}) AS device_id,
        event_ts + INTERVAL {seconds} SECOND AS event_ts,
        ingest_ts + INTERVAL {seconds} SECOND AS ingest_ts,
        offset + {offset} AS offset
    ) FROM (SELECT * FROM telemetry WHERE `offset` < {first})
"""


def run(rows: Sequence[int], say: Callable[[str], None], devices: int = DEVICES, new: int = NEW) -> dict[str, Any]:
    """Every length of history, each begun with the one before; one JSON object."""
    with tempfile.TemporaryDirectory(prefix="emberline-history-") as name:
        folder = Path(name)
        with running_clickhouse(folder / "clickhouse", folder / "clickhouse.log") as clickhouse:
            settings = Settings(clickhouse=clickhouse.address)
            run_migrations(settings)
            host, port = host_port(settings.clickhouse)
            sink = make_sink(settings)
            sink.stored_offsets(TELEMETRY.name, TOPIC_ID, [0])
            with Client(host, port, settings.clickhouse_database, send_receive_timeout=3_600) as client:
                history = _History(client, sink, devices, rows[0] + len(rows) * new, settings.insert_rows)
                cases = [_case(history, number, new, clickhouse.pid, say) for number in rows]
            sink.close()
    return {
        "benchmark": "history",
        "version": 1,
        "seed": SEED,
        "devices": devices,
        "period_s": PERIOD_S,
        "machine": machine(),
        "versions": versions(),
        "cases": cases,
    }


def _case(history: _History, rows: int, new: int, server: int, say: Callable[[str], None]) -> dict[str, Any]:
    history.grow(rows, say)
    count = history.count()
    case = {
        "rows": count,
        "bytes_per_report": round(history.bytes_on_disk() / count, 1),
        "question_ms": {name: round(history.asked_ms(sql)) for name, sql in QUESTIONS.items()},
    }
    chunks = history.chunks(new)
    used, began = cpu_s(server), time.perf_counter()
    added = sum(map(history.write, chunks))
    seconds, server_s = time.perf_counter() - began, cpu_s(server) - used
    case["sink_rows_per_second"] = round(added / seconds)
    case["server_cpu_us_per_row"] = round(server_s / added * 1e6, 2)
    say(str(case))
    return case


class _History:
    """The table `telemetry`, of one partition of one topic."""

    def __init__(self, client: Client, sink: Sink, devices: int, reports: int, insert_rows: int) -> None:
        self._client, self._sink, self._insert_rows = client, sink, insert_rows
        rate = devices / PERIOD_S
        self._seconds = reports / rate
        self._fleet = Fleet(
            FleetConfig(
                seed=SEED, devices=devices, rate=rate, seconds=self._seconds + 60, start_ts=START_TS, bad_records=0
            )
        )
        self._first = self._offset = 0
        self._ts = START_TS
        self._copies = 0
        self._devices: list[str] = []

    def grow(self, rows: int, say: Callable[[str], None]) -> None:
        """To at least so many rows."""
        if not self._first:
            for chunk in self.chunks(rows):
                self.write(chunk)
            self._first = self._offset
            self._devices = [name for (name,) in self._ask("SELECT DISTINCT device_id FROM telemetry ORDER BY 1")]
        copies = math.ceil(max(0, rows - self.count()) / self._first)
        for number in range(1, copies + 1):
            self._copies += 1
            turn = self._copies * 7 % len(self._devices)
            sql = _COPY.format(
                devices=self._devices,
                others=self._devices[turn:] + self._devices[:turn],
                seconds=round(self._copies * self._seconds),
                offset=self._offset,
                first=self._first,
            )
            self._ask(sql)
            self._offset += self._first
            if number % 10 == 0:
                say(f"  {self.count()} rows")
        self._ask("OPTIMIZE TABLE telemetry FINAL")

    def chunks(self, rows: int) -> list[Records]:
        """The next reports of the fleet, so many at least, each chunk an insert."""
        made = []
        while rows > 0:
            span_ms = math.ceil(min(self._insert_rows, rows) / self._fleet.config.rate * 1_000)
            sent = [arrived(one) for one in self._fleet.due(self._ts, self._ts + span_ms)]
            made.append(records_of(sent, self._offset))
            self._ts += span_ms
            self._offset += len(sent)
            rows -= len(sent)
        return made

    def write(self, chunk: Records) -> int:
        """Through the sink, from its records on; how many rows it made."""
        block = telemetry_block(chunk, TOPIC_ID)
        self._sink.write(block)
        return block.rows

    def count(self) -> int:
        """Rows there are."""
        return int(self._ask("SELECT count() FROM telemetry")[0][0])

    def bytes_on_disk(self) -> int:
        """All of the table, its projection and marks too."""
        where = "database = currentDatabase() AND table = 'telemetry' AND active"
        return int(self._ask(f"SELECT sum(bytes_on_disk) FROM system.parts WHERE {where}")[0][0])  # noqa: S608

    def asked_ms(self, sql: str) -> float:
        """How long a question takes."""
        device = self._devices[len(self._devices) // 2]
        return statistics.median(self._timed_ms(_ASK.format(question=sql.format(device=device))) for _ in range(TIMES))

    def _timed_ms(self, sql: str) -> float:
        began = time.perf_counter()
        self._ask(sql)
        return (time.perf_counter() - began) * 1_000

    def _ask(self, sql: str) -> Any:
        return self._client.execute(sql)
