"""The race: every rival in turn, round after round, on one topic; ratios over the rounds."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import workload
from benchmarks.machine import Measured, machine, spread, versions
from benchmarks.peers.kafka_streams.build import java_version
from benchmarks.peers.race import RaceError, race
from benchmarks.peers.records import plain
from benchmarks.peers.rivals import RIVALS, Rival
from benchmarks.written import differences, written
from cli.output import Say
from embedded.manners import CannotStartError
from embedded.processes import running_kafka

FIGURES: Final = (
    "reports_per_cpu_second",
    "second_half_reports_per_cpu_second",
    "reports_per_second",
    "cpu_seconds",
    "seconds_to_committed",
)
SLOWEST: Final = 50.0
"""Reports a second; who is slower than that, and be it for a busy machine, is given up."""


def run(reports: int, rounds: int, devices: int, rivals: Sequence[Rival], say: Say) -> Measured:
    """Race the rivals that are installed; one JSON object."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new broker's first "not yet" is no news
    there = [rival for rival in rivals if rival.installed]
    with tempfile.TemporaryDirectory(prefix="emberline-peers-") as name:
        folder = Path(name)
        with running_kafka(folder / "kafka", folder / "kafka-logs", brokers=1) as kafka:
            result = asyncio.run(_races(kafka.bootstrap, folder, reports, rounds, devices, there, say))
            result["versions"] |= {"kafka": kafka.version, "java": java_version()}
    result["not_installed"] = [rival.name for rival in rivals if not rival.installed]
    return result


async def _races(
    kafka: str, folder: Path, reports: int, rounds: int, devices: int, rivals: Sequence[Rival], say: Say
) -> Measured:
    fleet = workload.fleet_of(reports, devices)
    partitions = [list(plain(records)) for records in workload.partitioned(fleet)]
    limits = workload.limits_file(folder)
    wanted, good = workload.wanted_of(partitions, limits), workload.good_reports(partitions)
    await workload.fill(kafka, partitions)
    records = sum(map(len, partitions))
    say(f"{records} records, {good} reports; {wanted.counts}, hash {wanted.hash}")
    done: list[dict[str, Measured]] = []
    for number in range(rounds):
        done.append({})
        for turn, rival in enumerate(rivals):
            group = f"peer-{number}-{turn}"
            (folder / group / "data").mkdir(parents=True)
            done[-1][rival.name] = await _one(rival, kafka, group, folder / group, limits, wanted, good)
            say(f"round {number + 1}  {rival.name:<22} {_told(done[-1][rival.name])}")
    return {
        "benchmark": "peers",
        "version": 3,
        "seed": workload.SEED,
        "devices": devices,
        "reports": good,
        "records": records,
        "partitions": workload.PARTITIONS,
        "wanted": {**wanted.counts, "hash": wanted.hash},
        "machine": machine(),
        "versions": versions(rival.package for rival in rivals if rival.package),
        "rounds": done,
        "summary": summary(done),
    }


async def _one(
    rival: Rival, kafka: str, group: str, folder: Path, limits: Path, wanted: workload.Wanted, reports: int
) -> Measured:
    try:
        ran = await race(rival, kafka, group, folder, limits, 30 + reports / SLOWEST)
    except (RaceError, CannotStartError) as error:
        return {"failed": str(error)}
    result: Measured = {
        "seconds_to_committed": round(ran.seconds, 3),
        "cpu_seconds": round(ran.cpu_seconds, 3),
        "reports_per_second": round(reports / ran.seconds),
        "reports_per_cpu_second": _rate(reports, ran.cpu_seconds),
        "second_half_reports_per_cpu_second": ran.half and _rate(reports * ran.half.left, ran.half.cpu_seconds),
        "peak_mb": round(ran.peak_mb, 1),
    }
    if not rival.detects:
        return result
    there = await written(kafka, rival.outputs(group))
    different = differences(there.found, wanted)
    return result | {
        "seconds_to_last_output": round((there.last_ms - ran.began.wall_ms) / 1_000, 3),
        **there.found.counts,
        "hash": there.found.hash,
        "repeated": there.records - sum(there.found.counts.values()),
        "equal": not different,
        "differences": different,
    }


def _rate(reports: float, cpu_seconds: float) -> int:
    """A second of CPU time, which is told to a hundredth: a client that only counts may seem to have used none."""
    return round(reports / max(cpu_seconds, 0.01))


def summary(rounds: Sequence[dict[str, Measured]]) -> dict[str, Measured]:
    """By rival: its figures, and how many times as much emberline did in the same round, over the rounds."""
    told: dict[str, Measured] = {}
    for name in rounds[0]:
        ran = [(one[name], one.get("emberline", {})) for one in rounds if "failed" not in one[name]]
        told[name] = {"rounds": len(ran)}
        for figure in FIGURES:
            told[name][figure] = spread([own[figure] for own, _ in ran if own.get(figure) is not None])
        for figure in ("reports_per_cpu_second", "reports_per_second"):
            ratios = [ours[figure] / own[figure] for own, ours in ran if figure in ours]
            told[name][f"emberline_{figure}_ratio"] = spread([round(ratio, 3) for ratio in ratios])
    return told


def _told(result: Measured) -> str:
    if "failed" in result:
        return str(result["failed"])
    equal = {True: "equal", False: f"DIFFERS {result.get('differences')}", None: ""}[result.get("equal")]
    return (
        f"{result['reports_per_cpu_second']:>8} reports/CPU s  {result['reports_per_second']:>8} reports/s  "
        f"{result['peak_mb']:>6.0f} MB  {equal}"
    )


def chosen(names: Sequence[str]) -> list[Rival]:
    """The rivals whose names begin with one of these; all where none is given."""
    return [rival for rival in RIVALS if not names or any(rival.name.startswith(name) for name in names)]


def all_equal(result: Measured) -> bool:
    """Whether every rival got to its end and found what it should, in every round."""
    ran = [one for of_round in result["rounds"] for one in of_round.values()]
    return all("failed" not in one and one.get("equal", True) for one in ran)
