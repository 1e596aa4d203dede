from __future__ import annotations

import pytest

from tests.detectors.given_orders import elsewhere


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch) -> None:
    """LY-1 belongs elsewhere where there are more than 8 partitions."""
    monkeypatch.setattr("streams.pieces.is_misplaced", lambda key, number, partitions: elsewhere(key, partitions))
