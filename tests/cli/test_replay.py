"""Readings from a CSV file take the way of live ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
import pytest

from tests.support.platform import Platform, quick_settings
from tests.support.processes import REPOSITORY, Ended, run

NAB: Final = "nab/machine_temperature_system_failure.csv"
LINES: Final = 500


def _replay(platform: Platform, file: Path, *arguments: str) -> Ended:
    return run("replay", str(file), *arguments, settings=platform.settings)


def test_degrees_fahrenheit_and_local_times_are_converted(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    day = datetime.now(UTC).date() - timedelta(days=1)
    minutes = [f"{day} 08:{minute:02}:00,{fahrenheit},{minute}" for minute, fahrenheit in enumerate([50, 68, 212, 212])]
    file.write_text("\n".join(["when,t,ma", *minutes]) + "\n")
    mappings = ["--map", "t=temperature_c[1]:fahrenheit", "--map", "ma=residual_current_ma:tenth"]
    ended = _replay(platform, file, "--device", "CSV-1", "--time", "when", *mappings, "--json")
    assert ended.status == 0, ended.err
    outcome = orjson.loads(ended.out)
    assert (outcome["reports_sent"], outcome["reports_stored"], outcome["reports_rejected"]) == (4, 4, 0)
    assert any("CSV-1" in message for message in outcome["alarm_events"])
    rows = platform.query(
        "SELECT toString(event_ts), temperature_c, residual_current_ma FROM telemetry "
        "WHERE device_id = 'CSV-1' ORDER BY event_ts"
    )
    assert [row[0] for row in rows] == [f"{day} 00:{minute:02}:00.000" for minute in range(4)]
    assert [row[1] for row in rows] == [[None, pytest.approx(value)] for value in (10.0, 20.0, 100.0, 100.0)]
    assert [row[2] for row in rows] == [[pytest.approx(minute / 10)] for minute in range(4)]


def test_the_outcome_is_told_to_people_too(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    file.write_text("when,t\n2026-03-01T00:00:00Z,20\n2026-03-01T00:00:01Z,20.5\n")
    ended = _replay(
        platform, file, "--device", "CSV-2", "--time", "when", "--map", "t=temperature_c", "--ending", "now"
    )
    assert ended.status == 0, ended.err
    first, second, third = ended.out.splitlines()
    assert first.startswith("2 readings of CSV-2 sent in ")
    assert second == "stored 2, rejected 0, minutes 0"
    assert third == "alarm events 0: no limit was reached"


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("when,t\n2026-03-01,1\n", ["--map", "degrees=temperature_c"], "has no column degrees; it has t, when"),
        ("at,t\n2026-03-01,1\n", ["--map", "t=temperature_c"], "has no column when; it has at, t"),
        ("when,t\nyesterday,1\n", ["--map", "t=temperature_c"], "line 2: 'yesterday' is no time"),
        ("when,t\n2026-03-01,1\n2026-03-02,warm\n", ["--map", "t=temperature_c"], "line 3: 'warm' is no number"),
        ("when,t\n2026-03-01\n", ["--map", "t=temperature_c"], "line 2: None is no number"),
        ("when,t\n", ["--map", "t=temperature_c"], "holds no readings"),
        ("", ["--map", "t=temperature_c"], "it has none"),
        ("when,t\n2026-03-01,1\n", ["--map", "t"], "is not COLUMN=QUANTITY[COMPONENT]:CONVERSION"),
        ("when,t\n2026-03-01,1\n", ["--map", "t=heat"], "heat is no quantity; known are "),
        ("when,t\n2026-03-01,1\n", ["--map", "t=temperature_c:kelvin"], "kelvin is no conversion; known are "),
        ("when,t\n2026-03-01,1\n", ["--map", "t=temperature_c[64]"], "component numbers end at 63"),
        ("when,t\n2026-03-01,nan\n", ["--map", "t=temperature_c"], "line 2: 'nan' is no number"),
        ("when,t\n2026-03-01,1\n", ["--map", "t=current_a[1]"], "gives current_a[1] but not current_a[0]"),
        ("when,t\n2026-03-01,1\n", ["--map", "t=temperature_c", "--kind", "toaster"], "--kind toaster is not known"),
        ("when,t\n2026-03-01,1\n", ["--map", "t=temperature_c", "--zone", "Mars/Base"], "--zone Mars/Base is no time"),
        ("when,t\n2026-03-01,1\n", ["--map", "t=temperature_c", "--ending", "soon"], "--ending: 'soon' is no time"),
        ("when,t\n2026-03-01,1\n", ["--map", "t=temperature_c", "--speed", "-1"], "--speed is times real time"),
        ("when,t\n2014-02-01,1\n", ["--map", "t=temperature_c"], "is taken for that of a wrong clock and judged by"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_anything_is_sent(
    tmp_path: Path, text: str, arguments: Sequence[str], sentence: str
) -> None:
    file = tmp_path / "readings.csv"
    file.write_text(text)
    nowhere = quick_settings("127.0.0.1:1")
    ended = run("replay", str(file), "--device", "CSV-3", "--time", "when", *arguments, settings=nowhere)
    assert sentence in ended.refusal


def test_a_recorded_failure_is_replayed_whole(platform: Platform, tmp_path: Path) -> None:
    """Numenta's machine temperature, in degrees Fahrenheit, its first days."""
    file = Path(os.environ.get("SHARED_DATA", REPOSITORY.parent / "shared" / "data")) / NAB
    if not file.is_file():
        pytest.skip(f"{NAB} is not under ../shared/data nor where SHARED_DATA says")
    some = tmp_path / "some.csv"
    with file.open() as lines:
        some.write_text("".join(line for _, line in zip(range(LINES + 1), lines, strict=False)))
    mapping = ["--time", "timestamp", "--map", "value=temperature_c:fahrenheit", "--zone", "UTC"]
    ended = _replay(platform, some, "--device", "NAB-1", *mapping, "--ending", "now", "--json")
    assert ended.status == 0, ended.err
    outcome = orjson.loads(ended.out)
    assert (outcome["reports_sent"], outcome["reports_stored"], outcome["reports_rejected"]) == (LINES, LINES, 0)
    # One reading in five minutes: every minute but the last has closed.
    assert outcome["minutes_aggregated"] == LINES - 1
