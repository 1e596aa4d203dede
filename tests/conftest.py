"""The tiers: `make quick` runs what is quick, `make test` all but what is nightly, `make nightly` everything."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ("tests.support.platform",)

TESTS: Final = Path(__file__).parent
QUICK: Final = (
    "cli/test_brokers.py",
    "cli/test_output.py",
    "common",
    "detectors",
    "early_warning",
    "embedded/test_jars.py",
    "field",
    "fleet",
    "house",
    "schemas",
    "sinks/test_blocks.py",
    "streams/test_generations.py",
    "streams/test_ledger.py",
    "streams/test_partitions.py",
    "streams/test_widths.py",
    "streams/test_pulse.py",
    "streams/test_seals.py",
    "streams/watching",
)
"""Folders and files that start no server, whole: a file that starts one for a single test is not quick."""
NIGHTLY: Final = {
    f"benchmarks/{name}": "a benchmark through whole workers: what ships is held by streams/ and faults/"
    for name in (
        "test_attacks.py::test_attacks_are_measured_while_neighbours_catch_fire",
        "test_stages.py::test_every_stage_is_measured_and_the_same_alarms_are_found_in_chunks_of_every_size",
        "test_whole_path.py::test_all_that_is_on_the_topic_goes_through_the_workers_and_is_what_the_twin_says",
        "test_whole_path.py::test_response_is_measured_from_the_scheduled_time",
    )
} | {
    f"faults/test_upgrade.py::{name}": "from release to release nothing changes within a day"
    for name in (
        "test_an_upgrade_under_load_sinks_first_loses_nothing_and_repeats_nothing",
        "test_an_upgrade_to_a_release_that_takes_other_records_and_a_roll_back_lose_and_repeat_nothing",
    )
}
"""Tests that take long, each with why a day may pass before it is seen to fail."""
SHARED: Final = {"broker", "clickhouse", "platform"}
"""The servers that tests/cli and tests/streams share (tests/support/platform.py) run until the last test has ended."""


def is_quick(path: PurePath) -> bool:
    """Of a file under tests/."""
    return any(path.is_relative_to(quick) for quick in QUICK)


def needs_shared_servers(item: pytest.Item) -> bool:
    folder = item.path.relative_to(TESTS).parts[0]
    return folder in {"cli", "streams"} and not SHARED.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test the marker of its tier; those of `make test` alone have none. Tests that need the shared servers
    come last, so that these run beside no others."""
    items.sort(key=needs_shared_servers)
    for item in items:
        path = item.path.relative_to(TESTS)
        if is_quick(path):
            item.add_marker("quick")
        if f"{path.as_posix()}::{getattr(item, 'originalname', item.name)}" in NIGHTLY:
            item.add_marker("nightly")


class OneForServers(LoadScopeScheduling):
    """All tests but the quick ones go to one process, one after the other: beside one another they would wait for the
    machine, and measure that. The quick ones go beside them."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return nodeid if is_quick(PurePath(file).relative_to(TESTS.name)) else "servers"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneForServers:
    """With `-n`, which tests go to which process."""
    return OneForServers(config, log)
