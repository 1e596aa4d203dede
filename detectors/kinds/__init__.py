"""The detectors: one file each, named as its kind; those of ports of charging piles in `ports`.

A new one is a row in `schemas.alarm_kinds`, a file here, and its limits in `schemas/limits.toml`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind, AlarmPart


def _of(kind: AlarmKind) -> Detector:
    folder = f"{__name__}.ports" if kind.about.part is AlarmPart.PORT else __name__
    detector: Detector = import_module(f"{folder}.{kind}").DETECTOR
    return detector


DETECTORS: Final = tuple(_of(kind) for kind in AlarmKind if kind.about.inputs)
"""All detectors, in the order of their kinds: one for each that is found in what is measured."""
