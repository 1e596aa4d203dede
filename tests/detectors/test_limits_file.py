"""Limits files: what they may change, what is refused and in which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detectors.limits import LimitTable, load_limits
from schemas.absences import Specials
from schemas.alarm_kinds import AlarmKind
from schemas.events import Severity
from schemas.limit_sections import LimitsError
from schemas.quantities import KIND_CODES

MONITOR, PILE = KIND_CODES["electrical_monitor"], KIND_CODES["charging_pile"]


def loaded(folder: Path, text: str) -> LimitTable:
    path = folder / "limits.toml"
    path.write_text(text, encoding="utf-8")
    return load_limits(path)


def level(limits: LimitTable, kind: AlarmKind, profile: int, name: str = "alarm") -> float:
    return float(limits.of(kind)[profile][name])


def test_the_shipped_limits_are_those_of_the_standards() -> None:
    limits = load_limits()
    assert limits.of(AlarmKind.RESIDUAL_CURRENT)[MONITOR].item() == (
        200, 300, 200, 180, 10_000, 3_000, 30_000, 0, 0,
    )  # fmt: skip
    assert limits.of(AlarmKind.ARC_FAULT)[MONITOR].item()[:3] == (10, 14, 10)
    assert limits.of(AlarmKind.RESIDUAL_CURRENT)[PILE].item()[:4] == (np.inf, 30, 30, 25)
    assert "GB 50116-2013" in limits.origin(AlarmKind.RESIDUAL_CURRENT, MONITOR, Severity.ALARM).document
    assert "T/GBC 48-2025" in limits.origin(AlarmKind.RESIDUAL_CURRENT, PILE, Severity.ALARM).document


def test_every_shipped_level_names_its_source() -> None:
    limits = load_limits()
    for kind in AlarmKind:
        for profile in KIND_CODES.values():
            for name, severity in (("warning", Severity.WARNING), ("alarm", Severity.ALARM)):
                document = limits.origin(kind, profile, severity).document
                assert np.isinf(level(limits, kind, profile, name)) or document != "set by the operator"


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    changed, shipped = loaded(tmp_path, "[default.residual_current]\nalarm = 500\n"), load_limits()
    assert level(changed, AlarmKind.RESIDUAL_CURRENT, MONITOR) == 500
    assert level(changed, AlarmKind.RESIDUAL_CURRENT, PILE) == 30
    assert changed.of(AlarmKind.TEMPERATURE).tolist() == shipped.of(AlarmKind.TEMPERATURE).tolist()


def test_a_level_that_is_set_never_keeps_the_source_of_the_old_one(tmp_path: Path) -> None:
    limits = loaded(tmp_path, '[default.temperature]\nwarning = 65\nalarm = { value = 75, from = "insurer" }\n')
    severities = Severity.WARNING, Severity.ALARM
    sources = [limits.origin(AlarmKind.TEMPERATURE, MONITOR, severity).document for severity in severities]
    assert sources == ["set by the operator", "insurer"]


def test_a_device_has_its_own_limits_laid_over_those_of_its_kind(tmp_path: Path) -> None:
    limits = loaded(tmp_path, '[device."LY-1".temperature]\nwarning = 50\n[device."LY-2".arc_fault]\nalarm = 12\n')
    own, pile = limits.profile("LY-1", MONITOR), limits.profile("LY-1", PILE)
    assert level(limits, AlarmKind.TEMPERATURE, own, "warning") == 50
    assert (level(limits, AlarmKind.TEMPERATURE, own), level(limits, AlarmKind.TEMPERATURE, pile)) == (70, 80)
    assert level(limits, AlarmKind.ARC_FAULT, limits.profile("LY-2", MONITOR)) == 12
    assert limits.profile("LY-3", PILE) == PILE


def test_a_file_says_which_values_are_none_for_all_for_a_kind_and_for_a_device(tmp_path: Path) -> None:
    absences = loaded(
        tmp_path,
        """
        [default.absent.temperature_c]
        sentinels = [999]
        [charging_pile.absent.temperature_c]
        power_on = []
        [device."LY-1".absent.residual_current_ma]
        sentinels = []
        """,
    ).absences
    assert absences.of("temperature_c", MONITOR, "LY-2") == Specials(frozenset({999}), frozenset({85}))
    assert absences.of("temperature_c", PILE, "LY-2") == Specials(frozenset({999}))
    assert absences.of("residual_current_ma", MONITOR, "LY-1").sentinels == set()
    assert absences.of("residual_current_ma", MONITOR, "LY-2") == load_limits().absences.of(
        "residual_current_ma", MONITOR, "LY-2"
    )


def test_a_device_for_which_only_absent_values_are_set_keeps_the_limits_of_its_kind(tmp_path: Path) -> None:
    limits, shipped = loaded(tmp_path, '[device."LY-1".absent.temperature_c]\nsentinels = []\n'), load_limits()
    for kind in AlarmKind:
        for code in KIND_CODES.values():
            profile = limits.profile("LY-1", code)
            assert limits.of(kind)[profile] == shipped.of(kind)[code]


def test_an_empty_level_switches_it_off(tmp_path: Path) -> None:
    limits = loaded(tmp_path, "[default.temperature]\nwarning = {}\n")
    assert np.isinf(level(limits, AlarmKind.TEMPERATURE, MONITOR, "warning"))
    assert level(limits, AlarmKind.TEMPERATURE, MONITOR, "recovery") == 65


def test_fractions_of_seconds_become_whole_milliseconds(tmp_path: Path) -> None:
    limits = loaded(tmp_path, "[default.temperature]\nconfirm_alarm_s = 1.001\n")
    assert level(limits, AlarmKind.TEMPERATURE, MONITOR, "confirm_alarm_ms") == 1_001


def test_settings_of_releases_before_are_taken_and_mean_nothing(tmp_path: Path) -> None:
    was = "[default.residual_current_rise]\nlearn_s = 0\nlearn_samples = 20\nmemory_s = 86400\n"
    limits, shipped = loaded(tmp_path, was), load_limits()
    for name in ("warning", "alarm", "recovery", "confirm_warning_ms", "confirm_recovery_ms", "window_ms"):
        found = level(limits, AlarmKind.RESIDUAL_CURRENT_RISE, MONITOR, name)
        assert found == level(shipped, AlarmKind.RESIDUAL_CURRENT_RISE, MONITOR, name)


REFUSED = [
    ("= 5", "is not valid TOML"),
    ("[toaster.temperature]\nalarm = 70", r"\[toaster\] is not default, device or one of electrical_monitor"),
    ("[default.humidity]\nalarm = 70", "a scope holds tables named residual_current"),
    ('[device."LY-1".humidity]\nalarm = 70', "a scope holds tables named residual_current"),
    ("default = 5", "a scope holds tables"),
    ("device = 5", "device"),
    ("[device]\nLY-1 = 5", "a scope holds tables"),
    ("[default]\ntemperature = 5", "temperature"),
    ("[device.LY-1]\ntemperature = 5", "temperature"),
    ("[default.temperature]\nalarms = 70", "'alarms' is no setting; known are warning, alarm, recovery_margin"),
    ("[default.temperature]\nalarm = 141", "the alarm level 141 lies outside what may be set, 45 to 140"),
    ("[default.arc_fault]\nwarning = 9", "the warning level 9 lies outside what may be set, 10 to 14"),
    ("[default.temperature]\nwarning = 71", "the warning level 71 lies above the alarm level 70"),
    (
        "[default.temperature]\nalarm = { valeu = 75 }",
        r"\[default.temperature\]: alarm has no value, found {'valeu': 75}",
    ),
    (
        "[default.temperature]\nwarning = { from = 'insurer' }",
        r"warning has no value.*; warning = {} would switch it off",
    ),
    ("[default.temperature]\nalarm = 'hot'", "alarm must be a number from 0 up to 1e\\+12, got 'hot'"),
    ("[default.temperature]\nalarm = true", "alarm must be a number from 0 up to 1e\\+12, got True"),
    ("[default.temperature]\nalarm = nan", "alarm must be a number from 0 up to 1e\\+12, got nan"),
    ("[default.temperature]\nconfirm_alarm_s = -1", "confirm_alarm_s must be a number from 0 up to 1e\\+12, got -1"),
    ("[default.temperature]\nconfirm_alarm_s = 1e300", "confirm_alarm_s"),
    ("[default.temperature]\nsettable = [1, 900]", "temperature: settable is the range that the standards allow"),
    ("[charging_pile.temperature]\nsettable = 5", "temperature: settable is the range"),
    ('[device."LY-1".residual_current]\nsettable = []', "residual_current: settable is the range"),
    (
        "[default.residual_current_rise]\nwindow_s = 0",
        r"\[default.residual_current_rise\]: window_s must be 0.001 or more, got 0",
    ),
    (
        "[charging_pile.residual_current_rise]\nwindow_s = 0.0001",
        r"\[charging_pile.residual_current_rise\]: window_s must",
    ),
    ("[default.temperature_rise]\nmemory_s = 0", "memory_s must be 0.001 or more, got 0"),
    ("[default.residual_current_rise]\nlearn_s = 'x'", "learn_s must be a number from 0 up to"),
    ("[default.temperature]\nrecovery_margin = -1", "recovery_margin must be a number from 0 up to"),
    (
        "[default.temperature]\nrecovery_margin = 60",
        r"\[default.temperature\]: recovery_margin 60 must lie below the level 60",
    ),
    (
        '[device."LY-1".residual_current]\nrecovery_margin = 30',
        r'\[device."LY-1".residual_current\], for a device of the kind charging_pile: recovery_margin 30 must',
    ),
    ("[default.absent.humidity]\nsentinels = [5]", "default: absent holds one table a quantity, named residual"),
    ("[default.absent.temperature_c]\nsentinel = [5]", "default: absent.temperature_c holds the lists sentinels and"),
    (
        "[default.absent.temperature_c]\nsentinels = 5",
        "default: absent.temperature_c holds lists of at most 64 numbers",
    ),
    ("[charging_pile.absent]\ntemperature_c = 5", "charging_pile: absent.temperature_c holds the lists"),
    ("[charging_pile.absent.temperature_c]\npower_on = ['x']", "charging_pile: absent.temperature_c holds lists"),
    ('[device."LY-1".absent.temperature_c]\npower_on = [nan]', "LY-1: absent.temperature_c holds lists"),
    ("[default]\nabsent = 5", "a scope holds tables"),
    ("[absent.temperature_c]\nsentinels = [5]", r"\[absent\] is not default, device or one of"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_a_file_that_cannot_be_used_is_refused_in_plain_words(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(LimitsError, match=says):
        loaded(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LimitsError, match=r"cannot read the limits file .*nowhere\.toml: No such file"):
        load_limits(tmp_path / "nowhere.toml")
