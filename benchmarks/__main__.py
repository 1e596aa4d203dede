"""`python -m benchmarks NAME [--seconds N] [--json]`."""

from __future__ import annotations

from typing import Any

import click
import orjson

from benchmarks import stages


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice(["stages"]))
@click.option("--seconds", default=60.0, show_default=True, help="How much of the fleet's time is worked off.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(name: str, seconds: float, as_json: bool) -> None:
    """Measure and print."""
    result = stages.run(seconds)
    click.echo(orjson.dumps(result).decode() if as_json else _told(result))


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
