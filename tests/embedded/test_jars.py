"""What is made once for the cache is there whole or not at all, whoever makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded.kafka.jars import keep


def _filled(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "one").write_text(text)


def test_who_is_slower_takes_what_the_other_has_made(tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "jars"

    def make(folder: Path) -> None:
        _filled(folder, "slow")
        keep(kept, lambda other: _filled(other, "fast"))

    keep(kept, make)
    assert (kept / "one").read_text() == "fast"
    assert list(kept.parent.iterdir()) == [kept]


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "jars"

    def make(folder: Path) -> None:
        _filled(folder, "half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        keep(kept, make)
    assert list(kept.parent.iterdir()) == []
