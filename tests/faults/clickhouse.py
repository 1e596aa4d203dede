"""ClickHouse on one port and one folder, to be killed, paused and started again."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from embedded.processes import Running, running_clickhouse

PASSWORD: Final = "faults-s3cret"
"""Of the default user, unless a scenario changes it."""


class ClickHouseProcess:
    """The embedded engine as a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.running = self._start(0, PASSWORD)

    @property
    def address(self) -> str:
        """host:port, the same for life."""
        return self.running.address

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.running.pid, signal.SIGKILL)
        self._stack.close()

    def start_again(self, password: str = PASSWORD) -> None:
        """Start it on the data it left, with this password."""
        self.running = self._start(self.running.port, password)

    def back_up(self, backup: Path) -> None:
        """Copy its data, which takes a restart, for it has no other way to stand still."""
        self.stop()
        shutil.copytree(self._folder / "data", backup, symlinks=True)
        self.start_again()

    def restore(self, backup: Path) -> None:
        """Put older data in place of its own, and start it again."""
        self.kill()
        shutil.rmtree(self._folder / "data")
        shutil.copytree(backup, self._folder / "data", symlinks=True)
        self.start_again()

    def keep_up(self) -> bool:
        """Start it again if chDB has ended, as whoever supervises it would. Whether it had."""
        if self.running.status is None:
            return False
        self._stack.close()
        self.start_again()
        return True

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.running.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.running.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it in order."""
        self._stack.close()

    def _start(self, port: int, password: str) -> Running:
        log = self._folder / "clickhouse.log"
        return self._stack.enter_context(
            running_clickhouse(self._folder / "data", log=log, port=port, password=password)
        )
