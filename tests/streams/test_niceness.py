"""What stores yields the processor to what raises alarms."""

from __future__ import annotations

import os

from embedded.processes import Running
from tests.support.platform import Platform


def test_a_sink_worker_and_the_embedded_clickhouse_are_nicer_than_a_detect_worker(
    platform: Platform, clickhouse: Running
) -> None:
    detect, sink, server = (
        os.getpriority(os.PRIO_PROCESS, pid)
        for pid in (platform.detect.process.pid, platform.sink.process.pid, clickhouse.pid)
    )
    assert detect == os.getpriority(os.PRIO_PROCESS, 0)
    assert min(sink, server) > detect
