"""`python -m benchmarks NAME --help`."""

from __future__ import annotations

import sys
from typing import Any

import click
import orjson

from benchmarks import soak, stages

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure emberline; see benchmarks/README.md."""


@main.command("stages")
@click.option("--seconds", default=60.0, show_default=True, help="How much of the fleet's time is worked off.")
@JSON
def run_stages(seconds: float, as_json: bool) -> None:
    """CPU time of decoding and detecting, by the size of a chunk."""
    result = stages.run(seconds)
    click.echo(orjson.dumps(result).decode() if as_json else _told(result))


@main.command("soak")
@click.option("--minutes", default=60.0, show_default=True, help="How long.")
@click.option("--devices", default=1_000, show_default=True, help="How many devices.")
@click.option("--rate", default=1_000.0, show_default=True, help="Reports a second.")
@click.option("--kafka", default=0, show_default=True, help="Brokers of Apache Kafka, 1 or 3; 0 for the embedded one.")
@JSON
def run_soak(minutes: float, devices: int, rate: float, kafka: int, as_json: bool) -> None:
    """Whether the workers' memory, descriptors and threads stay flat. Exit status 3 if not."""
    result = soak.run(minutes, devices, rate, kafka, lambda line: click.echo(line, err=True))
    click.echo(orjson.dumps(result, option=0 if as_json else orjson.OPT_INDENT_2).decode())
    sys.exit(0 if result["flat"] else 3)


def _told(result: dict[str, Any]) -> str:
    lines = ["records a chunk   decode us/report   detect us/report   decode + detect ms/chunk"]
    lines += [
        f"{one['chunk_records']:>15}   {one['decode_us_per_report']:>16}   {one['detect_us_per_report']:>16}   "
        f"{one['decode_ms_per_chunk'] + one['detect_ms_per_chunk']:>24.2f}"
        for one in result["stages"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
