"""A worker that does not look for long whether its topics are the same, so that it must find out otherwise.

python -m tests.faults.altered.unwatchful worker sink
"""

from __future__ import annotations

from cli.main import main
from streams.watching import kafka

if __name__ == "__main__":
    kafka.LOOK_INTERVAL_S = 600.0  # type: ignore[misc]
    main()
