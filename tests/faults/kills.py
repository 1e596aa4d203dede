"""Scenario 1 at any length: workers killed at seeded random moments under load, then the verdict.

    python -m tests.faults.kills --kills 200 --seed 1

With `--changes` the system is changed meanwhile (`tests.faults.changes`): it begins with workers of the release before,
which are upgraded one by one; limits change three times; ClickHouse is restored from a backup; topics are widened.

Kills come faster than recoveries, so that they hit workers that start, join, restore and catch up as well as those that
work. Every `MEASURED_EVERY`th is left alone until processing is live again, and its recovery is measured: until detect
has committed everything that had arrived by the time somebody first looked after the kill.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.arena import Arena, running_arena, running_servers
from tests.faults.changes import Changes
from tests.faults.crew import Post, product
from tests.faults.releases import BEFORE, release_before
from tests.faults.verdict import ORDER_KINDS, Verdict
from tests.support.apache_kafka import QUICK_JVM, missing_tools

APART_S: Final = (0.5, 5.0)
"""Between two kills: less than a restart takes, to more than a session and a rebalance."""
MEASURED_EVERY: Final = 10
RECOVERED_S: Final = 15.0
"""From SIGKILL to live processing at 3000 devices."""


class Kill(NamedTuple):
    """One kill, and how long recovery took where it was measured."""

    at: float
    name: str
    pid: int
    phase: str
    recovery_s: float | None

    def told(self, begin: float) -> str:
        """One line."""
        measured = "" if self.recovery_s is None else f", recovered in {self.recovery_s:.1f} s"
        return f"{self.at - begin:7.1f} s  {self.name:<9} pid {self.pid:<7} {self.phase}{measured}"


@dataclass(slots=True)
class Course:
    """What happened."""

    seed: int
    begin: float
    kills: list[Kill] = field(default_factory=list)
    clickhouse_restarts: int = 0

    @property
    def recoveries_s(self) -> list[float]:
        """All that were measured."""
        return [kill.recovery_s for kill in self.kills if kill.recovery_s is not None]


def kill_at_random(
    ring: Arena,
    seed: int,
    kills: int,
    enough: Callable[[], bool] = lambda: False,
    tell: Callable[[str], object] = lambda _: None,
    change: Callable[[int], Sequence[str]] = lambda _: (),
) -> Course:
    """Kill so many workers, one after the other; fewer if `enough` says so before. `change` is called before each."""
    rng = random.Random(seed)
    course = Course(seed, time.monotonic())
    for number in range(1, kills + 1):
        if enough():
            break
        for changed in change(number):
            tell(f"     {time.monotonic() - course.begin:7.1f} s  {changed}")
        if number % MEASURED_EVERY == 0:
            kill = _measured(ring, rng.choice(ring.crew.detect))
        else:
            ring.wait(rng.uniform(*APART_S))
            kill = _killed(ring.crew.any(rng))
        course.kills.append(kill)
        course.clickhouse_restarts += ring.clickhouse.keep_up()
        tell(f"{number:4} {kill.told(course.begin)}")
    return course


def _killed(post: Post) -> Kill:
    phase = _phase(post)
    pid = post.process.pid
    post.kill()
    return Kill(time.monotonic(), post.name, pid, phase, None)


def _measured(ring: Arena, post: Post) -> Kill:
    """A kill in quiet: nothing else is broken from before it until processing is live again, if it is in time."""
    ring.crew.wait_ready()
    ring.live()
    kill = _killed(post)
    try:
        return kill._replace(recovery_s=ring.live().at - kill.at)
    except AssertionError:
        # The verdict tells of it, and of all the rest.
        return kill._replace(recovery_s=math.inf)


def _phase(post: Post) -> str:
    """What the worker was about, as far as it says so."""
    status, text = post.worker.ask("/readyz")
    return {0: "starting", 200: "working"}.get(status, text.removeprefix("not ready: ").strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it for the record; the exit status is 0 if everything held."""
    options = _parser().parse_args(arguments)
    if reason := missing_tools():
        print(reason, file=sys.stderr)
        return 2
    os.environ.setdefault(*QUICK_JVM)
    # That ClickHouse is away while it is restored is no news.
    logging.basicConfig(level=logging.ERROR)
    tell = (lambda _: None) if options.json else lambda text: print(text, flush=True)
    with tempfile.TemporaryDirectory(prefix="emberline-kills-") as folder:
        outcome = _run(options, Path(folder), tell)
    if options.json:
        print(json.dumps(outcome, indent=2))
    return 1 if outcome["complaints"] else 0


