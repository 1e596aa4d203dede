"""What commands have in common by which people act: who, why, whether they mean it, and the registry's database."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, NoReturn

import click
from sqlalchemy import Engine

from cli.asking import confirm
from cli.command import read_settings
from cli.output import say, say_json
from common.errors import OperatorError
from common.times import duration_ms, moment, now_ms
from services.registry.database import engine_of, url_of

AT_ONCE_MOST: Final = 500
"""Alarms or devices that one command names; a unit may have more [ours]."""
SHOWN_MOST: Final = 20
"""Of so many the preview tells each [ours]."""
FOR = click.option("--for", "for_", metavar="DURATION", help="From now on for so long: 90s, 30m, 2h, 1d.")
UNTIL = click.option("--until", metavar="TIME", help="Until then: ISO 8601, Asia/Shanghai unless it says otherwise.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_BY = click.option("--by", metavar="NAME", help="Who does it.  [default: this system's user]")
_YES = click.option("--yes", is_flag=True, help="Do not ask, also where it is about more than one.")


class GivenBy(NamedTuple):
    """Who acts, why, and how they want to be asked and told."""

    by: str
    why: str
    yes: bool
    as_json: bool


def given(why: bool | str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a command by which somebody acts; `given_by` takes them. `why` is whether it must be said, or
    what it is beyond a reason, and must be said."""
    text = why if isinstance(why, str) else "Why."
    how: dict[str, Any] = {"required": True} if why else {"default": ""}
    options = [_BY, click.option("--why", metavar="TEXT", help=text, **how), _YES, JSON]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def given_by(options: dict[str, Any]) -> GivenBy:
    """Take those options out of a command's."""
    by, why, yes, as_json = (options.pop(name) for name in ("by", "why", "yes", "as_json"))
    return GivenBy(who() if by is None else by, why, yes, as_json)


def who() -> str:
    """Who acts, as this machine knows them; in a container, by number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@contextmanager
def registry_database() -> Iterator[Engine]:
    """The registry's database for the block."""
    engine = engine_of(url_of(read_settings()))
    try:
        yield engine
    finally:
        engine.dispose()


def each_once(named: Sequence[str]) -> list[str]:
    """What is named, once each. Raises OperatorError."""
    found = list(dict.fromkeys(named))
    if len(found) > AT_ONCE_MOST:
        raise OperatorError(f"{len(found)} are named; name {AT_ONCE_MOST} at most at once")
    return found


def until_of(for_: str | None, until: str | None) -> int:
    """When something ends, epoch ms. Raises UsageError, or OperatorError for what is no time."""
    if (for_ is None) == (until is None):
        raise click.UsageError("give --for or --until")
    return now_ms() + duration_ms(for_, "--for") if for_ is not None else moment(until or "", "--until")


def ask_about(what: str, them: Sequence[object], options: GivenBy, *, always: bool = False) -> None:
    """Where it is about more than one, or is `always` asked about, show them and ask. Raises OperatorError where it is
    not to be done."""
    if options.yes or (len(them) < 2 and not always):
        return
    say(f"{what}，共{len(them)}项：", err=True)
    for one in them[:SHOWN_MOST]:
        say(f"  {one}", err=True)
    if len(them) > SHOWN_MOST:
        say(f"  ……还有{len(them) - SHOWN_MOST}项", err=True)
    confirm(
        "是否继续？",
        unasked=f"this is about {len(them)}, and there is no terminal to ask at; give --yes if that is meant",
        declined="nothing was done",
    )


def refuse(reasons: Sequence[str], as_json: bool) -> NoReturn:
    """Tell why nothing was done, and end with status 1."""
    if as_json:
        say_json({"done": [], "refused": list(reasons)})
    else:
        for reason in reasons:
            say(f"emberline: {reason}", err=True)
        if len(reasons) > 1:
            say("没有执行任何操作", err=True)
    sys.exit(1)
