"""`emberline demo`."""

from __future__ import annotations

import sys

import click
import orjson

from cli.brokers import BROKER, BROKERS, kafka_brokers
from cli.command import read_settings, run_to_end
from cli.demo.account import demo_config, run_demo
from cli.demo.show import DemoView, demo_table


@click.command()
@BROKER
@BROKERS
@click.option("--seconds", default=60.0, show_default=True, help="How long devices report.")
@click.option("--devices", default=3_000, show_default=True, help="How many devices.")
@click.option("--rate", default=5_000.0, show_default=True, help="Reports a second over all devices.")
@click.option("--seed", default=1, show_default=True, help="Seed of the fleet: the same seed plants the same faults.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as one JSON object and nothing else.")
def demo(broker: str, brokers: str, seconds: float, devices: int, rate: float, seed: int, as_json: bool) -> None:
    """Run everything here, under a simulated fleet with planted faults, and account for all of it."""
    settings = read_settings()
    config = demo_config(seconds, devices, rate, seed)
    with DemoView(config, quiet=as_json) as view:
        account = run_to_end(run_demo(settings, config, view.say, view.show, kafka_brokers(broker, brokers)))
    if as_json:
        click.echo(orjson.dumps(account.as_json()).decode())
    else:
        demo_table(account)
    sys.exit(0 if account.ok else 3)
