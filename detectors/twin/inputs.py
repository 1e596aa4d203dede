"""What the slow twins of detectors are shown of a report. See `detectors.twin`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from detectors.detector import Detector, Twin
from detectors.twin.charging import TwinFacts
from detectors.twin.latches import Limits, Point, TwinFinding
from detectors.twin.stretches import Value


def seen(
    detector: Detector,
    one: Value,
    where: tuple[str, int],
    beside: Mapping[tuple[str, int], float],
    port: TwinFacts | None,
    twin: Twin,
    limits: Limits,
) -> Iterator[TwinFinding]:
    """What a live value of a component comes to, `beside` what else its report has, and what is known of its `port`."""
    quantity, component = where
    value: Any = one.value
    if detector.of_phases:
        value = [beside.get((quantity, component + phase), math.nan) for phase in range(3)]
        if component % 3 or any(map(math.isnan, value)):
            return
    others = tuple(beside.get((name, component), math.nan) for name in detector.kind.about.inputs[1:])
    if detector.knows_port and port is None:
        return
    told: list[Any] = [port] if detector.knows_port else []
    measured = _measured(detector, value, *told, *(others if detector.measures_beside else ()))
    if not math.isnan(measured):
        yield from twin.step(one._replace(value=measured, others=others), limits)


def seen_late(detector: Detector, one: Value, points: list[Point], twin: Twin, limits: Limits) -> Iterator[TwinFinding]:
    """What a late value comes to, with all that are kept."""
    measured = _measured(detector, one.value) if detector.judges_late else math.nan
    if math.isnan(measured):
        return
    shown = [(ts, value) for ts, raw in points for value in (_measured(detector, raw),) if not math.isnan(value)]
    yield from twin.late(one._replace(value=measured), shown, limits)


def _measured(detector: Detector, value: Any, *beside: Any) -> float:
    """What is compared with limits."""
    found: float = value if detector.measured_slowly is None else detector.measured_slowly(value, *beside)
    return -found if detector.kind.about.below else found
