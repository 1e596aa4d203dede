"""China's days: make-up workdays, holidays, and years that nobody has announced yet."""

from __future__ import annotations

from datetime import date

import pytest

from early_warning.calendar import day_of, hour_of_day, is_workday


def _day(word: str) -> int:
    return (date.fromisoformat(word) - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2026-05-08", True),
        ("2026-05-09", True),  # a Saturday that makes up for the holiday
        ("2026-05-10", False),
        ("2026-10-05", False),  # in the week of the National Day
        ("2026-02-17", False),  # Spring Festival
        ("2060-10-01", False),  # statutory, in a year that nobody has announced
        ("2060-10-09", False),  # its Saturday
        ("2060-10-12", True),
    ],
)
def test_people_work_as_the_state_council_says(day: str, works: bool) -> None:
    assert is_workday(_day(day)) is works


def test_a_day_begins_at_midnight_in_shanghai() -> None:
    before, midnight = 493_959, 493_960
    assert (hour_of_day(before), hour_of_day(midnight)) == (23, 0)
    assert day_of(midnight) == day_of(before) + 1 == _day("2026-05-09")
