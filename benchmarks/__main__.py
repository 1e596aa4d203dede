"""`python -m benchmarks NAME --help`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import click
import orjson

from benchmarks import (
    attacks,
    early_warning,
    history,
    hourly,
    orders,
    page,
    response,
    rightness,
    scale,
    senders,
    soak,
    stages,
    throughput,
)
from benchmarks.machine import origin
from benchmarks.peers import run as peers
from benchmarks.processes import ROOT

ALL: Final = (
    ("rightness",),
    ("stages",),
    ("scale",),
    ("history",),
    ("early-warning",),
    ("hourly",),
    ("throughput",),
    ("response",),
    ("attacks",),
    ("orders",),
    # Long enough for a JVM to have compiled what it runs; the others would take an hour.
    ("peers", "--reports", "1200000", "--rounds", "1", "--only", "emberline", "--only", "kafka streams"),
    ("peers",),
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
SAVE = click.option("--save", is_flag=True, help="Keep the result in benchmarks/results, a line a run.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure emberline; see benchmarks/README.md. Exit status 3: something measured is not as it must be."""


@main.command("stages")
@click.option(
    "--seconds", default=150.0, type=click.FloatRange(min=45), show_default=True, help="How much of the fleet's time."
)
@JSON
@SAVE
def run_stages(seconds: float, as_json: bool, save: bool) -> None:
    """CPU time and memory of every stage alone, and its ceilings."""
    _end(stages.run(seconds, _say(as_json)), True, as_json, save)


@main.command("scale")
@click.option("--devices", multiple=True, type=int, default=scale.DEVICES, show_default=True, help="How many devices.")
@click.option(
    "--components", multiple=True, type=int, default=scale.COMPONENTS, show_default=True, help="How many a report has."
)
@JSON
@SAVE
def run_scale(devices: tuple[int, ...], components: tuple[int, ...], as_json: bool, save: bool) -> None:
    """Time a report, memory a device, checkpoint and restore, by the number of devices and the size of reports."""
    _end(scale.run(devices, components, _say(as_json)), True, as_json, save)


@main.command("history")
@click.option("--rows", multiple=True, type=int, default=history.ROWS, show_default=True, help="How many reports.")
@JSON
@SAVE
def run_history(rows: tuple[int, ...], as_json: bool, save: bool) -> None:
    """Bytes a report, the sink's speed and an analyst's questions, by the length of ClickHouse's history."""
    _end(history.run(rows, _say(as_json)), True, as_json, save)


@main.command("early-warning")
@click.option("--smoke", is_flag=True, help="Small, to see that it runs.")
@JSON
@SAVE
def run_early_warning(smoke: bool, as_json: bool, save: bool) -> None:
    """How early and how rightly the hourly rules speak, on simulated months and a recorded machine; their cost."""
    size = early_warning.SMOKE if smoke else early_warning.FULL
    result = early_warning.run(size, _say(as_json))
    _end(result, early_warning.good(result), as_json, save)


@main.command("hourly")
@click.option("--devices", default=hourly.FULL.devices, show_default=True, help="How many devices the city has.")
@JSON
@SAVE
def run_hourly(devices: int, as_json: bool, save: bool) -> None:
    """Time and memory of a run of `emberline hourly` for a city, on the embedded ClickHouse."""
    result = hourly.run(hourly.HourlySize(devices), _say(as_json))
    _end(result, hourly.good(result), as_json, save)


@main.command("response")
@click.option("--rate", "rates", multiple=True, type=int, default=response.RATES, show_default=True, help="Reports/s.")
@click.option("--devices", default=response.DEVICES, show_default=True, help="How many devices.")
@click.option("--seconds", default=60.0, show_default=True, help="How long each rate is held.")
@click.option("--faults", default=response.FAULTS_PER_KIND, show_default=True, help="Faults planted of each kind.")
@JSON
@SAVE
def run_response(rates: tuple[int, ...], devices: int, seconds: float, faults: int, as_json: bool, save: bool) -> None:
    """Response at the alarm topic and in ClickHouse, on Apache Kafka."""
    result = response.run(rates, devices, seconds, faults, _say(as_json))
    _end(result, all(case["ok"] for case in result["cases"]), as_json, save)


@main.command("throughput")
@click.option("--reports", default=600_000, show_default=True, help="How many reports are on the topic.")
@click.option("--devices", default=3_000, show_default=True, help="How many devices made them.")
@JSON
@SAVE
def run_throughput(reports: int, devices: int, as_json: bool, save: bool) -> None:
    """Reports a second through detect and sink workers on Apache Kafka."""
    result = throughput.run(reports, devices, throughput.CREWS, _say(as_json))
    _end(result, all(case["ok"] for case in result["cases"]), as_json, save)


