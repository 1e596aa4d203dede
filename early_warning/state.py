"""What is learned of components: one array a field, one row a component, and the same as bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from early_warning.regression import SUMS

SLOTS: Final = 48
"""Hours of a workday, then those of another day."""
RING_HOURS: Final = 24
RING_DAYS: Final = 70
"""A level a day: sixty days ago, and some days around it."""
RING_WEEKS: Final = 10
NEVER: Final = 0
"""The hour of what has not happened: no device has reported from 1970."""

_LINE: Final = tuple((name, np.float64, ()) for name in SUMS)
_NORMAL: Final = (
    ("taken", np.int32, ()),
    ("first", np.int32, ()),
    ("anew_hour", np.int32, ()),
    ("samples", np.int32, ()),
    ("normal", np.float32, (SLOTS,)),
    ("slot_samples", np.uint8, (SLOTS,)),
    ("spread", np.float32, ()),
    ("level", np.float32, (RING_HOURS,)),
    ("rise", np.float32, (RING_HOURS,)),
    *((f"load_{name}", dtype, shape) for name, dtype, shape in _LINE),
    *((f"shared_{name}", dtype, shape) for name, dtype, shape in _LINE),
    ("told_hour", np.int32, (2,)),
    ("told_excess", np.float32, (2,)),
    ("quiet", np.int32, (2,)),
)
"""What every component has: `taken` is the newest hour that was taken, `first` the first since it began to learn,
`anew_hour` that of the newest order to learn anew. `normal` is its normal by slot. `level` is its value less what
weather explains, and `rise` what is over or under its normal unexplained, of the last 24 hours. `told_` is of what it
has told above and below its normal, `quiet` for how many values nothing was to tell."""
FIELDS: Final = {
    "residual_current_ma": (
        *_NORMAL,
        ("unexplained", np.float32, (RING_HOURS,)),
        ("day", np.float32, (RING_DAYS,)),
        ("wet_hour", np.int32, ()),
        ("wet_rise", np.float32, ()),
    ),
    "temperature_c": (
        *_NORMAL,
        ("day", np.float32, (RING_DAYS // 3,)),
        ("week", np.int32, ()),
        *((f"heat_{name}", dtype, shape) for name, dtype, shape in _LINE),
        ("ratio", np.float32, (RING_WEEKS,)),
    ),
}
"""By quantity its fields: name, dtype and shape of a row."""
_GAPS: Final = ("level", "rise", "unexplained", "day", "ratio")
"""Fields that are NaN where nothing is known; the others are 0."""

LearnedRows = Mapping[str, np.ndarray]
"""Some components' rows, by field."""


class ComponentKey(NamedTuple):
    """Which component of which device; it counts from 0."""

    device_id: str
    component: int


class LearnedState:
    """What is learned of the components of one quantity: `fields[name]` is [n, ...], `keys` names the rows."""

    def __init__(self, quantity: str) -> None:
        self.quantity = quantity
        self.keys: list[ComponentKey] = []
        self.fields: dict[str, np.ndarray] = {
            name: _at_rest(name, dtype, (0, *shape)) for name, dtype, shape in FIELDS[quantity]
        }
        self._at: dict[ComponentKey, int] = {}

    def rows_of(self, keys: Iterable[ComponentKey]) -> np.ndarray:
        """The rows of components, int64[m]; those that are new get rows at rest."""
        found = [self._at.setdefault(key, len(self._at)) for key in keys]
        if new := len(self._at) - len(self.keys):
            self.keys.extend(list(self._at)[len(self.keys) :])
            for name, dtype, shape in FIELDS[self.quantity]:
                self.fields[name] = np.concatenate([self.fields[name], _at_rest(name, dtype, (new, *shape))])
        return np.array(found, np.int64)

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of some rows."""
        return {name: held[rows] for name, held in self.fields.items()}

    def put(self, rows: np.ndarray, held: LearnedRows) -> None:
        """Put rows back."""
        for name, values in held.items():
            self.fields[name][rows] = values

    def learn_anew(self, rows: np.ndarray) -> None:
        """Forget all but which hour was taken last, so that no hour is taken twice."""
        for name, dtype, shape in FIELDS[self.quantity]:
            if name not in ("taken", "anew_hour"):
                self.fields[name][rows] = _at_rest(name, dtype, (1, *shape))

    def to_bytes(self, rows: np.ndarray) -> bytes:
        """Some rows as bytes, self-describing by the names of fields."""
        buffer = io.BytesIO()
        keys = [self.keys[row] for row in rows]
        names = np.array([key.device_id for key in keys], dtype=np.str_)
        numbers = np.array([key.component for key in keys], np.uint8)
        np.savez(buffer, allow_pickle=False, device_id=names, component=numbers, **self.take(rows))
        return buffer.getvalue()

    def add_bytes(self, stored: Sequence[bytes]) -> None:
        """Add rows that `to_bytes` made, in this or another release: a field that they lack is at rest, one that is not
        known here or has another shape is dropped. All at once, so that arrays grow once. Raises ValueError where the
        bytes are none."""
        try:
            blocks = [np.load(io.BytesIO(one), allow_pickle=False) for one in stored]
            names = [name for held in blocks for name in held["device_id"].tolist()]
            rows = self.rows_of(
                map(ComponentKey, names, (one for held in blocks for one in held["component"].tolist()))
            )
            for held in blocks:
                count = len(held["component"])
                self._add(held, rows[:count])
                rows = rows[count:]
        except (OSError, KeyError, EOFError, ValueError) as error:
            raise ValueError(f"these are no rows of learned state: {error}") from error

    def _add(self, held: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        for name in self.fields.keys() & set(held):
            values = held[name]
            if values.shape == (len(rows), *self.fields[name].shape[1:]):
                self.fields[name][rows] = values


def empty_states() -> dict[str, LearnedState]:
    """Nothing learned, of each quantity that is judged."""
    return {quantity: LearnedState(quantity) for quantity in FIELDS}


def _at_rest(name: str, dtype: type, shape: Sequence[int]) -> np.ndarray:
    return np.full(shape, np.nan if name in _GAPS else 0, dtype)
