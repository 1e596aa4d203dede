"""Response under a steady rate: from a report's scheduled time to its alarm on the topic, and to its row in ClickHouse.

The demo's run, on Apache Kafka and with more faults: an open loop, so a sender that falls behind, for whatever reason,
makes the response longer and not the load smaller.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import machine, versions
from benchmarks.workload import hash_of
from cli.demo.account import Live, Meanwhile, demo_config, nothing_else, run_demo
from cli.stack import Stack, running_worker
from common.settings import Settings

RATES: Final = (5_000, 5_000, 5_000, 10_000, 25_000, 50_000)
"""The lowest, which the aims are of, three times: on a shared machine a stall of half a second decides a percentile."""
DEVICES: Final = 3_000
FAULTS_PER_KIND: Final = 40
"""Some 500 alarms: enough for a 99th percentile."""
SEED: Final = 5
BEFORE_S: Final = 20.0
AWAY_S: Final = 15.0


async def _clickhouse_away(stack: Stack) -> None:
    """ClickHouse answers nothing for a while: alarms do not wait for it."""
    (clickhouse,) = (server for server in stack.servers if server.name == "ClickHouse")
    await asyncio.sleep(BEFORE_S)
    for number, seconds in ((signal.SIGSTOP, AWAY_S), (signal.SIGCONT, 0.0)):
        for pid in clickhouse.pids:
            os.kill(pid, number)
        await asyncio.sleep(seconds)


async def _worker_dies(stack: Stack) -> None:
    """A second detect worker takes half of the partitions, then is killed; the first takes them over."""
    await _second_dies(stack.settings)


async def _worker_restarts(stack: Stack) -> None:
    """The same, but a supervisor starts it again at once, under the name that it has in the group."""
    settings = replace(stack.settings, group_instance="second")
    await _second_dies(settings)
    with running_worker("detect", settings, _second_log(settings)):
        await asyncio.Event().wait()


async def _second_dies(settings: Settings) -> None:
    with running_worker("detect", settings, _second_log(settings)) as second:
        await asyncio.sleep(BEFORE_S)
        second.process.kill()


def _second_log(settings: Settings) -> Path:
    return Path(settings.data_dir) / "logs" / "second.log"


INCIDENTS: Final[dict[str, Meanwhile]] = {
    "none": nothing_else,
    "ClickHouse away": _clickhouse_away,
    "a detect worker dies": _worker_dies,
    "a detect worker dies and is started again": _worker_restarts,
}


def run(
    rates: Sequence[int],
    devices: int,
    seconds: float,
    faults: int,
    say: Callable[[str], None],
    incidents: Sequence[str] = tuple(INCIDENTS),
) -> dict[str, Any]:
    """Each rate in workers of its own, and the incidents at the first of them; one JSON object."""
    for name in ("aiokafka", "clickhouse_driver"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # that ClickHouse stands still is no news
    cases = [(rate, "none") for rate in rates] + [(rates[0], name) for name in incidents if name != "none"]
    held = [_case(rate, incident, devices, seconds, faults, say) for rate, incident in cases]
    return {
        "benchmark": "response",
        "version": 3,
        "seed": SEED,
        "devices": devices,
        "seconds": seconds,
        "machine": machine(),
        "versions": versions(),
        "cases": held,
    }


def _case(
    rate: int, incident: str, devices: int, seconds: float, faults: int, say: Callable[[str], None]
) -> dict[str, Any]:
    seen = Live()

    async def keep(live: Live) -> None:
        nonlocal seen
        seen = live

    with tempfile.TemporaryDirectory(prefix="emberline-response-") as folder:
        settings = replace(Settings.from_environment(), data_dir=folder)
        config = demo_config(seconds, devices, rate, SEED, faults)
        account = asyncio.run(run_demo(settings, config, lambda _: None, keep, 1, INCIDENTS[incident]))
    say(
        f"{rate:>6} reports/s, {incident}: alarm p50 {account.response_ms_p50:.0f} ms, p99 "
        f"{account.response_ms_p99:.0f}, max {account.response_ms_max:.0f}; ClickHouse p50 "
        f"{account.clickhouse_visible_ms_p50:.0f} ms, p99 {account.clickhouse_visible_ms_p99:.0f}; "
        f"{'all right' if account.ok else 'NOT RIGHT'}"
    )
    return {
        "rate": rate,
        "incident": incident,
        "responses": len(seen.responses_ms),
        "rows_sampled": len(seen.visible_ms),
        "hash": hash_of_alarms(seen.alarms),
        "sender_behind_ms_max": seen.sent.behind_ms_max,
        **account.as_json(),
    }


def hash_of_alarms(alarms: Mapping[tuple[str, int, str], int]) -> str:
    """Of the highest severity of each alarm, by device, component and kind; when it was raised is left out."""
    found = sorted(f"{device} {component} {kind} {severity}" for (device, component, kind), severity in alarms.items())
    return hash_of(map(str.encode, found))
