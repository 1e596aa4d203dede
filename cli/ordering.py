"""Giving commands, saying which, and what became of them: for `emberline device` and `emberline alarms reset`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import click
import msgspec

from cli.command import read_settings
from cli.output import say, say_json
from cli.people import refuse, registry_database
from common.errors import OperatorError
from schemas.commands import Command
from schemas.events import Outcome
from schemas.registry import ChangeNumber
from services.registry.commands import Ordered, order
from services.registry.database import in_parts, writing
from services.registry.refusals import RefusedError
from sinks.clickhouse.service import Service
from streams.storage import asking

WAIT: Final = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for what becomes of it; 0 for not.",
)
LOOK_S: Final = 0.2
"""Until what became of a command is asked for again."""
# A sink may store an outcome again in a later generation; which is the same, or newer.
_OUTCOMES: Final = """
    SELECT epoch, number, argMax(outcome, generation), argMax(reason, generation) FROM control_records
    WHERE source = %(source)s AND device_id IN %(devices)s AND number IN %(numbers)s AND outcome != %(repeated)s
    GROUP BY epoch, number
"""


class Became(NamedTuple):
    """What became of a command, and why it was refused."""

    outcome: Outcome
    reason: str

    def told(self) -> str:
        """For people."""
        return "已执行" if self.outcome is Outcome.APPLIED else f"被拒绝：{self.reason}"


NOT_YET: Final = "尚无结果"
Outcomes = dict[ChangeNumber, Became]


def ordered(wanted: Sequence[Command], as_json: bool, unregistered: bool, wait_s: float) -> None:
    """Give all of the commands, or none; say so, and what became of them within `wait_s`. Ends with status 1 where one
    was refused."""
    try:
        with registry_database() as engine, writing(engine) as session:
            done = order(session, wanted, unregistered)
    except RefusedError as error:
        refuse(error.reasons, as_json)
    if not as_json:
        for one in done:
            say(f"{one.command.device_id}：已下达“{one.command.kind.label}”命令，编号{one.change.number}")
    became = awaited(done, wait_s) if wait_s else None
    if as_json:
        say_json({"done": as_objects(done, became), "refused": []})
    elif became is not None:
        for line in _lines(done, became):
            say(line)
    if any(one.outcome is Outcome.REFUSED for one in (became or {}).values()):
        sys.exit(1)


def as_objects(orders: Sequence[Ordered], became: Outcomes | None) -> list[dict[str, object]]:
    """Commands with their numbers, and what became of each; null where that is not known."""
    found = []
    for one in orders:
        outcome, reason = (became or {}).get(one.change, (None, ""))
        told: dict[str, object] = msgspec.to_builtins(one.command)
        found.append(one.change._asdict() | told | {"outcome": outcome, "reason": reason})
    return found


def outcomes_of(service: Service, orders: Sequence[Ordered]) -> Outcomes:
    """What became of commands of one source, as far as that is stored."""
    found: Outcomes = {}
    for some in in_parts(orders):
        source = some[0].change.source
        asked = {
            "source": source,
            "devices": sorted({one.command.device_id for one in some}),
            "numbers": [one.change.number for one in some],
            "repeated": Outcome.REPEATED,
        }
        for epoch, number, outcome, reason in service.query(_OUTCOMES, asked):
            found[ChangeNumber(source, epoch, number)] = Became(Outcome(outcome), reason)
    return found


def awaited(orders: Sequence[Ordered], wait_s: float = 0) -> Outcomes | None:
    """What became of commands, as far as that is stored within so long; None where ClickHouse cannot be asked, which is
    said."""
    deadline, missing, became = time.monotonic() + wait_s, list(orders), Outcomes()
    try:
        with asking(read_settings()) as service:
            while missing:
                became |= outcomes_of(service, missing)
                missing = [one for one in missing if one.change not in became]
                if not missing or time.monotonic() >= deadline:
                    break
                service.wait(LOOK_S)
    except OperatorError as error:
        say(f"无法得知命令的结果：{error}", err=True)
        return None
    return became


def _lines(orders: Sequence[Ordered], became: Outcomes) -> Iterator[str]:
    for one in orders:
        if one.change in became:
            yield f"{one.command.device_id}：命令{one.change.number}{became[one.change].told()}"
    if count := sum(one.change not in became for one in orders):
        yield f"{count}条命令{NOT_YET}；稍后可用 emberline device orders 查看"