@main.command("peers")
@click.option("--reports", default=200_000, show_default=True, help="How many reports are on the topic.")
@click.option("--devices", default=3_000, show_default=True, help="How many devices made them.")
@click.option("--rounds", default=3, show_default=True, help="How often each runs, in turn.")
@click.option("--only", multiple=True, help="Only those whose name begins so; may be repeated.")
@JSON
@SAVE
def run_peers(reports: int, devices: int, rounds: int, only: tuple[str, ...], as_json: bool, save: bool) -> None:
    """The detect worker beside Faust, Quix Streams, Bytewax and Kafka Streams on Apache Kafka."""
    result = peers.run(reports, rounds, devices, peers.chosen(only), _say(as_json))
    _end(result, peers.all_equal(result), as_json, save)


@main.command("attacks")
@click.option("--only", multiple=True, help="Only those whose name begins so; may be repeated.")
@click.option("--smoke", is_flag=True, help="Small, to see that it runs.")
@click.option(
    "--tree",
    default=ROOT,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout, whose workers are attacked instead of these.",
)
@JSON
@SAVE
def run_attacks(only: tuple[str, ...], smoke: bool, tree: Path, as_json: bool, save: bool) -> None:
    """What one sender can do to others: delay of a neighbour's alarm, CPU, memory and output under attack."""
    scale = attacks.SMOKE if smoke else attacks.FULL
    result = attacks.run(scale, _say(as_json), senders.chosen(only), tree.resolve())
    _end(result, attacks.good(result), as_json, save)


@main.command("orders")
@click.option("--rate", default=5_000.0, show_default=True, help="Reports/s.")
@click.option("--imported", default=130_000, show_default=True, help="How many entries are imported meanwhile.")
@click.option("--registered", default=1_000_000, show_default=True, help="How many devices a worker starts with.")
@JSON
@SAVE
def run_orders(rate: float, imported: int, registered: int, as_json: bool, save: bool) -> None:
    """How soon a reset is told, alone and during an import; and what registered devices take, on Apache Kafka."""
    result = orders.run(orders.OrdersSize(rate=rate, imported=imported, registered=registered), _say(as_json))
    _end(result, orders.good(result), as_json, save)


@main.command("rightness")
@click.option(
    "--only", multiple=True, type=click.Choice(list(rightness.PARTS)), help="Only this part; may be repeated."
)
@click.option("--seed", default=1, show_default=True, help="Of what is drawn by chance.")
@click.option("--smoke", is_flag=True, help="Small, to see that it runs.")
@click.option(
    "--share", default=1.0, type=click.FloatRange(0, 1, min_open=True), show_default=True, help="Of the devices."
)
@click.option(
    "--case", type=click.IntRange(0), help="Print the records of this episode for `emberline try`; run nothing."
)
@JSON
@SAVE
def run_rightness(
    only: tuple[str, ...], seed: int, smoke: bool, share: float, case: int | None, as_json: bool, save: bool
) -> None:
    """Whether detection is right: stimuli, a month of normal life, episodes that none may miss, a labelled fleet."""
    if case is not None:
        click.echo("\n".join(rightness.case_lines(case, seed)))
        return
    size = rightness.SMOKE if smoke else rightness.FULL.scaled(share)
    result = rightness.run(seed, size, only, _say(as_json))
    _end(result, rightness.good(result), as_json, save)


@main.command("soak")
@click.option("--minutes", default=60.0, show_default=True, help="How long.")
@click.option("--devices", default=1_000, show_default=True, help="How many devices.")
@click.option("--rate", default=1_000.0, show_default=True, help="Reports a second.")
@click.option("--kafka", default=0, show_default=True, help="Brokers of Apache Kafka, 1 or 3; 0 for the embedded one.")
@JSON
@SAVE
def run_soak(minutes: float, devices: int, rate: float, kafka: int, as_json: bool, save: bool) -> None:
    """Whether the workers' memory, descriptors and threads stay flat."""
    result = soak.run(minutes, devices, rate, kafka, _say(as_json))
    _end(result, result["flat"], as_json, save)


@main.command("all")
def run_all() -> None:
    """Every benchmark but the soak, one after the other, each kept; then the page."""
    statuses = set()
    for number, words in enumerate(ALL, 1):
        click.echo(f"{number} of {len(ALL)}: {' '.join(words)}", err=True)
        done = subprocess.run([sys.executable, "-m", "benchmarks", *words, "--save"], check=False)
        if done.returncode not in (0, 3):
            sys.exit(done.returncode)
        statuses.add(done.returncode)
    for path in page.write():
        click.echo(path)
    sys.exit(max(statuses))


@main.command("page")
def make_page() -> None:
    """Write benchmarks/results/README.md and its plots from the newest result of each benchmark."""
    for path in page.write():
        click.echo(path)


def _say(as_json: bool) -> Any:
    return (lambda _: None) if as_json else lambda line: click.echo(line, err=True)


def _end(result: dict[str, Any], good: bool, as_json: bool, save: bool) -> None:
    """Print the result, keep it if that is wanted, and leave with what it means."""
    result = result | origin()
    if save:
        page.keep(result)
    if as_json:
        click.echo(orjson.dumps(result).decode())
    else:
        click.echo("\n".join(page.table(result)))
    sys.exit(0 if good else 3)


if __name__ == "__main__":
    main()
