"""Which values are none: what is shipped, what may be laid over it, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.absences import AbsencesError, Specials, absences, shipped
from schemas.quantities import KIND_CODES, QUANTITIES, UNKNOWN_KIND

MONITOR, PILE = KIND_CODES["electrical_monitor"], KIND_CODES["charging_pile"]
TEMPERATURE = Specials(frozenset({-127, 327.67, 850, 1372, 3276.7, 6551.5, 6553.5}), frozenset({85}))


@pytest.mark.parametrize("kind", [UNKNOWN_KIND, *KIND_CODES.values()])
def test_the_shipped_ones_hold_for_every_kind_also_one_that_is_not_known(kind: int) -> None:
    assert shipped().of("temperature_c", kind, "LY-1") == TEMPERATURE
    assert shipped().of("residual_current_ma", kind, "LY-1").sentinels == {3276.7, 6553.5, 32767, 65535}
    assert shipped().of("voltage_v", kind, "LY-1") == Specials()


def test_a_list_that_is_given_takes_the_place_of_the_one_beneath_and_the_other_stays() -> None:
    kinds: dict[str, Any] = {"charging_pile": {"temperature_c": {"power_on": []}}}
    devices = {"LY-1": {"temperature_c": {"sentinels": [1]}}}
    found = absences({"temperature_c": {"sentinels": [999]}}, kinds, devices)
    assert found.of("temperature_c", MONITOR, "LY-2") == Specials(frozenset({999}), frozenset({85}))
    assert found.of("temperature_c", PILE, "LY-2") == Specials(frozenset({999}), frozenset())
    assert found.of("temperature_c", PILE, "LY-1") == Specials(frozenset({1}), frozenset())
    assert found.of("temperature_c", MONITOR, "LY-1") == Specials(frozenset({1}), frozenset({85}))


def test_the_usual_range_holds_nothing_special_of_any_scope() -> None:
    devices = {"LY-1": {"voltage_v": {"sentinels": [230, 0]}}, "LY-2": {"voltage_v": {"power_on": [1]}}}
    low, high = absences({}, {}, devices).usual["voltage_v"]
    assert (0 < low < 0.5, 0.5 < high < 1) == (True, True)
    for quantity in QUANTITIES:
        low, high = shipped().usual[quantity.name]
        assert quantity.low <= low <= high <= quantity.high


@pytest.mark.parametrize(
    ("scope", "says"),
    [
        ({"humidity": {}}, "absent holds one table a quantity, named residual_current_ma"),
        (5, "absent holds one table a quantity"),
        ({"temperature_c": 5}, "absent.temperature_c holds the lists sentinels and power_on; found 5"),
        ({"temperature_c": {"sentinel": [5]}}, "absent.temperature_c holds the lists sentinels and power_on"),
        ({"temperature_c": {"sentinels": 5}}, "absent.temperature_c holds lists of at most 64 numbers; found 5"),
        ({"temperature_c": {"sentinels": ["off"]}}, "holds lists of at most 64 numbers"),
        ({"temperature_c": {"sentinels": [True]}}, "holds lists of at most 64 numbers"),
        ({"temperature_c": {"sentinels": [float("nan")]}}, "holds lists of at most 64 numbers"),
        ({"temperature_c": {"sentinels": [-float("inf")]}}, "holds lists of at most 64 numbers"),
        ({"temperature_c": {"sentinels": [10**400]}}, "holds lists of at most 64 numbers"),
        ({"temperature_c": {"power_on": [1] * 65}}, "holds lists of at most 64 numbers"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(scope: Any, says: str) -> None:
    for where, tables in (
        ("default", (scope, {}, {})),
        ("charging_pile", ({}, {"charging_pile": scope}, {})),
        ("LY-1", ({}, {}, {"LY-1": scope})),
    ):
        with pytest.raises(AbsencesError, match=f"{where}: .*{says}"):
            absences(*tables)
