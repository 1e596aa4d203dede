"""The command line `emberline`: its list of commands, and how it ends.

Exit status: 0 done, 1 something only the operator can mend (one sentence on standard error), 2 wrong usage, 3 the demo
ran but its account does not balance, 130 ended by Ctrl-C, 143 by SIGTERM. A worker that is told to leave ends with 0.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from cli import signals
from cli.groups import Commands
from cli.output import say
from common.errors import OperatorError

COMMANDS: Final = {
    "acls": "cli.acls:acls",
    "alarms": "cli.alarms.command:alarms",
    "backfill": "cli.backfill.command:backfill",
    "demo": "cli.demo.command:demo",
    "device": "cli.device:device",
    "hourly": "cli.hourly.command:hourly",
    "kafka": "cli.kafka:kafka",
    "limits": "cli.limits:limits",
    "migrate": "cli.migrate:migrate",
    "registry": "cli.registry:registry",
    "rejects": "cli.rejects.command:rejects",
    "replay": "cli.replay.command:replay",
    "run": "cli.run:run",
    "settings": "cli.settings:settings",
    "simulate": "cli.simulate:simulate",
    "topics": "cli.topics:topics",
    "try": "cli.trying.command:try_",
    "worker": "cli.worker:worker",
}
"""Where each command is. Only what is asked for is imported."""


@click.group(
    cls=Commands,
    where=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="emberline")
def cli() -> None:
    """Electrical-fire early warning: telemetry on Kafka in, alarms within a second out, everything in ClickHouse.

    Settings are environment variables; `emberline settings` lists them. Start with `emberline demo`.
    """
    # The command is imported, and from here on there is something to stop in order.
    signals.end_in_order()


def main() -> None:
    """Entry point: an operator's error is one sentence and status 1."""
    sys.exit(_ended())


def _ended() -> int:
    try:
        status: int = cli(standalone_mode=False) or 0
        return status
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OperatorError as error:
        say(f"emberline: {error}", err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        say("emberline: stopped", err=True)
        return signals.status()
    finally:
        signals.end_at_once()
