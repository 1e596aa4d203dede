"""A process that was stopped knows it; one that is only busy does not think so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.streams.processes import REPOSITORY, until

_BUSY_THEN_ASKED = """
import time
from streams.pulse import Pulse
pulse = Pulse()
pulse.start()
print("up", flush=True)
due = time.monotonic() + 1.0
while time.monotonic() < due:
    pass
print(pulse.stood_still_s, flush=True)
"""
PAUSED_S = 3.0


def _stood_still_s(paused: bool) -> float:
    process = subprocess.Popen(
        [sys.executable, "-c", _BUSY_THEN_ASKED], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    if paused:
        os.kill(process.pid, signal.SIGSTOP)
        due = time.monotonic() + PAUSED_S
        until(lambda: time.monotonic() > due, "the time to pass")
        os.kill(process.pid, signal.SIGCONT)
    return float(process.communicate()[0])


def test_a_busy_process_did_not_stand_still_and_a_stopped_one_did() -> None:
    assert _stood_still_s(paused=False) < 1.0
    assert _stood_still_s(paused=True) >= PAUSED_S - 1.0
