"""The detectors: one file each, named as its kind.

A new one is a row in `schemas.alarm_kinds`, a file here, and its limits in `schemas/limits.toml`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from detectors.detector import Detector
from schemas.alarm_kinds import AlarmKind


def _of(kind: AlarmKind) -> Detector:
    detector: Detector = import_module(f"{__name__}.{kind}").DETECTOR
    return detector


DETECTORS: Final = tuple(_of(kind) for kind in AlarmKind if kind.about.inputs)
"""All detectors, in the order of their kinds: one for each that is found in what is measured."""
