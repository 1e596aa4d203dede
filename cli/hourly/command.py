"""`emberline hourly`: make the hours, and say what early warning has to say of them; once, or every hour."""

from __future__ import annotations

import fcntl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

import click
from msgspec import structs

from cli.command import read_settings, with_kafka
from cli.hourly.run import HourlyJob, RunSummary, run_once
from cli.hourly.storage import patient
from cli.output import say, say_json
from cli.progress import counting
from cli.trying.notices import notice_told
from common.errors import OperatorError
from common.settings import Settings
from common.times import duration_ms, local, now_ms
from early_warning.calendar import HOUR_MS
from early_warning.parameters import ParametersError, load_parameters
from early_warning.risk import load_risk
from schemas.notices import Notice
from schemas.topics import NOTICES

SETTLE: Final = "10m"
"""After an hour until it is made: minutes close half a minute after their end, and reports are late by some minutes
where links are slow; what comes later makes its hour anew [ours]."""
LOOK_S: Final = 5.0
"""How often the clock is looked at while an hour is waited for: clocks are set, machines sleep."""
_DOING: Final = {"hour": "小时汇总", "day": "日汇总", "slice": "设备分组"}
_COUNTED: Final = {
    "hours": "小时汇总",
    "days": "日汇总",
    "devices": "设备",
    "components": "部件",
    "notices": "提示",
}


@click.command()
@click.option("--once", "mode", flag_value="once", default=True, help="One run, for cron and systemd timers (default).")
@click.option(
    "--every",
    "mode",
    flag_value="every",
    help="A run at once and for each hour that closes, until Ctrl-C or SIGTERM; ends with 0.",
)
@click.option("--settle", default=SETTLE, show_default=True, help="How long after its end an hour is made.")
@click.option(
    "--dry-run", "is_dry", is_flag=True, help="Make the hours and show what would be told; tell and keep nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print each notice as a JSON object on a line, then a summary.")
def hourly(mode: str, settle: str, is_dry: bool, as_json: bool) -> None:
    """Make hours and days of the stored minutes, judge them by the rules of slow early warning, and publish what they
    say (提示) on emberline.notices. Then rate the risk of components, units and areas.

    Run it once an hour. A run that was missed or broke off is made up for by the next. One run at a time: a second one
    ends with status 1.
    """
    settings = read_settings()
    settle_ms = duration_ms(settle, "--settle")
    try:
        parameters, risk = load_parameters(settings.early_warning_path), load_risk(settings.risk_path)
    except ParametersError as error:
        raise OperatorError(str(error)) from error
    if not is_dry:
        settings = with_kafka(_as_it_is, settings)

    job = HourlyJob(settings, parameters, risk, settle_ms, is_dry, told=partial(_tell, as_json=as_json))
    with alone(settings):
        if mode == "once":
            _run(job, now_ms(), as_json)
            return
        # What a run that is broken off has begun is made up for by the next.
        with suppress(KeyboardInterrupt):
            every(partial(_run, job, as_json=as_json), settle_ms, now_ms, time.sleep)


def every(
    run: Callable[[int], object], settle_ms: int, now: Callable[[], int], sleep: Callable[[float], object]
) -> None:
    """Run at once and then for each hour that closes, for ever. `now` is the wall clock, epoch ms, and `sleep` waits
    for s."""
    last = -1
    while True:
        if (closed := (at := now()) - settle_ms) // HOUR_MS > last:
            last = closed // HOUR_MS
            run(at)
        sleep(LOOK_S)


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Be the only run on this machine. The lock is the process's, so one that died leaves none behind."""
    path = Path(settings.data_dir) / "hourly.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}; set EMBERLINE_DATA_DIR") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OperatorError(
                f"another run of `emberline hourly` is under way, it holds {path}; let it end"
            ) from error
        yield


async def _as_it_is(settings: Settings) -> Settings:
    return settings


def _run(job: HourlyJob, now: int, as_json: bool) -> None:
    began = time.monotonic()
    begun = Counter[str]()

    def count(what: str) -> None:
        begun[what] += 1
        tell(_DOING[what], begun[what])

    with patient(job.settings) as service, counting() as tell:
        summary = run_once(service, replace(job, tell=count), now)
    seconds = time.monotonic() - began
    if as_json:
        say_json({"summary": {"at": now, **asdict(summary), "seconds": round(seconds, 2)}})
    else:
        say(f"{local(now)}  {_summed_up(summary)}，用时{seconds:.1f}秒")


def _summed_up(summary: RunSummary) -> str:
    return "，".join(f"{label} {getattr(summary, name)}" for name, label in _COUNTED.items())


def _tell(notice: Notice, as_json: bool) -> None:
    if as_json:
        say_json({"topic": NOTICES.name, "at": notice.hour_ts + HOUR_MS, "value": structs.asdict(notice)})
    else:
        say(notice_told(notice))
