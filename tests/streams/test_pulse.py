"""A process that was stopped knows it; one that is only busy does not think so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

_BUSY_THEN_ASKED = """
from streams.pulse import Pulse
pulse = Pulse()
pulse.start()
print("up", flush=True)
beats = {pulse._last}
while len(beats) < 4:
    beats.add(pulse._last)
print(pulse.stood_still_s, flush=True)
"""
REPOSITORY: Final = Path(__file__).parents[2]
PAUSED_S: Final = 3.0


def _stood_still_s(paused: bool) -> float:
    process = subprocess.Popen(
        [sys.executable, "-c", _BUSY_THEN_ASKED], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    if paused:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(PAUSED_S)  # the standstill itself, not a wait for something
        os.kill(process.pid, signal.SIGCONT)
    return float(process.communicate()[0])


def test_a_busy_process_did_not_stand_still_and_a_stopped_one_did() -> None:
    paused_s = _stood_still_s(paused=True)
    assert paused_s >= PAUSED_S - 1.0
    assert _stood_still_s(paused=False) < paused_s
