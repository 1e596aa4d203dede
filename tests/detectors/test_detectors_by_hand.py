"""What the detectors promise, worked out by hand from domain.md and the docstrings; the twin is held to the same."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.detector import Detector
from detectors.findings import Elements, Findings
from detectors.kinds import DETECTORS
from detectors.latch import EVENTS, Watched
from detectors.limit_rows import LimitRows
from detectors.limits import LIMIT, LimitTable, load_limits
from detectors.state import PartitionState
from detectors.twin.oracle import Record
from detectors.twin.stretches import Value
from schemas.alarm_kinds import AlarmKind
from schemas.events import Alarm
from tests.detectors.given_reports import CALM, T0, readings, record, report, slowly, told

LIMITS = load_limits()
LEAKS = "residual_current"
SeenAlarms = list[tuple[str, int, int]]


def alarms(records: Sequence[Record], kind: str, limits: LimitTable = LIMITS) -> list[Alarm]:
    """The alarms of one kind, of which the twin must say the same."""
    found = told([records], PartitionState(), limits)
    assert found == slowly(records, limits)
    return [alarm for alarm in found.alarms if alarm.kind == kind]


def seen(records: Sequence[Record], kind: str) -> SeenAlarms:
    """Event, severity, and the number of the record."""
    return [(str(alarm.event), alarm.severity, alarm.source_offset) for alarm in alarms(records, kind)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (9, []), (10, [("opened", 1, 0)]), (13, [("opened", 1, 0)]), (14, [("opened", 2, 0)])],
)
def test_nine_arc_half_cycles_say_nothing_ten_warn_fourteen_alarm(count: int, expected: SeenAlarms) -> None:
    assert seen(readings("arc_half_cycles", count), "arc_fault") == expected


@pytest.mark.parametrize(
    ("values", "step_ms", "expected"),
    [
        ([199.9] * 20, 1_000, []),
        ([200.0] * 20, 1_000, [("opened", 1, 12)]),
        ([299.9] * 4 + [100.0] + [299.9] * 6, 1_000, []),
        ([299.9] * 4 + [100.0] + [299.9] * 7, 1_000, [("opened", 1, 13)]),
        ([300.0] * 5, 1_000, [("opened", 2, 5)]),
        ([300.0] * 2, 2_998, []),
        ([300.0] * 2, 3_000, [("opened", 2, 3)]),
        ([5_000.0], 1_000, []),
    ],
)
def test_residual_current_alarms_once_it_has_been_at_a_level_for_the_confirm_time(
    values: list[float], step_ms: int, expected: SeenAlarms
) -> None:
    assert seen(readings("residual_current_ma", *CALM, *values, step_ms=step_ms), "residual_current") == expected


def test_a_charging_pile_alarms_at_thirty_milliamperes() -> None:
    found = alarms(readings("residual_current_ma", *[29.9] * 2, *[30] * 4, kind="charging_pile"), "residual_current")
    assert [(str(alarm.event), alarm.severity, alarm.limit, alarm.limit_from) for alarm in found] == [
        ("opened", 2, 30.0, "T/GBC 48-2025")
    ]


def test_a_warning_escalates_once_and_keeps_its_onset_and_id() -> None:
    found = alarms(readings("residual_current_ma", *CALM, *[250] * 11, *[350] * 8), "residual_current")
    assert [(alarm.event, alarm.severity) for alarm in found] == [("opened", 1), ("escalated", 2)]
    assert {(alarm.onset_ts, alarm.alarm_id) for alarm in found} == {(T0 + 2_000, found[0].alarm_id)}


def test_an_alarm_recovers_only_below_the_recovery_level_and_comes_back_confirmed_under_the_same_id() -> None:
    values = [*CALM, *[310.0] * 4, *[180.0] * 60, *[179.9] * 31, *[310.0] * 4]
    found = alarms(readings("residual_current_ma", *values), "residual_current")
    assert [(str(alarm.event), alarm.source_offset) for alarm in found] == [
        ("opened", 5),
        ("recovered", 96),
        ("reactivated", 100),
    ]
    assert found[1].event_ts == T0 + 66_000
    assert len({alarm.alarm_id for alarm in found}) == 1


@pytest.mark.parametrize(
    ("step_ms", "values", "begins"),
    [(1_000, 30, ["opened"]), (60_000, 1, ["opened"]), (21_600_000, 1, ["provisional", "confirmed"])],
)
def test_values_that_are_normal_for_less_than_the_time_of_recovery_are_none(
    step_ms: int, values: int, begins: list[str]
) -> None:
    dropouts = [*CALM, *[450.0] * 40, *[0.0] * values, *[450.0] * 40, *[0.0] * values, *[450.0] * 40]
    found = seen(readings("residual_current_ma", *dropouts, step_ms=step_ms), LEAKS)
    assert [event for event, *_ in found] == begins


def test_normal_values_on_either_side_of_an_outage_are_not_one_recovery() -> None:
    hour = 3_600_000
    minutes = [*((n, 50.0 if n < 2 else 450.0) for n in range(40)), *((n, 0.0) for n in (40, 340, 341))]
    records = [record(n, report(T0 + at * 60_000, residual_current_ma=[v])) for n, (at, v) in enumerate(minutes)]
    found = alarms(records, LEAKS)
    assert [(str(alarm.event), alarm.event_ts - T0) for alarm in found] == [
        ("opened", 3 * 60_000),
        ("recovered", 40 * 60_000 + 5 * hour),
    ]


def test_an_alarm_worsens_each_time_it_has_half_again_the_value_it_was_told_with() -> None:
    values = [*CALM, *[310] * 4, *[464] * 5, *[465] * 3, *[690] * 3, *[700] * 3, *[3_000] * 3]
    found = alarms(readings("residual_current_ma", *values, step_ms=60_000), LEAKS)
    assert [(str(alarm.event), alarm.value) for alarm in found] == [
        ("opened", 310.0),
        ("worsened", 465.0),
        ("worsened", 700.0),
        ("worsened", 3_000.0),
    ]
    assert "持续恶化：当前 465mA" in found[1].message


@pytest.mark.parametrize("every_ms", [1_000, 10_000, 60_000, 300_000])
@pytest.mark.parametrize(
    ("kind", "fields"), [("phase_loss", {"voltage_v": [0.0, 230.0, 230.0]}), ("insulation", {"insulation_mohm": [0.0]})]
)
def test_nothing_is_worse_than_no_voltage_and_no_insulation(kind: str, fields: dict[str, Any], every_ms: int) -> None:
    records = [record(n, report(T0 + n * every_ms, **fields)) for n in range(180)]
    assert [one.event for one in alarms(records, kind)] == ["provisional", "confirmed"]


def test_each_worsening_is_confirmed_by_itself() -> None:
    values = [*CALM, *[310.0] * 4, *[500.0] * 4, *[800.0] * 4]
    found = alarms(readings("residual_current_ma", *values), LEAKS)
    assert [(str(alarm.event), alarm.source_offset) for alarm in found] == [
        ("opened", 5),
        ("worsened", 9),
        ("worsened", 13),
    ]


def test_one_wild_value_is_no_worsening_and_hides_none() -> None:
    values = [*CALM, *[310.0] * 10, 5_000.0, *[310.0] * 10, *[700.0] * 4]
    found = alarms(readings("residual_current_ma", *values), LEAKS)
    assert [(str(alarm.event), alarm.value, alarm.peak) for alarm in found] == [
        ("opened", 310.0, 310.0),
        ("worsened", 700.0, 5_000.0),
    ]


def test_the_same_after_a_day_of_normal_values_is_another_alarm_and_supersedes_the_one_before() -> None:
    values = [*CALM, *[450] * 3, *[60] * n_in_a_day(), *[400] * 2]
    found = alarms(readings("residual_current_ma", *values, step_ms=120_000), LEAKS)
    assert [(str(alarm.event), alarm.severity, alarm.severity_highest, alarm.active) for alarm in found] == [
        ("opened", 2, 2, True),
        ("recovered", 0, 2, False),
        ("superseded", 0, 2, False),
        ("opened", 2, 2, True),
    ]
    assert found[2].alarm_id == found[0].alarm_id != found[3].alarm_id
    assert (found[2].source_offset, found[2].source_ordinal + 1) == (found[3].source_offset, found[3].source_ordinal)
    assert (found[2].peak, found[3].peak, found[3].onset_ts) == (450.0, 400.0, found[3].event_ts - 120_000)
    assert "未经复位，由新的告警取代" in found[2].message


def test_the_same_within_a_day_is_the_same_alarm() -> None:
    values = [*CALM, *[450] * 3, *[60] * (n_in_a_day() - 1), *[400] * 2]
    found = alarms(readings("residual_current_ma", *values, step_ms=120_000), LEAKS)
    assert [str(alarm.event) for alarm in found] == ["opened", "recovered", "reactivated"]


def n_in_a_day() -> int:
    """Reports of each 2 min in a day."""
    return 24 * 30


def test_of_what_comes_and_goes_six_are_told_a_day_and_none_leaves_a_fire_for_over() -> None:
    wave = [*[450] * 2, *[60] * 2] * 80
    found = alarms(readings("residual_current_ma", *CALM, *wave, step_ms=600_000), LEAKS)
    assert [str(alarm.event) for alarm in found[:2]] == ["provisional", "confirmed"]
    # A first value comes back as a warning, and the next one is urgent, which is told as well.
    told_of = [str(alarm.event) for alarm in found[2:]]
    assert told_of == ["recovered", "reactivated", "escalated"] * (len(told_of) // 3)
    repeats = [alarm for alarm in found[2:] if alarm.event != "escalated"]
    for alarm in repeats:
        assert sum(0 <= other.ingest_ts - alarm.ingest_ts < 86_400_000 for other in repeats) <= 6
    # 80 waves of 40 min are 2.2 days.
    assert len(repeats) >= 12
    assert all(alarm.active == (alarm.event != "recovered") for alarm in found)
    assert repeats[-1].repeats_untold > 100


def test_a_recovery_that_could_not_be_told_is_told_once_it_can() -> None:
    wave = [*[450] * 2, *[60] * 2] * 10
    found = alarms(readings("residual_current_ma", *CALM, *wave, *[60] * (24 * 6), step_ms=600_000), LEAKS)
    assert [str(alarm.event) for alarm in found[-3:]] == ["reactivated", "escalated", "recovered"]
    first = next(alarm for alarm in found if alarm.event == "recovered")
    assert found[-1].ingest_ts - first.ingest_ts >= 86_400_000
    assert found[-1].event_ts < first.ingest_ts + 86_400_000 / 2


def test_an_event_says_how_bad_it_is_now_and_how_bad_it_was_at_most() -> None:
    found = alarms(readings("residual_current_ma", *CALM, *[350.0] * 4, *[50.0] * 31, *[250.0] * 11), LEAKS)
    assert [(str(alarm.event), alarm.severity, alarm.severity_highest, alarm.limit) for alarm in found] == [
        ("opened", 2, 2, 300.0),
        ("recovered", 0, 2, 200.0),
        ("reactivated", 1, 2, 200.0),
    ]
    assert [alarm.message[:4] for alarm in found] == ["【紧急】", "【恢复】", "【警告】"]


def test_an_alarm_never_ends_by_itself() -> None:
    month = readings("arc_half_cycles", 20, *[0] * 100, step_ms=6 * 3_600_000)
    assert [str(alarm.event) for alarm in alarms(month, "arc_fault")] == ["opened", "recovered"]


def test_the_peak_counts_from_the_onset_and_not_from_the_confirmation() -> None:
    found = alarms(readings("residual_current_ma", *CALM, 900, 310, 310, 310), "residual_current")
    assert [(alarm.value, alarm.peak) for alarm in found] == [(310.0, 900.0)]


def test_a_sensor_that_is_not_fitted_is_no_temperature() -> None:
    assert not alarms(readings("temperature_c", *[30.0] * 2, 80.0, -200.0, -200.0, step_ms=5_000), "temperature")
    bridged = readings("temperature_c", *[30.0] * 2, 80.0, -200.0, 80.0, step_ms=2_500)
    assert seen(bridged, "temperature") == [("opened", 2, 4)]


def test_test_data_alarm_for_themselves_and_leave_the_real_device_alone() -> None:
    real = [record(n, report(T0 + n * 1_000, arc_half_cycles=[0])) for n in (0, 2)]
    tested = record(1, report(T0 + 1_000, arc_half_cycles=[50], test=True))
    (alarm,) = alarms([real[0], tested, real[1]], "arc_fault")
    assert alarm.test
    assert alarm.message.startswith("【测试】")


SERIES = {
    AlarmKind.RESIDUAL_CURRENT: [100.0, 179.9, 180, 199.9, 200, 299.9, 300, 450, 900, 2_000],
    AlarmKind.RESIDUAL_CURRENT_RISE: [40.0, 40, 41.3, 139.9, 140, 160, 250.7, 420],
    AlarmKind.TEMPERATURE: [20.0, 54.9, 55, 59.9, 60, 69.9, 70, 90, 106],
    AlarmKind.TEMPERATURE_RISE: [20.0, 20, 20, 27.5, 34.9, 35, 45.2, 70, 112],
    AlarmKind.ARC_FAULT: [0.0, 9, 10, 13, 14, 20, 21, 40],
    AlarmKind.MALIGNANT_LOAD: [100.0, 100, 190, 199, 200, 310, 900],
}
"""What those are shown that keep something of a component or have limits of their own; the others, values around their
limits."""


def shown_to(detector: Detector) -> list[float]:
    """Values as a latch sees them: of what alarms below a limit they are negative."""
    limits = limit_rows(detector.kind, 1)
    levels = [float(limits[name][0]) for name in ("recovery", "warning", "alarm")]
    around = [level + more for level in levels if math.isfinite(level) for more in (-0.5, 0, 0.5, abs(level))]
    return SERIES.get(detector.kind, [normal_of(detector), *around])


def normal_of(detector: Detector) -> float:
    """A value that is normal."""
    return min(5.0, float(limit_rows(detector.kind, 1)["recovery"][0]) - 1)


STEPS_MS = [*[1_000] * 6, 5_000, 7_499, 15_000, 15_000, 30_000, 30_000, 3_600_000, 90_000_000]


def series(seed: int, values: Sequence[float]) -> Iterator[tuple[float, int, bool]]:
    """Values that hold for a while each, with the time since the one before and whether that is a gap."""
    rng = random.Random(seed)
    for _ in range(rng.randrange(120)):
        value, step_ms = rng.choice(values), rng.choice(STEPS_MS)
        for _ in range(rng.choice([1, 1, 2, 4, 8, 16])):
            # One in a few is wild.
            yield (value if rng.random() < 0.9 else rng.choice(values)), step_ms, rng.random() < 0.03


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), number=st.integers(0, len(DETECTORS) - 1))
def test_a_detector_says_what_its_twin_says_over_any_series(seed: int, number: int) -> None:
    detector = DETECTORS[number]
    limits = limit_rows(detector.kind, 1, window_ms=60_000, memory_ms=600_000)
    others = tuple(math.nan for _ in detector.kind.about.inputs[1:])
    told_limits = {name: limits[name][0].item() for name in LIMIT.names or ()}
    state, twin, ts = Watched(detector.state, 1), detector.twin(), T0
    for value, step_ms, gap in series(seed, shown_to(detector)):
        times = ts + step_ms, ts + step_ms + 1, ts, step_ms, step_ms, step_ms, gap
        ts += step_ms
        said = list(detector.detect(state, elements_of(detector, [float(value)], limits, *times)).each())
        wanted = list(twin.step(Value(float(value), *times, others), told_limits))
        assert len(said) == len(wanted)
        for one, other in zip(said, wanted, strict=True):
            baseline = None if math.isnan(one.baseline) else one.baseline
            assert (EVENTS[one.event], *one[2:10], *one[11:], baseline) == other


# Every detector, on arrays.


def limit_rows(kind: AlarmKind, count: int, **changed: float) -> LimitRows:
    """The release's; where it has none, some."""
    columns = dict(LIMITS.columns[kind])
    if not math.isfinite(columns["lowest"][0]):
        columns |= {"warning": np.array([100.0]), "lowest": np.array([100.0]), "recovery": np.array([90.0])}
    columns |= {name: np.array([limit]) for name, limit in changed.items()}
    return LimitRows(columns, np.zeros(count, np.int64))


