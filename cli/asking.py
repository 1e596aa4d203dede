"""Asking a person whether they mean it."""

from __future__ import annotations

import sys

import click

from common.errors import OperatorError


def confirm(question: str, unasked: str, declined: str) -> None:
    """Return where a person says yes. Raises OperatorError, `unasked` where nobody can be asked, or `declined`."""
    if not sys.stdin.isatty():
        raise OperatorError(unasked)
    if not click.confirm(question, err=True):
        raise OperatorError(declined)
