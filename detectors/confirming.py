"""How a level is confirmed, by how often a component speaks (domain.md, Confirming).

A component that speaks often is believed by time: what it was over a level within a sliding window counts, so that 1 s
of 2 is seen, and one sample is not. One that speaks each minute or so is believed at its second value in a row. Until
one that speaks more seldom has said it twice, its first value may be told as provisional.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

FAST_MS: Final = 10_000
"""Up to this interval a component is believed by time (domain.md, Confirming)."""
SELDOM_MS: Final = 120_000
"""Above this interval, or where none is known, its first value over a level is told (domain.md, Confirming). A kind of
alarm that must last for longer than this is never told by a first value."""
WINDOW_MS: Final = 30_000
"""The window in which time over a level counts: what the standards allow an alarm (domain.md, Default limits)."""
WINDOWS: Final = 2
"""A level that must last for longer has a window of so many times that [ours]."""

Times = dict[str, np.ndarray]
"""Of m values `ts`, `step_ms`, `elapsed_ms` and `gap` as in `detectors.latch.Elements`, and `clock_ms`: the time that a
latch has counted since it was engaged."""


def stretch_fields(name: str) -> list[tuple[str, str]]:
    """The fields of a stretch at a level: since when, epoch ms, 0 for none; how long its values have lasted in a row,
    or -1 where the last one was not of them; and how long they lasted in the window that runs and in the one before, in
    ms."""
    return [(f"{name}_since", "i8"), (f"{name}_ms", "i8"), (f"{name}_now_ms", "i8"), (f"{name}_before_ms", "i8")]


def is_fast(interval_ms: Any, gap: Any) -> Any:
    """Which components are believed by time, bool[m]."""
    return (interval_ms > 0) & (interval_ms <= FAST_MS) & ~gap


def is_seldom(interval_ms: Any, gap: Any) -> Any:
    """Which components speak so seldom that a first value is told, bool[m]."""
    return (interval_ms == 0) | (interval_ms > SELDOM_MS) | gap


def window_ms(confirm_ms: Any) -> Any:
    """The window of a level that must last for `confirm_ms`, int64[m]."""
    return np.maximum(WINDOW_MS, WINDOWS * confirm_ms)


def confirms(
    held: np.ndarray, name: str, holds: np.ndarray, confirm_ms: np.ndarray, times: Times, fast: np.ndarray
) -> np.ndarray:
    """Note in the fields of a stretch, in place, for how long values have been such as it `holds` of, bool[m], and say
    where that is confirmed, bool[m]: of those that are `fast` by time in a window, of the others in a row."""
    confirmed, many_fast = np.zeros(len(held), np.bool_), np.count_nonzero(fast)
    if not (np.count_nonzero(holds) or np.count_nonzero(held[f"{name}_since"])):
        return confirmed
    if many_fast in (0, len(fast)):
        return (_within if many_fast else _in_a_row)(held, name, holds, confirm_ms, times)
    for which, confirms_part in ((fast, _within), (~fast, _in_a_row)):
        if np.count_nonzero(which):
            part = held[which]
            of_part = {field: column[which] for field, column in times.items()}
            confirmed[which] = confirms_part(part, name, holds[which], confirm_ms[which], of_part)
            held[which] = part
    return confirmed


def begin_anew(held: np.ndarray, name: str, which: np.ndarray) -> None:
    """Let a stretch have no value yet, where `which` says so, bool[m]."""
    for field, _ in stretch_fields(name):
        held[field][which] = 0


def lasts(held: np.ndarray, name: str, holds: np.ndarray, confirm_ms: np.ndarray, times: Times) -> np.ndarray:
    """As `confirms`, of values in a row that must last, however often their components speak. A single one is enough
    where the time is negative (`schemas.limit_sections.AT_ONCE_MS`)."""
    goes_on = _goes_on(held, name, holds, times) & (held[f"{name}_ms"] >= confirm_ms)
    return np.asarray(goes_on | (holds & (confirm_ms < 0)))


def _in_a_row(held: np.ndarray, name: str, holds: np.ndarray, confirm_ms: np.ndarray, times: Times) -> np.ndarray:
    """A second value is enough, but for what must last for minutes."""
    enough = (confirm_ms <= SELDOM_MS) | (held[f"{name}_ms"] + times["step_ms"] >= confirm_ms)
    confirmed: np.ndarray = (_goes_on(held, name, holds, times) & enough) | (holds & (confirm_ms == 0))
    return confirmed


def _goes_on(held: np.ndarray, name: str, holds: np.ndarray, times: Times) -> np.ndarray:
    """Take values on in the fields of a stretch, in place. Which follow another in a row, bool[m]."""
    since, lasted = held[f"{name}_since"], held[f"{name}_ms"]
    goes_on: np.ndarray = holds & (since > 0) & (lasted >= 0) & ~times["gap"]
    held[f"{name}_since"] = np.where(goes_on, since, np.where(holds, times["ts"], 0))
    held[f"{name}_ms"] = np.where(goes_on, lasted + times["step_ms"], 0)
    held[f"{name}_now_ms"] = held[f"{name}_before_ms"] = 0
    return goes_on


def _within(held: np.ndarray, name: str, holds: np.ndarray, confirm_ms: np.ndarray, times: Times) -> np.ndarray:
    """The window slides over two fixed ones: of the one before counts the share that it still covers. A value stands
    for the time since the one before, which may lie in both."""
    clock_ms, step_ms, window = times["clock_ms"], times["step_ms"], window_ms(confirm_ms)
    since, into = held[f"{name}_since"], clock_ms % window
    begun, lasted = since > 0, held[f"{name}_ms"]
    passed = clock_ms // window - (clock_ms - times["elapsed_ms"]) // window
    now_ms, before_ms = held[f"{name}_now_ms"], held[f"{name}_before_ms"]
    before_ms = np.where(passed == 0, before_ms, np.where(passed == 1, now_ms, 0))
    now_ms = np.where(passed == 0, now_ms, 0)
    # A first value does not say for how long it has been so.
    stands_ms = np.where(holds, np.where(begun, step_ms, 1), 0)
    of_now = np.where(passed == 0, stands_ms, np.minimum(stands_ms, into + ~begun))
    before_ms, now_ms = np.minimum(before_ms + stands_ms - of_now, window), now_ms + of_now
    held[f"{name}_now_ms"], held[f"{name}_before_ms"] = now_ms, before_ms
    is_there = (now_ms > 0) | (before_ms > 0)
    held[f"{name}_since"] = np.where(holds & ~begun, times["ts"], np.where(holds | is_there, since, 0))
    held[f"{name}_ms"] = np.where(
        holds, np.where(begun & (lasted >= 0), lasted + step_ms, 0), -is_there.astype(np.int64)
    )
    confirmed: np.ndarray = holds & (now_ms + before_ms * (window - into) // window >= confirm_ms)
    return confirmed