def held(state: Watched, slot: int) -> list[bytes]:
    """All that a detector holds of a component, less where its latch lies."""
    entry = state.packed(np.array([slot]))
    entry["latch"] = entry["latch"] != 0
    latch = state.entries(np.array([slot]))
    return [entry.tobytes(), state.latches.packed(latch[latch > 0]).tobytes()]


def elements_of(detector: Detector, values: Sequence[float], limits: LimitRows, ts: int = T0, *times: int) -> Elements:
    """The values of components 0, 1, 2 ... that all came at one time; no time has passed unless `times` say so."""
    count = len(values)
    *each, gap = (np.full(count, one, np.int64) for one in (ts, *(times or (ts, 0, 0, 0, 0, 0))))
    others = tuple(np.full(count, np.nan) for _ in detector.kind.about.inputs[1:])
    columns = np.arange(count), np.array(values, np.float64), *each, gap.astype(np.bool_), limits, others
    return Elements._make(columns)


def detect(detector: Detector, state: Watched, values: Sequence[float], ts: int = T0) -> Findings:
    return detector.detect(state, elements_of(detector, values, limit_rows(detector.kind, len(values)), ts))


every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: str(detector.kind))


@every_detector
def test_no_elements_find_nothing_and_change_nothing(detector: Detector) -> None:
    state = Watched(detector.state, 4)
    assert len(detect(detector, state, []).element) == 0
    assert state.packed(slice(None)).tobytes() == bytes(4 * detector.state.itemsize)


