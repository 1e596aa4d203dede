"""Entries that are handed out are one owner's alone, and are handed out again once given back."""

from __future__ import annotations

import random

import numpy as np

from detectors.table import Pool, Room, Table, runs

PAIR = np.dtype([("number", "i8"), ("name", "u1", (2,))])


def sizes(*wanted: int) -> np.ndarray:
    return np.array(wanted, dtype=np.int64)


def test_no_entry_ever_has_two_owners_and_none_is_entry_0() -> None:
    rng, room = random.Random(1), Room()
    owned: list[tuple[int, int]] = []
    for _ in range(200):
        wanted = [rng.randint(1, 4) for _ in range(rng.randint(1, 5))]
        owned += zip(room.allot(sizes(*wanted)).tolist(), wanted, strict=True)
        taken = [entry for first, size in owned for entry in range(first, first + size)]
        assert len(taken) == len(set(taken))
        assert min(taken) > 0
        assert max(taken) < room.used
        rng.shuffle(owned)
        back, owned = owned[:3], owned[3:]
        room.release(sizes(*(first for first, _ in back)), sizes(*(size for _, size in back)))


def test_what_was_given_back_is_handed_out_before_anything_new() -> None:
    room = Room()
    first = room.allot(sizes(3, 2, 3))
    used = room.used
    room.release(first, sizes(3, 2, 3))
    assert sorted(room.allot(sizes(3, 3, 2)).tolist()) == sorted(first.tolist())
    assert room.used == used


def test_a_table_grows_without_losing_anything_and_is_packed_and_unpacked_the_same() -> None:
    table, entries = Table(PAIR, 2), np.array([(7, (1, 2)), (8, (3, 4))], dtype=PAIR)
    table.unpack(np.array([1, 0]), entries)
    table.grow(1_000)
    assert (table.packed(np.array([1, 0])) == entries).all()
    table.copy(np.array([0, 1]), np.array([900, 901]))
    table.clear(np.array([0, 1]))
    assert (table.packed(slice(900, 902)) == entries[::-1]).all()
    assert not table["number"][:900].any()


def test_blocks_have_room_for_what_they_hand_out() -> None:
    pool = Pool(PAIR)
    wanted = sizes(5, 70, 1)
    entries = runs(pool.allot(wanted), wanted)
    pool["number"][entries] = np.arange(76)
    assert pool["number"][entries].tolist() == list(range(76))


def test_runs_are_the_numbers_of_each_in_a_row() -> None:
    assert runs(sizes(5, 9, 1), sizes(2, 0, 3)).tolist() == [5, 6, 1, 2, 3]
    assert runs(sizes(), sizes()).tolist() == []
