"""What a report says of ports, port by port. See `detectors.twin`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from detectors.twin.charging import Over, PortReport, TwinFacts, TwinPort
from detectors.twin.devices import Device, TwinReport
from schemas.charging import PORT_STATES, STOP_REASONS
from schemas.charging_sessions import ChargingSession, session_id
from schemas.events import VERSION

Where = tuple[str, int]
SAID: Final = ("port_state", "power_w", "stop_reason")


def charges(
    device: Device, report: TwinReport, values: Mapping[Where, float], live: set[Where]
) -> tuple[list[ChargingSession], dict[int, TwinFacts]]:
    """The charges that are over by a report, and what is known then of the ports that it tells of."""
    found, facts = list[ChargingSession](), dict[int, TwinFacts]()
    for port in sorted({component for name, component in values if name in SAID}):
        said = _said(report, port, values, live)
        held = device.ports.get(port)
        if said.state is None and said.reason is None and (said.power is None or held is None or held.state is None):
            continue
        one = device.ports.setdefault(port, TwinPort())
        for order, over in enumerate(one.take(said)):
            found.append(_event(over, order, device, port, report))
        facts[port] = one.facts(report.ts)
    return found, facts


def port_fault(quantity: str, port: int, value: float) -> list[str]:
    """The note of a port that says something of it is broken."""
    about = PORT_STATES.get(int(value)) if quantity == "port_state" and value == int(value) else None
    return [f"port_fault:{port}:{about.name}"] if about and about.fault else []


def _event(over: Over, order: int, device: Device, port: int, report: TwinReport) -> ChargingSession:
    """What is told of a charge that is over."""
    known = STOP_REASONS.get(over.reason)
    sort = "unknown" if over.reason == 0 else str(known.sort) if known else "abnormal"
    return ChargingSession(
        v=VERSION,
        session_id=session_id(device.device_id, port, over.began_ts, device.test),
        device_id=device.device_id,
        device_kind=device.kind_name,
        test=device.test,
        port=port,
        began_ts=over.began_ts,
        ended_ts=over.ended_ts,
        energy_wh=over.energy_wh,
        power_w_max=over.greatest_w,
        stop_reason=over.reason,
        ended_as=sort,
        settled=over.settled,
        amended=over.amended,
        ingest_ts=report.ingest_ts,
        source_offset=report.offset,
        source_ordinal=report.index * 256 + port * 2 + order,
    )


def _said(report: TwinReport, port: int, values: Mapping[Where, float], live: set[Where]) -> PortReport:
    def newest(name: str) -> float | None:
        return values.get((name, port)) if (name, port) in live else None

    counted = (values.get((name, port)) for name in ("charge_s", "charge_wh"))
    reason = values.get(("stop_reason", port)) or None  # 0 is none
    return PortReport(report.ts, newest("port_state"), newest("power_w"), reason, *counted)
