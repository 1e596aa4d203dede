"""Months of hourly columns of simulated devices, far faster than real time, seeded, with planted faults and their
truth.

The other modules of `fleet` send reports as they fall due; this makes what their hours come to: a device-month takes
about a millisecond.
"""

from fleet.history.faults import PlantedHistory, SlowFault
from fleet.history.make import DeviceHistory, HistoryConfig, make_history

__all__ = ["DeviceHistory", "HistoryConfig", "PlantedHistory", "SlowFault", "make_history"]
