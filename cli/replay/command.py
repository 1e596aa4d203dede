"""`emberline replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.command import read_settings, with_kafka
from cli.output import say, say_json
from cli.replay.recording import Recording
from cli.replay.replaying import replay_recording


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--device", required=True, help="Device id that the readings are sent as.")
@click.option("--time", "time_column", required=True, help="Column that holds the time (ISO 8601, or epoch s or ms).")
@click.option(
    "--map",
    "mappings",
    multiple=True,
    required=True,
    help="COLUMN=QUANTITY[COMPONENT], or COLUMN=QUANTITY[COMPONENT]:CONVERSION; may be repeated.",
)
@click.option("--kind", default="electrical_monitor", show_default=True, help="Kind of the device.")
@click.option("--zone", default="Asia/Shanghai", show_default=True, help="Time zone of times without one.")
@click.option("--speed", default=0.0, show_default=True, help="Times real time; 0 for as fast as it goes.")
@click.option("--ending", help="Shift all times so that the last reading is at this time, or `now`.")
@click.option("--json", "as_json", is_flag=True, help="Print what came out as one JSON object.")
def replay(file: Path, as_json: bool, **options: Any) -> None:
    """Send the readings of a CSV file as a device's reports, and say what came out of them."""
    settings = read_settings()
    recording = Recording.of(file, **options)
    outcome = with_kafka(lambda suited: replay_recording(suited, recording, quiet=as_json), settings)
    if as_json:
        say_json(outcome.as_json())
        return
    for line in outcome.told():
        say(line)
