"""What tests of control records run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.settings import Settings
from tests.support.control import controlled
from tests.support.kafka_outside import Kafka
from tests.support.platform import PARTITIONS


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Of a worker with keys, on a broker of the test's own, where topics are."""
    with controlled(tmp_path) as settings:
        yield settings


@pytest.fixture
def kafka(settings: Settings) -> Iterator[Kafka]:
    """That broker."""
    with Kafka(settings.kafka, PARTITIONS) as outside:
        yield outside