@every_detector
def test_a_constant_normal_value_never_alarms(detector: Detector) -> None:
    state = Watched(detector.state, 1)
    normal = [normal_of(detector)]
    assert not any(len(detect(detector, state, normal, T0 + n * 60_000).element) for n in range(100))


@every_detector
def test_what_a_detector_is_shown_is_not_touched(detector: Detector) -> None:
    elements = elements_of(detector, [1e4, 1e4, 1e4], limit_rows(detector.kind, 3))
    columns = [column for column in elements if isinstance(column, np.ndarray)]
    before = [column.copy() for column in columns]
    detector.detect(Watched(detector.state, 3), elements)
    assert all((column == kept).all() for column, kept in zip(columns, before, strict=True))


@every_detector
def test_components_do_not_see_each_other(detector: Detector) -> None:
    together, alone = Watched(detector.state, 3), Watched(detector.state, 1)
    normal, values = normal_of(detector), shown_to(detector)
    for n in range(200):
        value = max(values) if n > 190 else values[n // 4 % len(values)]
        detect(detector, together, [normal, value, normal], T0 + n * 30_000)
        detect(detector, alone, [value], T0 + n * 30_000)
    assert held(together, 1) == held(alone, 0)
    assert held(together, 0) == held(together, 2)
    assert held(together, 0) != held(together, 1)


@every_detector
def test_a_limit_that_does_not_exist_is_never_reached(detector: Detector) -> None:
    state = Watched(detector.state, 1)
    none = dict.fromkeys(LIMIT.names or (), 0.0) | dict.fromkeys(("warning", "alarm", "recovery"), math.inf)
    limits = limit_rows(detector.kind, 1, **none)
    for n in range(10):
        times = T0 + n * 60_000, T0 + n * 60_000, T0, 60_000, 60_000, 60_000, 0
        assert len(detector.detect(state, elements_of(detector, [1e9 * n], limits, *times)).element) == 0
