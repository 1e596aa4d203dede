"""The limits of elements, as detectors see them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class LimitRows:
    """The limits of m elements, of one alarm kind: `limits["warning"]` is that of each. `profile` is int64[m]."""

    def __init__(self, columns: Mapping[str, np.ndarray], profile: np.ndarray) -> None:
        self._columns = columns
        self._profile = profile

    def __getitem__(self, name: str) -> np.ndarray:
        limit: np.ndarray = self._columns[name][self._profile]
        return limit

    def take(self, which: np.ndarray) -> LimitRows:
        """Those of the elements `which` (a mask or indices) selects."""
        return LimitRows(self._columns, self._profile[which])
