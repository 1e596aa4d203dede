"""What one does with blocks before they are written: keep some rows, merge several, cut, drop repeats. Pure functions.

Output topics repeat events after a crash, always at positions at or below the highest seen in their partition (see
`schemas.events`). `drop_repeats` keeps the records whose position is above all positions before it.

An ordinal of -1 is no position: statuses of silence had none in releases before, and are stored as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

from schemas.positions import Position
from sinks.columns import join, keep
from sinks.contract import Block


def keep_rows(block: Block, rows: np.ndarray) -> Block:
    """The rows of a block where the mask, bool[rows], is true."""
    columns = {name: keep(column, rows) for name, column in block.columns.items()}
    return block._replace(columns=columns, rows=int(np.count_nonzero(rows)))


def merge(blocks: Sequence[Block]) -> Block:
    """Blocks of one table as one, in the order given: that of the offsets, within each partition."""
    first = blocks[0]
    if len({block.table for block in blocks}) > 1:
        raise ValueError(f"blocks of different tables: {sorted({block.table for block in blocks})}")
    if len(blocks) == 1:
        return first
    return Block(
        table=first.table,
        columns={name: join([block.columns[name] for block in blocks]) for name in first.columns},
        rows=sum(block.rows for block in blocks),
        malformed=tuple(chain.from_iterable(block.malformed for block in blocks)),
    )


def cut(block: Block, changes: np.ndarray) -> Iterator[Block]:
    """The block in pieces, cut before every row where `changes`, bool[rows], is true. The first row's is ignored."""
    edges = [0, *(np.flatnonzero(changes[1:]) + 1), block.rows]
    if block.rows and len(edges) == 2:
        yield block
        return
    number = np.arange(block.rows)
    for first, beyond in pairwise(edges):
        if first < beyond:
            yield keep_rows(block, (number >= first) & (number < beyond))


def drop_repeats(block: Block, position: Position | None) -> tuple[Block, Position | None]:
    """Drop the records at or below the highest position before them, of this block and, as `position`, of earlier ones.

    The block is of one partition of an output topic. All rows of a record share its position, and stay or go together.
    Returns what is left and the position to hand in with the next block.
    """
    if block.rows == 0:
        return block, position
    positions = _positions(block)
    record = _record_numbers(np.asarray(block.columns["offset"]))
    first_rows = np.flatnonzero(np.diff(record, prepend=-1))
    before = np.array([position if position is not None else (-1, -1, -1)], dtype=np.int64)
    rank = _rank(np.concatenate([before, positions[first_rows]]))
    without = _without_position(block)[first_rows]
    rank[1:][without] = 0
    highest = np.maximum.accumulate(rank)
    rising = highest[1:] > highest[:-1]
    kept = rising | without
    left = block if kept.all() else keep_rows(block, kept[record])
    if not rising.any():
        return left, position
    last = positions[first_rows[np.argmax(rank[1:])]]
    return left, Position(*map(int, last))


def _without_position(block: Block) -> np.ndarray:
    """Which rows are of events without a position, bool[rows]."""
    ordinals = block.columns.get("source_ordinal")
    return np.zeros(block.rows, np.bool_) if ordinals is None else np.asarray(ordinals) == -1


def _positions(block: Block) -> np.ndarray:
    """(generation, source_offset, source_ordinal or source_index) of each row, int64[rows, 3]."""
    last = "source_ordinal" if "source_ordinal" in block.columns else "source_index"
    columns = (block.columns[name] for name in ("generation", "source_offset", last))
    return np.stack([np.asarray(column, dtype=np.int64) for column in columns], axis=1)


def _record_numbers(offset: np.ndarray) -> np.ndarray:
    """Number the records of a block from 0, by row: int64[rows]."""
    return np.cumsum(np.diff(offset, prepend=offset[:1]) != 0)


def _rank(positions: np.ndarray) -> np.ndarray:
    """The dense rank of each position in lexicographic order; equal positions rank equal. int64[n]."""
    order = np.lexsort(positions.T[::-1])
    ordered = positions[order]
    steps = np.any(ordered[1:] != ordered[:-1], axis=1)
    rank = np.zeros(len(positions), dtype=np.int64)
    rank[order[1:]] = np.cumsum(steps)
    return rank