def _run(options: argparse.Namespace, folder: Path, tell: Callable[[str], object]) -> dict[str, Any]:
    tell(f"seed {options.seed}, {options.kills} kills, {4 * options.devices} devices, {options.rate:g} reports/s")
    before = release_before(folder) if options.changes else None
    if options.changes and before is None:
        tell(f"no upgrade: the history of this checkout does not reach back to {BEFORE}")
    shape = {"devices": options.devices, "rate": options.rate}
    # The release before takes control records for bad reports: nothing is ordered where it runs.
    keys: dict[str, Any] = {} if before is None else {"control_keys_file": ""}
    with (
        running_servers(folder) as servers,
        running_arena(servers, folder / "ring", detect=2, sink=2, command=before or product, **keys) as ring,
        ExitStack() as loads,
    ):
        begin = time.monotonic()
        sent = [loads.enter_context(ring.load(options.seed, **shape))]

        def load_more() -> None:
            """Of senders that know of new partitions; the others go on as they did."""
            sent.append(loads.enter_context(ring.load(options.seed + 1, **shape)))

        changes = Changes(ring, folder, load_more)
        if options.changes:
            changes.plan(options.kills, upgrade=before is not None)
        deadline = begin + 60 * options.minutes_most
        course = kill_at_random(
            ring, options.seed, options.kills, lambda: time.monotonic() > deadline, tell, changes.before
        )
        *others, last = sent
        for load in others:
            last.add(load)
        verdict = ring.judge(last, seconds=120, widened=options.changes)
        changes.judge(verdict)
        _judge_recovery(verdict, course)
        if ring.settings.control_keys_file:
            idle = [kind for kind in ORDER_KINDS if not verdict.counts[f"applied_{kind}"]]
            verdict.hold(not idle, f"no order of these kinds was applied: {idle}")
        outcome = _outcome(course, verdict, time.monotonic() - begin)
        outcome["changes"] = changes.names
        outcome["gave_up"] = [one._asdict() for one in ring.crew.gave_up]
    tell(json.dumps({name: value for name, value in outcome.items() if name != "kills"}, indent=2))
    return outcome


def _judge_recovery(verdict: Verdict, course: Course) -> None:
    slowest = max(course.recoveries_s, default=0.0)
    verdict.hold(slowest <= RECOVERED_S, f"live processing came {slowest:.1f} s after a kill, not {RECOVERED_S:g} s")


def _outcome(course: Course, verdict: Verdict, seconds: float) -> dict[str, Any]:
    return {
        "seed": course.seed,
        "kills": [kill._asdict() | {"at": round(kill.at - course.begin, 2)} for kill in course.kills],
        "kills_count": len(course.kills),
        "clickhouse_restarts": course.clickhouse_restarts,
        "seconds": round(seconds, 1),
        "recovery_s": [round(one, 2) for one in course.recoveries_s],
        "recovery_s_max": round(max(course.recoveries_s, default=0.0), 2),
        **verdict.counts,
        "complaints": verdict.complaints,
        "verdict": "failed" if verdict.complaints else "held",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes-most", type=float, default=30.0)
    parser.add_argument(
        "--devices", type=int, default=750, help="of a fleet; those that follow come to four times that"
    )
    parser.add_argument("--changes", action="store_true", help="upgrade, limits, a restored ClickHouse, wider topics")
    parser.add_argument("--rate", type=float, default=150.0, help="reports a second")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, nothing else")
    return parser


if __name__ == "__main__":
    sys.exit(main())
