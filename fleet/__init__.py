"""Simulated devices, seeded, with planted faults whose truth is known. No I/O and no clock: time is an argument.

Every value is a pure function of the seed, the device and the report's number. Nothing is remembered between two calls
of `Fleet.due`, so any cut of time into windows gives the same bytes, and a repeat is rendered again byte for byte.
"""

from fleet.config import FleetConfig
from fleet.faults import ExpectedAlarm
from fleet.registry import FleetRegistry
from fleet.simulate import Fleet, Send

__all__ = ["ExpectedAlarm", "Fleet", "FleetConfig", "FleetRegistry", "Send"]
