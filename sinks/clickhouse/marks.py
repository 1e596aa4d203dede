"""Which alarms may be open: marks, by which the view `open_alarms` costs what is open, and not the history.

A mark only says where to look; whether an alarm is open, its events say, which the view reads by device and id. So it
is exact if no alarm that is open lacks its mark, and marks too many cost a look each. That none lacks it:

- An alarm is open from the event on that opens or confirms it. A sink marks what a block opens or confirms before it
  stores the block. If it dies in between, the mark is of nothing, and whoever stores the block marks it again.
- It marks what a block ends after the block is stored. If it dies in between, one mark is left over.
- Whoever takes partitions over marks all that is stored of them, has no end and is an alarm, that is has an event
  other than those of a provisional: what sinks of releases before have stored, and what a backup holds of which the
  marks are older.

A provisional is no open alarm and has no mark, and what withdraws it ends none. Some wait for ever, and a mark of one
of these would cost a look for ever.

A materialized view would be neither: its rows are a part of their own, and if the server dies after one of the two
parts is there, the INSERT that is tried again leaves out what is stored, and so the view never sees it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from schemas.events import AlarmEvent
from sinks.clickhouse.claims import Whence
from sinks.clickhouse.wire import BlockClient
from sinks.columns import keep
from sinks.contract import Block

MARKED: Final = "alarm_events"
"""The table whose blocks are marked."""
_OPENINGS: Final = (AlarmEvent.OPENED.value, AlarmEvent.CONFIRMED.value)
_OF_PROVISIONALS: Final = (AlarmEvent.PROVISIONAL.value, AlarmEvent.WITHDRAWN.value)
_ENDS: Final = (AlarmEvent.SUPERSEDED.value, AlarmEvent.RESET.value, AlarmEvent.CLOSED.value)
_INSERT: Final = "INSERT INTO alarm_marks (device_id, alarm_id, sign) VALUES"
# Ids as 16 bytes, for those of years are held in memory.
_MARK_STORED: Final = f"""
    INSERT INTO alarm_marks (device_id, alarm_id, sign)
    SELECT DISTINCT device_id, alarm_id, 1 FROM {MARKED}
    WHERE topic = %(topic)s AND topic_id = %(topic_id)s AND `partition` IN %(partitions)s
        AND event NOT IN %(of_provisionals)s
        AND sipHash128(alarm_id) NOT IN (SELECT sipHash128(alarm_id) FROM {MARKED} WHERE event IN %(ends)s)
        AND (device_id, alarm_id) NOT IN (SELECT device_id, alarm_id FROM open_candidates)
"""  # noqa: S608


def mark_stored(client: BlockClient, whence: Whence) -> None:
    """Mark what is stored of partitions that are taken over, and open."""
    client.execute(_MARK_STORED, whence.params | {"ends": _ENDS, "of_provisionals": _OF_PROVISIONALS})


def opened(part: Block) -> Block | None:
    """The marks to make before a block of events is stored; None for none."""
    return _marks(part, np.array([event in _OPENINGS for event in _events(part)], np.bool_), 1)


def ended(part: Block) -> Block | None:
    """The marks to make once it is stored; None for none."""
    return _marks(part, np.array([event in _ENDS for event in _events(part)], np.bool_), -1)


def put(client: BlockClient, marks: Block) -> None:
    """Store marks. May be repeated."""
    client.execute(_INSERT, marks)


def _events(part: Block) -> list[str]:
    return list(part.columns["event"])  # type: ignore[arg-type]


def _marks(part: Block, rows: np.ndarray, sign: int) -> Block | None:
    if not rows.any():
        return None
    columns = {name: keep(part.columns[name], rows) for name in ("device_id", "alarm_id")}
    count = int(np.count_nonzero(rows))
    return Block("alarm_marks", columns | {"sign": np.full(count, sign, np.int8)}, count)
