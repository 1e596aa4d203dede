"""`emberline demo`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from cli.brokers import BROKERS, EMBEDDED, broker_option, kafka_brokers
from cli.command import read_settings, run_to_end
from cli.demo.account import demo_config, run_demo
from cli.demo.show import DemoView, demo_table
from cli.output import say_json
from cli.simulate import RATE, usual_rate


@click.command()
@broker_option(EMBEDDED)
@BROKERS
@click.option("--seconds", default=60.0, show_default=True, help="How long devices report.")
@click.option("--devices", default=3_000, show_default=True, help="How many devices.")
@RATE
@click.option("--seed", default=1, show_default=True, help="Seed of the fleet: the same seed plants the same faults.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as one JSON object and nothing else.")
def demo(
    broker: str, brokers: str | None, seconds: float, devices: int, rate: float | None, seed: int, as_json: bool
) -> None:
    """Run everything here, under a simulated fleet with planted faults, and account for all of it.

    It takes free ports and keeps its data in a folder of its own, EMBERLINE_DATA_DIR/demo: what `emberline run` has
    stored stays as it is, and both may run at once.
    """
    settings = read_settings()
    folder = Path(settings.data_dir) / "demo"
    settings = replace(settings, data_dir=str(folder))
    config = demo_config(seconds, devices, usual_rate(devices) if rate is None else rate, seed)
    with DemoView(config, quiet=as_json) as view:
        kafka = kafka_brokers(broker, brokers, folder / "kafka", view.say)
        account = run_to_end(run_demo(settings, config, view.say, view.show, kafka))
    if as_json:
        say_json(account.as_json())
    else:
        demo_table(account)
    sys.exit(0 if account.ok else 3)
