"""Errors whose text is written for the operator: one sentence that says what is wrong and what to do."""

from __future__ import annotations


class OperatorError(Exception):
    """Something only the operator can mend. It is shown as its text alone, without a traceback."""
