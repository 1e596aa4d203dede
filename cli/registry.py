"""`emberline registry`: migrate, check, import, export, show, publish."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from sqlalchemy import Engine

from cli.command import WITH_PARENT, read_settings, with_kafka
from cli.output import say, say_json
from cli.people import registry_database, who
from cli.progress import counting
from common.log import set_up_logging
from common.settings import Settings
from embedded.manners import when_stdin_closes
from services.registry.database import migrate, reading, writing
from services.registry.exchange.exporting import export
from services.registry.exchange.importing import RowProblem, TableChange, applied, check_against, checked, keys_of
from services.registry.exchange.sheets import files_in
from services.registry.exchange.showing import shown
from services.registry.limits.checking import check_in_force
from services.registry.outbox import tell_of
from services.registry.service import serve

PROBLEMS_SHOWN: Final = 200
"""Of so many wrong cells each is told; `--json` has all [ours]."""
FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def registry() -> None:
    """Units, maintenance organisations, devices and components, as people keep them.

    FILES are XLSX files with sheets named 运维机构, 社会单位, 设备 and 部件, or CSV files named so; `export` shows the
    columns. Errors are told row by row, in Chinese, with their remedies.
    """


@registry.command("migrate")
def migrate_() -> None:
    """Make or upgrade the registry's tables."""
    with registry_database() as engine:
        done = migrate(engine)
    say("\n".join(done or ["nothing to do"]), keep="\n")


@registry.command()
@FILES
@JSON
def check(files: Sequence[Path], as_json: bool) -> None:
    """Say what an import of FILES would change, or what is wrong with them. Changes nothing; status 1 if anything is
    wrong."""
    _take_in(files, as_json, dry=True)


@registry.command("import")
@FILES
@JSON
def import_(files: Sequence[Path], as_json: bool) -> None:
    """Take in FILES, all of them or, where anything is wrong, nothing. What is there already is left as it is."""
    _take_in(files, as_json, dry=False)


class _UndoneError(Exception):
    """Undoes what was done to see what it would be."""


def _take_in(files: Sequence[Path], as_json: bool, dry: bool) -> None:
    changed: list[TableChange] = []
    problems: list[RowProblem] = []
    with registry_database() as engine, counting() as tell:
        # Before it is this one's turn to write: others need not wait while files are read.
        found = checked(files_in(files), tell)
        try:
            with writing(engine) as session:
                problems = check_against(found, session)
                if not problems:
                    changed = applied(found, session, tell)
                    if any(one.keys for one in changed if one.table.name in ("units", "devices")):
                        check_in_force(session)
                    tell_of(session, keys_of(changed), who())
                if dry or problems:
                    raise _UndoneError
        except _UndoneError:
            pass
    _say_outcome(changed, problems, as_json, dry)
    if problems:
        sys.exit(1)


def _say_outcome(changed: Sequence[TableChange], problems: Sequence[RowProblem], as_json: bool, dry: bool) -> None:
    if as_json:
        tables = {
            one.table.name: {"new": one.new, "changed": one.changed, "unchanged": one.unchanged} for one in changed
        }
        say_json({"dry": dry, "tables": tables, "problems": [one._asdict() for one in problems]})
        return
    for problem in problems[:PROBLEMS_SHOWN]:
        say(problem.told(), err=True)
    if problems:
        more = f"（只显示前{PROBLEMS_SHOWN}处）" if len(problems) > PROBLEMS_SHOWN else ""
        say(f"共有{len(problems)}处错误{more}，没有导入任何内容", err=True)
        return
    for one in changed:
        say(f"{one.table.title}：新增{one.new}，修改{one.changed}，不变{one.unchanged}")
    if not changed:
        say("文件中没有内容")
    say("检查通过，没有导入" if dry else "导入完成")


@registry.command()
@WITH_PARENT
def publish(with_parent: bool) -> None:
    """Publish what changes, until SIGTERM or Ctrl-C. Several may run: one publishes, the others take over if it is
    gone."""
    settings = read_settings()
    set_up_logging(settings.log_level, logging.ERROR)

    async def work(suited: Settings, engine: Engine) -> None:
        if with_parent:
            when_stdin_closes(lambda: os.kill(os.getpid(), signal.SIGTERM))
        await serve(suited, engine)

    with registry_database() as engine:
        with_kafka(lambda suited: work(suited, engine), settings)


@registry.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--private", is_flag=True, help="With people's names and telephone numbers.")
@JSON
def export_(path: Path, private: bool, as_json: bool) -> None:
    """Write the registry to PATH, an .xlsx file or a folder of CSV files, so that it can be imported again."""
    with registry_database() as engine, reading(engine) as session:
        counts = export(session, path, private)
    if as_json:
        say_json(counts)
    else:
        for title, count in counts.items():
            say(f"{title}：{count}行")


@registry.command()
@click.argument("keys", nargs=-1, required=True, metavar="ID...")
@click.option("--private", is_flag=True, help="With whole telephone numbers.")
@JSON
def show(keys: Sequence[str], private: bool, as_json: bool) -> None:
    """Show organisations, units, devices and components by their ids. Status 1 where one of them is not registered."""
    with registry_database() as engine, reading(engine) as session:
        found = {key: shown(session, key, private) for key in keys}
    if as_json:
        say_json({key: [one.as_json() for one in rows] for key, rows in found.items()})
    for key, rows in found.items() if not as_json else ():
        say(f"{key}：没有登记" if not rows else "", err=not rows)
        for one in rows:
            _say_row(one.title, one.fields)
    if not all(found.values()):
        sys.exit(1)


def _say_row(title: str, fields: Sequence[tuple[str, Any]]) -> None:
    say(title)
    for label, text in fields:
        say(f"  {label}：{text}")
