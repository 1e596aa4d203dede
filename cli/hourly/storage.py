"""ClickHouse as the job asks it: statements may take minutes, and nobody waits for them at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np

from common.errors import OperatorError
from common.settings import Settings
from sinks.clickhouse.service import Service
from sinks.contract import Block, SinkError
from streams.storage import config_of

STATEMENT_S: Final = 600.0
"""An hour of a city is made in under a minute [measured]; a server that says nothing for so long hangs [ours]."""


@contextmanager
def patient(settings: Settings) -> Iterator[Service]:
    """Asks the settings' database. What ClickHouse refuses becomes an OperatorError."""
    service = Service(replace(config_of(settings), request_timeout_s=STATEMENT_S))
    try:
        yield service
    except SinkError as error:
        raise OperatorError(str(error)) from error
    finally:
        service.close()


def insert(service: Service, table: str, columns: Mapping[str, np.ndarray | Sequence[Any]]) -> None:
    """Store rows, given as columns of one length, by one INSERT of one block; the same again after a lost answer."""
    block = Block(table, columns, len(next(iter(columns.values()))))
    names = ", ".join(f"`{name}`" for name in columns)
    service.call(lambda client: client.execute(f"INSERT INTO {table} ({names}) VALUES", block))
