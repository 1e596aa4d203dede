"""Response under a steady rate: from a report's scheduled time to its alarm on the topic, and to its row in ClickHouse.

The demo's run, on Apache Kafka and with more faults: an open loop, so a sender that falls behind, for whatever reason,
makes the response longer and not the load smaller.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from benchmarks.machine import machine, versions
from streams.demo import Live, demo_config, run_demo
from streams.settings import Settings

RATES: Final = (5_000, 10_000, 25_000, 50_000)
DEVICES: Final = 3_000
FAULTS_PER_KIND: Final = 40
"""Some 500 alarms: enough for a 99th percentile."""
SEED: Final = 5


def run(rates: Sequence[int], devices: int, seconds: float, faults: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Each rate in workers of its own; one JSON object."""
    return {
        "benchmark": "response",
        "version": 1,
        "seed": SEED,
        "devices": devices,
        "seconds": seconds,
        "machine": machine(),
        "versions": versions(),
        "cases": [_case(rate, devices, seconds, faults, say) for rate in rates],
    }


def _case(rate: int, devices: int, seconds: float, faults: int, say: Callable[[str], None]) -> dict[str, Any]:
    seen = Live()

    async def keep(live: Live) -> None:
        nonlocal seen
        seen = live

    with tempfile.TemporaryDirectory(prefix="emberline-response-") as folder:
        settings = replace(Settings.from_environment(), data_dir=folder)
        config = demo_config(seconds, devices, rate, SEED, faults)
        account = asyncio.run(run_demo(settings, config, lambda _: None, keep, kafka=1))
    say(
        f"{rate:>6} reports/s: alarm p50 {account.response_ms_p50:.0f} ms, p99 {account.response_ms_p99:.0f}, max "
        f"{account.response_ms_max:.0f}; ClickHouse p50 {account.clickhouse_visible_ms_p50:.0f} ms, p99 "
        f"{account.clickhouse_visible_ms_p99:.0f}; {'all right' if account.ok else 'NOT RIGHT'}"
    )
    return {
        "rate": rate,
        "responses": len(seen.responses_ms),
        "sender_behind_ms_max": seen.sent.behind_ms_max,
        **account.as_json(),
    }
