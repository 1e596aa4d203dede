"""Runs: however the hours are cut into them, repeated or caught up with, the same is told and learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from early_warning.advance import CURRENT, HourlyValues, RelearnOrder
from early_warning.parameters import ParametersError, load_parameters
from early_warning.state import ComponentKey, LearnedState, empty_states
from early_warning.table import LEAKAGE, TEMPERATURE
from schemas.notices import Notice, notice_id
from tests.early_warning.given_hours import FIRST, hours_of, neighbour, told

DEVICES: Final = tuple("ABCDEF")
HOURS: Final = 11 * 24


def _hours() -> dict[str, HourlyValues]:
    rng = np.random.default_rng(7)
    made = {}
    for quantity, parts, base in ((LEAKAGE, 1, 40.0), (TEMPERATURE, 3, 30.0), (CURRENT, 3, 10.0)):
        values = base * (1 + 0.05 * rng.standard_normal((len(DEVICES), parts, HOURS)))
        values[rng.random(values.shape) < 0.05] = np.nan
        values[0, :, 8 * 24 :] += 60
        values[1, 0, 9 * 24 :] += 30
        made[quantity] = hours_of(dict(zip(DEVICES, values, strict=True)))
    return made


ALL: Final = _hours()
ENTRIES: Final = [neighbour(name) for name in DEVICES]
ORDERS: Final = (RelearnOrder(FIRST + 10 * 24, "accept_rise", "A"),)


def _part(begin: int, end: int) -> dict[str, HourlyValues]:
    return {name: HourlyValues(v.keys, v.value[:, begin:end], v.counts[:, begin:end]) for name, v in ALL.items()}


def _told(states: Mapping[str, LearnedState], begin: int, end: int) -> list[Notice]:
    return told(_part(begin, end), ORDERS, ENTRIES, states, FIRST + begin)


def _bytes(states: Mapping[str, LearnedState]) -> list[bytes]:
    return [held.tobytes() for state in states.values() for held in state.fields.values()]


WHOLE_STATES: Final = empty_states()
WHOLE: Final = _told(WHOLE_STATES, 0, HOURS)


def test_there_is_something_to_tell() -> None:
    assert {one.device_id for one in WHOLE} == {"A", "B"}
    assert len({one.notice_id for one in WHOLE}) == len(WHOLE)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(1, HOURS - 1), unique=True, max_size=4).map(sorted))
def test_any_cut_of_the_hours_into_runs_tells_and_teaches_the_same(cuts: list[int]) -> None:
    states, found = empty_states(), list[Notice]()
    for begin, end in zip([0, *cuts], [*cuts, HOURS], strict=True):
        found += _told(states, begin, end)
    assert found == WHOLE
    assert _bytes(states) == _bytes(WHOLE_STATES)


@settings(max_examples=4, deadline=None)
@given(st.integers(1, HOURS - 1), st.integers(1, 48))
def test_hours_that_come_again_change_nothing(cut: int, again: int) -> None:
    states = empty_states()
    found = _told(states, 0, cut)
    found += _told(states, max(0, cut - again), HOURS)
    assert found == WHOLE
    assert _bytes(states) == _bytes(WHOLE_STATES)


def test_a_run_from_the_stored_state_goes_on_as_if_it_had_never_ended() -> None:
    states, restored = empty_states(), empty_states()
    found = _told(states, 0, 205)
    for quantity, state in states.items():
        rows = np.arange(len(state.keys))
        restored[quantity].add_bytes([state.to_bytes(part) for part in np.array_split(rows, 3)])
    found += _told(restored, 205, HOURS)
    assert found == WHOLE


def test_components_that_come_later_get_rows_of_their_own() -> None:
    states = empty_states()
    told({LEAKAGE: hours_of({"A": [np.full(3, 40.0)]})}, states=states)
    told({LEAKAGE: hours_of({"B": [np.full(3, 50.0)], "A": [np.full(3, 40.0)]})}, states=states, first=FIRST + 3)
    state = states[LEAKAGE]
    assert state.keys == [ComponentKey("A", 0), ComponentKey("B", 0)]
    assert state.fields["samples"].tolist() == [6, 3]


def test_state_of_another_release_is_read_by_names() -> None:
    states = empty_states()
    told({LEAKAGE: hours_of({"A": [np.full(3, 40.0)]})}, states=states)
    state = states[LEAKAGE]
    state.fields["unknown_here"] = np.zeros(1)
    del state.fields["spread"]
    restored = LearnedState(LEAKAGE)
    restored.add_bytes([state.to_bytes(np.array([0]))])
    assert restored.fields["samples"].tolist() == [3]
    assert restored.fields["spread"].tolist() == [0]
    assert "unknown_here" not in restored.fields
    with pytest.raises(ValueError, match="no rows of learned state"):
        restored.add_bytes([b"something else"])


def test_a_notice_is_known_by_rule_subject_and_hour() -> None:
    one = WHOLE[0]
    again = notice_id(one.rule, one.device_id, one.quantity, one.component, one.hour_ts)
    assert one.notice_id == again
    assert Notice.from_json(one.to_json()) == one
    assert notice_id("drift", one.device_id, one.quantity, one.component, one.hour_ts) != again


def test_parameters_of_a_file_go_over_those_that_are_shipped(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "mine.toml"
    file.write_text("[heat]\nrise = 20\n", encoding="utf-8")
    assert load_parameters(file)["heat"] == load_parameters()["heat"] | {"rise": 20}
    for text, what in (
        ("[heat]\nrsie = 1\n", "no parameter"),
        ("[heat]\nrise = 0\n", "above 0"),
        ("heat = 3\n", "a table"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ParametersError, match=what):
            load_parameters(file)
