"""Children live and die with the process that started them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import until

_PARENT = """
import signal, sys
from pathlib import Path
from embedded.processes import running_broker, running_clickhouse
folder = Path(sys.argv[1])
# Whoever started the tests in the background has had this ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with running_broker(log=folder / "b") as broker:
    with running_clickhouse(folder / "data", log=folder / "c") as clickhouse:
        print(broker.port, clickhouse.port, flush=True)
        signal.pause()
"""


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_children_end_with_their_parent(tmp_path: Path, ending: signal.Signals) -> None:
    command = [sys.executable, "-c", _PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout
        ports = [int(port) for port in parent.stdout.readline().split()]
        assert len(ports) == 2
        assert all(map(_answers, ports))
        parent.send_signal(ending)
        parent.wait()
    until(lambda: not any(map(_answers, ports)), "the end of both children")
