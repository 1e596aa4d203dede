"""What the long commands show while they run, and the table at the end of the demo."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live as LiveDisplay
from rich.table import Table
from rich.text import Text

from cli.demo.account import (
    RECOVER_S,
    RESET_S,
    RESPONSE_MOST_MS,
    RESPONSE_OTHER_MOST_MS,
    RISE_WINDOW_S,
    Account,
    Live,
    kinds_not_planted,
)
from fleet import Fleet, FleetConfig

PLAIN_INTERVAL_S = 5.0
"""How often a line is printed where the output is no terminal."""
MESSAGES_SHOWN = 8
UNREGISTERED_SHOWN = 4


class DemoView:
    """Live rates, lag and alarms: a display that renews itself on a terminal, a line now and then elsewhere."""

    def __init__(self, config: FleetConfig, quiet: bool) -> None:
        self._config = config
        self._quiet = quiet
        self._console = Console(quiet=quiet)
        self._live = LiveDisplay(console=self._console, auto_refresh=False, transient=True)
        self._began = self._last_line = time.monotonic()
        self._last = (time.monotonic(), 0, 0)
        self._shown = (0.0, 0.0)

    def __enter__(self) -> Self:
        self._console.print(
            f"[bold]emberline demo[/bold]: {self._config.devices} devices, {self._config.rate:.4g} reports/s, "
            f"{self._config.seconds:g} s; rises of leakage are judged within {RISE_WINDOW_S} s here instead of half an "
            f"hour, and recoveries confirmed in {RECOVER_S} s",
            soft_wrap=True,
        )
        if missing := kinds_not_planted(Fleet(self._config)):
            self.say(_not_planted(missing))
        if self._console.is_terminal and not self._quiet:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """Print one line above what renews itself."""
        self._console.print(line, highlight=False, soft_wrap=True)

    async def show(self, live: Live) -> None:
        """Show how it stands now."""
        if self._live.is_started:
            self._live.update(self._table(live), refresh=True)
        elif time.monotonic() - self._last_line >= PLAIN_INTERVAL_S:
            self._last_line = time.monotonic()
            sent_rate, stored_rate = self._rates(live)
            self.say(
                f"{live.sent.reports:>9} sent ({sent_rate:.0f}/s)  {live.stored:>9} stored ({stored_rate:.0f}/s)  "
                f"lag {live.lag}  alarms {len(live.alarms)}"
            )

    def _rates(self, live: Live) -> tuple[float, float]:
        now = time.monotonic()
        then, sent, stored = self._last
        if now - then < 1:
            return self._shown
        self._shown = (live.sent.reports - sent) / (now - then), (live.stored - stored) / (now - then)
        self._last = (now, live.sent.reports, live.stored)
        return self._shown

    def _table(self, live: Live) -> Table:
        sent_rate, stored_rate = self._rates(live)
        grid = Table.grid(padding=(0, 3))
        grid.add_row("sent", f"{live.sent.reports:,}", f"{sent_rate:,.0f}/s", "lag", f"{live.lag:,}")
        grid.add_row("stored", f"{live.stored:,}", f"{stored_rate:,.0f}/s", "alarms", f"{len(live.alarms)}")
        outer = Table.grid()
        outer.add_row(grid)
        for message in live.messages[-MESSAGES_SHOWN:]:
            outer.add_row(Text(message, style="bold red" if "紧急" in message else "yellow"))
        return outer


def _not_planted(kinds: list[str]) -> str:
    return (
        f"not shown: {', '.join(kinds)}. Faults of {'these kinds' if kinds[1:] else 'this kind'} need more devices or "
        "more time to confirm, so none is planted; --seconds 60 --devices 60 --rate 60 show every kind"
    )


def demo_table(account: Account) -> None:
    """Print the account; what does not balance stands out."""
    console = Console()
    table = Table(title="emberline demo", title_justify="left", show_header=False)
    piles, others = RESPONSE_MOST_MS["charging_pile"] / 1000, RESPONSE_OTHER_MOST_MS / 1000
    rows: list[tuple[str, str, bool]] = [
        (
            "devices registered / reporting",
            f"{account.devices_registered:,} / {account.devices_reporting:,}",
            True,
        ),
        (
            "reporting, but not registered",
            f"{account.devices_unregistered:,}",
            account.devices_unregistered == account.devices_unregistered_expected,
        ),
        ("reports sent", f"{account.reports_sent:,} ({account.rate_per_second:,.0f}/s)", True),
        ("reports stored", f"{account.reports_stored:,}", True),
        ("reports rejected, with their reason", f"{account.reports_rejected:,}", True),
        ("reports lost", f"{account.reports_lost:,}", account.reports_lost == 0),
        ("reports duplicated", f"{account.reports_duplicated:,}", account.reports_duplicated == 0),
        ("alarms expected / raised", f"{account.alarms_expected} / {account.alarms_raised}", True),
        ("alarms missed", f"{account.alarms_missed}", account.alarms_missed == 0),
        ("alarms false", f"{account.alarms_false}", account.alarms_false == 0),
        ("told as provisional / withdrawn", f"{account.alarms_provisional} / {account.alarms_withdrawn}", True),
        (f"alarms late (over {others:g} s, piles {piles:g} s)", f"{account.alarms_late}", account.alarms_late == 0),
        ("alarms with their unit and place", _named(account), account.alarms_misnamed == 0),
        (
            "response p50 / p99 / max",
            f"{account.response_ms_p50:.0f} / {account.response_ms_p99:.0f} / {account.response_ms_max:.0f} ms",
            True,
        ),
        (
            "visible in ClickHouse p50 / p99",
            f"{account.clickhouse_visible_ms_p50:.0f} / {account.clickhouse_visible_ms_p99:.0f} ms",
            True,
        ),
        ("reset by an order, read back after", _reset(account), not account.reset_lost),
    ]
    for name, value, good in rows:
        table.add_row(name, Text(value, style="" if good else "bold red"))
    console.print(table)
    for about in account.missed:
        console.print(f"missed: {about}", style="bold red")
    for about in account.false:
        console.print(f"false: {about}", style="bold red")
    if account.kinds_not_planted:
        console.print(_not_planted(account.kinds_not_planted), highlight=False, soft_wrap=True)
    if account.message:
        console.print(Text(f"an alarm: {account.message}"), soft_wrap=True)
    if account.unregistered:
        console.print(_unregistered(account.unregistered), highlight=False, soft_wrap=True)
    console.print("everything accounted for" if account.ok else "[bold red]this does not balance[/bold red]")


def _named(account: Account) -> str:
    named, others = account.alarms_named, account.alarms_unregistered
    wrong = f", {account.alarms_misnamed} wrong" if account.alarms_misnamed else ""
    return f"{named}{wrong}" + (f"; {others} unregistered" if others else "")


def _reset(account: Account) -> str:
    if account.reset_lost:
        return f"not within {RESET_S:.0f} s"
    return f"{account.reset_ms:.0f} ms" if account.reset_ms is not None else "none had recovered"


def _unregistered(device_ids: Sequence[str]) -> str:
    first = ", ".join(device_ids[:UNREGISTERED_SHOWN])
    more = f" and {len(device_ids) - UNREGISTERED_SHOWN} more" if len(device_ids) > UNREGISTERED_SHOWN else ""
    return f"not registered, watched by the default limits: {first}{more}"
