"""What is not as it was written is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.seals import EPOCH_MOST, Opened, SealError, opened, sealed

IDS = bytes(range(32))
KEYS = st.binary(min_size=1, max_size=20).map(lambda rest: b"0" + rest) | st.just(b"partition")
VALUES = st.binary(max_size=200).map(lambda rest: b"\x04" + rest)
PROFILE = settings(max_examples=200, deadline=None, derandomize=True)


@PROFILE
@given(key=KEYS, value=VALUES, epoch=st.integers(0, EPOCH_MOST))
def test_what_is_sealed_is_opened(key: bytes, value: bytes, epoch: int) -> None:
    assert opened(key, sealed(key, value, IDS, epoch), IDS) == Opened(value, epoch)


@PROFILE
@given(key=KEYS, value=VALUES, bit=st.integers(0, 10_000))
def test_one_bit_that_is_another_is_noticed(key: bytes, value: bytes, bit: int) -> None:
    whole = bytearray(sealed(key, value, IDS, 7))
    whole[bit // 8 % len(whole)] ^= 1 << bit % 8
    # What begins like a row of before seals is read by its layout, which it then has not.
    if key[:1] == b"0" and whole[0] in (2, 3):
        assert opened(key, bytes(whole), IDS) == Opened(bytes(whole), 0)
    else:
        with pytest.raises(SealError, match="its checksum is another"):
            opened(key, bytes(whole), IDS)


@PROFILE
@given(key=KEYS, value=VALUES, size=st.integers(1, 300))
def test_what_is_cut_off_is_noticed(key: bytes, value: bytes, size: int) -> None:
    whole = sealed(key, value, IDS, 7)
    with pytest.raises(SealError):
        opened(key, whole[: max(len(whole) - size, 0)], IDS)


def test_what_is_under_another_key_or_of_other_topics_is_noticed() -> None:
    whole = sealed(b"0LY-1", b"\x04row", IDS, 7)
    for key, topic_ids in ((b"0LY-2", IDS), (b"1LY-1", IDS), (b"0LY-1", IDS[::-1]), (b"0LY-1", b"")):
        with pytest.raises(SealError, match="its checksum is another"):
            opened(key, whole, topic_ids)


def test_an_epoch_after_which_there_is_none_is_refused() -> None:
    with pytest.raises(SealError, match="its writer's epoch is"):
        opened(b"0LY-1", sealed(b"0LY-1", b"\x04row", IDS, EPOCH_MOST + 1), IDS)


@pytest.mark.parametrize("version", [2, 3])
def test_a_row_of_a_release_without_seals_is_what_it_is(version: int) -> None:
    value = bytes([version]) + b"row"
    assert opened(b"0LY-1", value, IDS) == Opened(value, 0)
    with pytest.raises(SealError):
        opened(b"partition", value, IDS)
