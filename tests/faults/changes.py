"""What an operator does to a system while it runs, for runs of kills to go on through.

Each change is made at once or in steps between kills. All of them leave what the verdict must find as it was: limits
change for devices that begin to report only once no worker has the limits before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from common.times import now_ms
from schemas.events import Alarm
from schemas.topics import ALARMS
from streams.partitioner import partition_of
from tests.faults.arena import Arena
from tests.faults.verdict import Verdict
from tests.support.fleet_sends import quick_limits, steady
from tests.support.kafka_outside import Kafka

Step = Callable[[], object]
WIDER_BY: Final = 2
LOWER_MA: Final = (100, 120)
WARM: Final = "WARM"
WARM_MA: Final = 150.0
"""An alarm by the lower limits, nothing by those that are shipped."""


class Changes:
    """The changes of one run, and when they are due: `due` are steps by the number of the kill that they come before.

    `load_more` begins another load, of senders that know of the new partitions.
    """

    def __init__(self, ring: Arena, folder: Path, load_more: Step) -> None:
        self.names: list[str] = []
        self.due: dict[int, list[Step]] = {}
        self._ring = ring
        self._folder = folder
        self._load_more = load_more
        self._versions = 0

    def before(self, number: int) -> list[str]:
        """Make what is due before the kill of this number; what was made."""
        for step in (due := self.due.pop(number, [])):
            step()
        self.names += (made := [step.__name__.strip("_").replace("_", " ") for step in due])
        return made

    def judge(self, verdict: Verdict) -> None:
        """Complain of changes that were never made, and of those that changed nothing."""
        verdict.hold(not self.due, f"changes that were never made: before the kills {sorted(self.due)}")
        with Kafka(self._ring.settings.kafka, self._ring.settings.partitions) as kafka:
            found = {Alarm.from_json(record.value).device_id for held in kafka.read(ALARMS.name) for record in held}
        unheard = {f"{WARM}-{version}" for version in range(1, self._versions + 1)} - found
        verdict.hold(not unheard, f"no alarm by the lower limits: {sorted(unheard)}")

    def plan(self, kills: int, upgrade: bool) -> None:
        """Have all of them come within so many kills; the upgrade, if workers are of the release before."""

        def at(share: float, *steps: Step) -> None:
            first = 1 + round(share * kills)
            for number, step in enumerate(steps, first):
                self.due.setdefault(min(number, kills), []).append(step)

        if upgrade:
            # Sinks of that release stored statuses again that came again after a kill.
            at(0, self._upgrade_sinks)
            at(0.1, self._upgrade_detect)
        at(0.2, self._lower_limits, self._lower_limits_of_the_other, self._warm)
        at(0.3, self._back_up)
        at(0.4, self._restore)
        at(0.5, self._lower_limits, self._lower_limits_of_the_other, self._warm)
        at(0.7, self._widen)
        at(0.85, self._lower_limits, self._lower_limits_of_the_other, self._warm)

    def _upgrade_sinks(self) -> None:
        self._ring.crew.roll_out(self._ring.crew.sink)

    def _upgrade_detect(self) -> None:
        self._ring.crew.roll_out(self._ring.crew.detect)

    def _lower_limits(self) -> None:
        """For one worker; until the other follows, both have partitions, and take some of the other's."""
        self._versions += 1
        path = quick_limits(self._folder)
        with path.open("a") as file:
            for version in range(1, self._versions + 1):
                warning, alarm = LOWER_MA
                file.write(f'[device."{WARM}-{version}".residual_current]\nwarning = {warning}\nalarm = {alarm}\n')
                file.write("recovery_margin = 20\n")
        path = path.rename(self._folder / f"limits-{self._versions}.toml")
        self._ring.settings = replace(self._ring.settings, limits_file=str(path))
        self._ring.crew.settings = replace(self._ring.crew.settings, limits_file=str(path))
        self._ring.crew.renew(self._ring.crew.detect, 0)

    def _lower_limits_of_the_other(self) -> None:
        self._ring.crew.renew(self._ring.crew.detect, 1)

    def _warm(self) -> None:
        """No process with the limits before is left: from now on the device reports that has new ones."""
        device, partitions = f"{WARM}-{self._versions}", self._ring.settings.partitions
        with Kafka(self._ring.settings.kafka, partitions) as kafka:
            kafka.send(steady(device, WARM_MA, now_ms() - 30_000, partition_of(device.encode(), partitions)))

    def _back_up(self) -> None:
        self._ring.clickhouse.back_up(self._folder / "backup")

    def _restore(self) -> None:
        before = next(look for look in reversed(self._ring.watch.looks) if look.stored)
        self._ring.clickhouse.restore(self._folder / "backup")
        self._ring.watch.excuse(before)

    def _widen(self) -> None:
        self._ring.widen(self._ring.settings.partitions + WIDER_BY)
        self._load_more()
