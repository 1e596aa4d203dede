"""Which alarms are meant: the options of commands, and the condition in ClickHouse that they come to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final, Self, TypeVar

import click

from common.errors import OperatorError
from common.times import moment
from schemas.alarm_kinds import AlarmKind
from schemas.events import Severity

F = TypeVar("F", bound=Callable[..., Any])
_AREA: Final = re.compile(r"\d{1,12}")
_SEVERITIES: Final = [one.name.lower() for one in Severity]
_OPENED: Final = """alarm_id IN (
    SELECT alarm_id FROM alarm_events WHERE event IN ('opened', 'confirmed')
        AND ingest_ts >= fromUnixTimestamp64Milli(toInt64(%(since)s))
        AND ingest_ts < fromUnixTimestamp64Milli(toInt64(%(before)s)))"""
"""Which alarms were opened or confirmed within a time: it spares those of all other months."""
_LATEST_TS: Final = 4_102_444_800_000


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """What is None or false is not asked for. Ended alarms are meant only with `every`, and tests only with `test`."""

    every: bool = False
    since: int | None = None
    before: int | None = None
    area: str | None = None
    unit: str | None = None
    device: str | None = None
    kind: str | None = None
    severity: str | None = None
    unacknowledged: bool = False
    active: bool = False
    test: bool = False

    @classmethod
    def of(cls, options: dict[str, Any]) -> Self:
        """Take the options of `filtered` out of a command's. Raises OperatorError."""
        found = {one.name: options.pop(one.name) for one in fields(cls)}
        for name in ("since", "before"):
            if found[name] is not None:
                found[name] = moment(found[name], f"--{name}")
        wanted = cls(**found)
        if wanted.area is not None and not _AREA.fullmatch(wanted.area):
            raise OperatorError(f"--area: {wanted.area!r} is no beginning of an area's code, of 12 digits at most")
        if wanted.since is not None and wanted.before is not None and wanted.since >= wanted.before:
            raise OperatorError("--since must lie before the end")
        return wanted

    @property
    def view(self) -> str:
        """Where they are found."""
        return "alarms" if self.every else "open_alarms"

    def where(self) -> tuple[str, dict[str, Any]]:
        """As SQL, but for `test`, and its parameters."""
        severity = None if self.severity is None else int(Severity[self.severity.upper()])
        within = self.since is not None or self.before is not None
        conditions = {
            **self._of_all("latched_ts"),
            _OPENED: within and self.every,
            "severity_highest >= %(severity)s": severity is not None,
            "NOT acknowledged": self.unacknowledged,
            "active": self.active,
        }
        return _joined(conditions), self._asked() | {"severity": severity}

    def where_provisional(self) -> tuple[str, dict[str, Any]]:
        """The same of provisionals: of those that wait, or of every one. Raises OperatorError."""
        if self.severity is not None or self.unacknowledged or self.active:
            raise OperatorError(
                "--severity, --unacknowledged and --active are of alarms, and do not go with --provisional"
            )
        return _joined({"state = 'waiting'": not self.every, **self._of_all("episode")}), self._asked()

    def _of_all(self, since_column: str) -> dict[str, bool]:
        """Conditions that views of both have, and whether they are asked for."""
        within = self.since is not None or self.before is not None
        return {
            f"{since_column} >= fromUnixTimestamp64Milli(toInt64(%(since)s))": within,
            f"{since_column} < fromUnixTimestamp64Milli(toInt64(%(before)s))": within,
            "startsWith(area, %(area)s)": self.area is not None,
            "unit_id = %(unit)s": self.unit is not None,
            "device_id = %(device)s": self.device is not None,
            "kind = %(kind)s": self.kind is not None,
        }

    def _asked(self) -> dict[str, Any]:
        asked = {one.name: getattr(self, one.name) for one in fields(self)}
        return asked | {"since": self.since or 0, "before": self.before or _LATEST_TS}


def _joined(conditions: dict[str, bool]) -> str:
    return " AND ".join(["true", *(one for one, is_asked in conditions.items() if is_asked)])


def filtered(*names_of_end: str) -> Callable[[F], F]:
    """The options of a command that is about alarms of a filter; `AlarmFilter.of` takes them."""
    options = [
        click.option("--all", "every", is_flag=True, help="Those that have ended too; without it, open ones."),
        click.option("--since", metavar="TIME", help="Only those that were opened at this time or later."),
        click.option(*names_of_end, "before", metavar="TIME", help="Only those that were opened before."),
        click.option("--area", metavar="CODE", help="Only of this area: the beginning of its code (GB/T 2260)."),
        click.option("--unit", metavar="ID", help="Only of this unit."),
        click.option("--device", metavar="ID", help="Only of this device."),
        click.option("--kind", type=click.Choice([one.value for one in AlarmKind]), help="Only of this kind."),
        click.option("--severity", type=click.Choice(_SEVERITIES), help="Only those that were as bad, or worse."),
        click.option("--unacknowledged", is_flag=True, help="Only those whose last alert nobody acknowledged."),
        click.option("--active", is_flag=True, help="Only those whose value is not normal again."),
        click.option("--test", is_flag=True, help="Those of test data; without it, the real ones."),
    ]

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add
