"""What everything needs that runs Apache Kafka for a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import pytest

QUICK_JVM: Final = ("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
"""Compile quickly rather than well: brokers of tests live for minutes and are not measured."""


def missing_tools() -> str | None:
    """Why Apache Kafka cannot run here, or None."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    return f"Apache Kafka needs {' and '.join(missing)}, which this machine has not" if missing else None


def skip_but_in_ci(reason: str) -> NoReturn:
    """A test that is skipped where it counts would be a test that passed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def kafka_for_tests() -> Iterator[None]:
    """Brokers of the block start quickly. Without their tools the test is skipped, and in CI fails."""
    if reason := missing_tools():
        skip_but_in_ci(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*QUICK_JVM)
        yield
