"""The benchmark of rightness at a size that finds only what is always wrong."""

from __future__ import annotations

from benchmarks import page, rightness
from benchmarks.rightness import episodes
from benchmarks.rightness.deliveries import DELIVERIES, KeptSpan, deliver
from fleet.life.clocks import SET_BACK
from schemas.events import Severity

# The recorded cases have tests of their own in tests/field.
PARTS = [part for part in rightness.PARTS if part != "cases"]


def test_every_part_is_measured_and_each_failure_says_how_it_is_seen_again() -> None:
    said: list[str] = []
    result = rightness.run(1, rightness.SMOKE, PARTS, said.append)
    assert list(dict.fromkeys(line["part"] for line in result["lines"])) == PARTS
    assert all(line["checked"] for line in result["lines"])
    assert all(line["failures"] for line in result["lines"] if line["failed"])
    assert len(page.table(result)) == len(result["lines"]) + 2


def test_an_episode_is_the_same_whenever_it_is_drawn_and_another_with_another_seed() -> None:
    assert episodes.case_of(7, 1) == episodes.case_of(7, 1)
    assert episodes.case_of(7, 1) != episodes.case_of(7, 2)


def test_each_delivery_hands_in_every_report_and_none_before_it_was_made() -> None:
    times = [1_000 * number for number in range(20)]
    for name in DELIVERIES:
        sent = deliver(times, KeptSpan(5, 9), name, 1_000)
        assert {number for _, number in sent} == set(range(20)), name
        assert all(ts >= times[number] for ts, number in sent), name
        assert sent == sorted(sent, key=lambda one: one[0]), name


def test_what_was_over_for_long_enough_must_be_told_and_what_nobody_can_put_in_order_need_not() -> None:
    watched = next(one for one in episodes.WATCHED if one.severity is Severity.ALARM)
    one = episodes.Episode(0, watched, 5, "right", "in order", "none", False, True, False, 8)
    cases = {
        "alarm": [one, one._replace(interval_s=60, length=2), one._replace(clock="stuck")],
        "something": [one._replace(interval_s=300, length=1)],
        "nothing": [
            one._replace(length=6),
            one._replace(interval_s=60, length=1),
            one._replace(clock="stuck", delivery="newest first"),
            one._replace(interval_s=300, length=2, clock=SET_BACK, numbered=False),
        ],
    }
    for must, given in cases.items():
        assert {episodes.must_tell(case, episodes.make(case, 1)) for case in given} == {must}
