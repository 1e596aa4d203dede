"""The charges of a round: put together of what is said of ports, each told as one event once it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from detectors.charging.ports import PORT, SHAPE, TIMES, PortsOfRound, facts_of
from detectors.charging.power import note_power
from detectors.charging.reported import Reported, reported
from detectors.charging.turns import FLOWS_W, UNKNOWN, WAITS_MS, EndedCharge, PortSaid, PortTurn, is_gone
from detectors.rounds import Context, QuantityValues, Round
from detectors.state import PORTS, Devices
from detectors.table import Table
from detectors.values import RoundValues
from schemas.charging import stop_sort
from schemas.charging_sessions import ChargingSession, session_id
from schemas.events import VERSION

TURNS: Final = 2
"""Charges of one port that may be over by one report: one that was not seen to end, and one that is settled."""


def take(shown: Sequence[QuantityValues], found: RoundValues, taken: Round, context: Context) -> PortsOfRound | None:
    """Take what the reports of a round say of ports. What is known of these then; None where nothing is said of any."""
    said = reported(shown, found, taken, context)
    if said is None:
        return None
    ports = context.state.ports
    for number in _turns(ports, said).nonzero()[0].tolist():
        _take_one(said, number, taken, context)
    note_power(ports, said)
    _note_state(ports, said)
    return PortsOfRound(said.which, said.port, len(taken.row), facts_of(ports, said.slots, said.ts))


def begin_anew(state: Devices, rows: np.ndarray, ts: np.ndarray) -> None:
    """The clocks of these devices were set back: nothing of their ports lies after `ts`, and the shape of a charge, of
    which parts may come once more, begins anew."""
    width = state.rows["width"][rows, PORTS]
    if not np.count_nonzero(width):
        return
    slots, ts = state.slots(PORTS, rows), np.repeat(ts, width)
    for name in TIMES:
        state.ports[name][slots] = np.minimum(state.ports[name][slots], ts)
    for name in SHAPE:
        state.ports[name][slots] = 0


def _turns(ports: Table, said: Reported) -> np.ndarray:
    """Which reports may change more of a port than what flows, bool[m]."""
    slots = said.slots
    lasts, stopped_ts = ports["began_ts"][slots] > 0, ports["stopped_ts"][slots]
    gone = is_gone(ports["seen_ts"][slots], said.ts, said.charge_s, said.reason)
    is_due = (stopped_ts > 0) & (said.charges | (said.ts - stopped_ts >= WAITS_MS))
    stops = said.stops & (stopped_ts == 0)
    begins = said.charges | (np.isnan(said.state) & (said.power > FLOWS_W))
    found: np.ndarray = ~np.isnan(said.reason) | np.where(lasts, gone | is_due | stops, begins)
    return found


def _take_one(said: Reported, number: int, taken: Round, context: Context) -> None:
    one, ports = said.take(np.array([number])), context.state.ports
    slot = int(one.slots[0])
    held = {name: ports[name][slot].tolist() for name in PORT.names or ()}
    values = (one.ts, one.state, one.power, one.reason, one.charge_s, one.charge_wh, one.charges, one.stops)
    turn = PortTurn(held, PortSaid._make(column[0].item() for column in values))
    for order, ended in enumerate(turn.take()):
        result = context.result_of(int(taken.report[one.which[0]]))
        result.sessions.append(_told(ended, order, int(one.which[0]), int(one.port[0]), taken, context))
    for name, value in turn.held.items():
        ports[name][slot] = value


def _told(ended: EndedCharge, order: int, which: int, port: int, taken: Round, context: Context) -> ChargingSession:
    state, reports = context.state, context.reports
    row, report = int(taken.row[which]), int(taken.report[which])
    device_id, test = state.device_ids[row], bool(state.rows["test"][row])
    return ChargingSession(
        v=VERSION,
        session_id=session_id(device_id, port, ended.began_ts, test),
        device_id=device_id,
        device_kind=state.kind_name(row),
        test=test,
        port=port,
        began_ts=ended.began_ts,
        ended_ts=ended.ended_ts,
        energy_wh=None if ended.energy_wh == UNKNOWN else ended.energy_wh,
        power_w_max=None if ended.greatest_w == UNKNOWN else ended.greatest_w,
        stop_reason=ended.reason,
        ended_as=stop_sort(ended.reason),
        settled=ended.settled,
        amended=ended.amended,
        ingest_ts=int(taken.ingest_ts[which]),
        source_offset=int(reports.offset[report]),
        source_ordinal=ordinal(max(int(reports.index[report]), 0), port, order),
    )


def ordinal(index: int, port: int, order: int) -> int:
    """The ordinal of a charge among those that follow from a record."""
    return index << 8 | TURNS * port + order


def _note_state(ports: Table, said: Reported) -> None:
    """Keep what ports say of their state."""
    said = said.take(~np.isnan(said.state))
    slots, off_ts = said.slots, ports["off_ts"][said.slots]
    ports["state"][slots], ports["state_ts"][slots] = said.state.astype(np.int64) + 1, said.ts
    ports["off_ts"][slots] = np.where(said.is_off, np.where(off_ts > 0, off_ts, said.ts), 0)
