"""`emberline backfill`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cli.backfill import comparing, finding, told
from cli.backfill.plan import Plan
from cli.command import read_settings
from cli.output import say, say_json
from streams.storage import asking


@click.command()
@click.option("--from", "begin", metavar="TIME", help="Beginning of the period, by arrival.")
@click.option("--to", "end", metavar="TIME", help="End of the period, itself not in it.")
@click.option(
    "--limits", type=click.Path(path_type=Path), help="TOML file of limits, in place of EMBERLINE_LIMITS_FILE's."
)
@click.option("--devices", default="", metavar="ID,PREFIX*", help="Only these devices.  [default: all]")
@click.option(
    "--warm-up", default="2h", show_default=True, metavar="DURATION", help="Shown to the detectors before the period."
)
@click.option("--list", "list_runs", is_flag=True, help="Show earlier backfills and do nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backfill(
    begin: str | None,
    end: str | None,
    limits: Path | None,
    devices: str,
    warm_up: str,
    list_runs: bool,
    as_json: bool,
) -> None:
    """Detect again over stored telemetry, with other limits, and compare with the alarms that were raised.

    Nothing live is touched: what is found goes to the table backfill_alarms. TIME is ISO 8601 (Asia/Shanghai unless it
    says otherwise), epoch seconds or milliseconds, or `now`.

    Which values are none (sentinels, power-on values) was decided when they were stored, whatever the limits file says.

    What was ordered in the period and registered until then is applied where it was applied live. Limits of the
    registry hold over those of the file, as they do live.

    Detectors begin without any memory at the warm-up. An alarm stays open until a person resets it, so one that either
    side opened before the period says nothing about the period: its device, component and kind are not compared.
    """
    settings = read_settings()
    if list_runs:
        with asking(settings) as service:
            runs = finding.earlier(service)
        say_json(runs) if as_json else _say(told.runs(runs))
        return
    plan = Plan.of(settings, begin, end, limits, devices, warm_up)
    with asking(settings) as service:
        run = finding.run(service, plan, settings.devices_most, quiet=as_json)
        compared = comparing.compare(service, plan, run.run_id)
    if as_json:
        say_json(told.as_json(plan, run, compared))
    else:
        _say(told.told(plan, run, compared))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        say(line)
