"""`emberline try`: what emberline makes of recorded reports, without Kafka and without waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import orjson
from msgspec import structs

from cli.command import read_settings
from cli.output import say, say_json
from cli.progress import progress
from cli.trying.notices import HoursOnTrial, notice_told
from cli.trying.registered import entries_in
from common.errors import OperatorError
from common.times import LATEST_TS, local
from detectors.limits import load_limits
from detectors.trial import Arrival, Happening, Trial
from early_warning.calendar import HOUR_MS
from early_warning.parameters import ParametersError
from schemas.charging import code_label
from schemas.charging_sessions import ChargingSession
from schemas.commands import VERSION, CommandKind
from schemas.device_requests import DeviceRequest, RequestKind
from schemas.events import Alarm, ControlOutcome, DeviceStatus, Outcome, Status
from schemas.limit_sections import LimitsError
from schemas.registry import DeviceEntry
from schemas.rejects import RejectEvent
from schemas.report_json import loads
from schemas.topics import NOTICES

_COUNTED: Final = {
    "reports": "报告",
    "absent_values": "无效值",
    "rejects": "拒收",
    "alarms": "告警事件",
    "requests": "设备请求",
    "sessions": "充电记录",
    "statuses": "设备状态",
    "outcomes": "命令",
    "notices": "提示",
}
_BECAME: Final = {Outcome.APPLIED: "已执行", Outcome.REFUSED: "被拒绝", Outcome.REPEATED: "重复，未再执行"}


@click.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--limits",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of limits that differ; EMBERLINE_LIMITS_FILE where it is not given.",
)
@click.option(
    "--registry",
    type=click.Path(exists=True, path_type=Path),
    help="What is registered of the devices: a file or folder for `emberline registry import`, or .jsonl of entries.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as a JSON object on a line, then a summary.")
def try_(file: Path, limits: Path | None, registry: Path | None, as_json: bool) -> None:
    """Show what emberline makes of recorded reports, in their own time, without Kafka; after that, what early warning
    has to say of their hours.

    FILE holds a JSON object a line: {"ingest_ts": epoch ms of arrival, "report": a report or an array of them}, or
    {"ingest_ts": ..., "command": what is ordered of a device}. A command without v or made_ts is of version 1, and made
    when it arrives.
    """
    settings = read_settings()
    try_file(file, limits or settings.limits_path, registry, as_json, settings.early_warning_path)


def try_file(
    file: Path, limits: Path | None, registry: Path | None, as_json: bool, parameters: Path | None = None
) -> None:
    """Print what the reports of a file mean. Raises OperatorError for a line that is none before it prints anything."""
    try:
        hours = HoursOnTrial(parameters)
        trial = Trial(load_limits(limits), minutes=hours.add)
    except (LimitsError, ParametersError) as error:
        raise OperatorError(str(error)) from error
    for entry in entries_in(registry) if registry else ():
        if why := trial.register(entry):
            about = entry.device_id if isinstance(entry, DeviceEntry) else "limits"
            raise OperatorError(f"{registry}: {about}: {why}")
        hours.register(entry)
    total = sum(1 for _ in arrivals(file))
    read = 0

    def counted() -> Iterator[Arrival]:
        nonlocal read
        for read, arrival in enumerate(arrivals(file), start=1):  # noqa: B007 - read is shown
            yield arrival

    with progress("trying", total, lambda: read):
        for event in trial.events(counted()):
            hours.note(event.value)
            say_json(_as_json(event)) if as_json else say(told(event))
    notices = hours.notices()
    for notice in notices:
        at = notice.hour_ts + HOUR_MS
        say_json({"topic": NOTICES.name, "at": at, "value": structs.asdict(notice)}) if as_json else say(
            notice_told(notice)
        )
    summary: dict[str, int] = asdict(trial.summary) | {"notices": len(notices)}
    if as_json:
        say_json({"summary": summary})
    else:
        say("共 " + "，".join(f"{label} {summary[name]}" for name, label in _COUNTED.items()))


def arrivals(file: Path) -> Iterator[Arrival]:
    """The records of a file. Raises OperatorError for a line that is none."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                held = _held(file, number, line)
                yield _arrival(held) if "report" in held else _order(held)
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}") from error


def _held(file: Path, number: int, line: bytes) -> dict[str, Any]:
    wanted = '{"ingest_ts": epoch ms of arrival, "report": a report or an array of reports}'
    try:
        held = loads(line)
    except orjson.JSONDecodeError as error:
        raise OperatorError(f"{file} line {number} is not JSON: {error}; a line is {wanted}") from error
    if type(held) is not dict or not held.keys() & {"report", "command"}:
        raise OperatorError(f"{file} line {number} holds neither a report nor a command; a line is {wanted}")
    ts = held.get("ingest_ts")
    if type(ts) is not int or not 0 < ts < LATEST_TS:
        raise OperatorError(f"{file} line {number}: ingest_ts is {ts!r}; it is when the record arrived, in epoch ms")
    return held


def _arrival(held: dict[str, Any]) -> Arrival:
    report = held["report"]
    first = report[0] if type(report) is list and report else report
    key = first.get("device_id") if type(first) is dict else None
    return Arrival(held["ingest_ts"], key.encode() if type(key) is str and key else b"-", orjson.dumps(report))


def _order(held: dict[str, Any]) -> Arrival:
    command = held["command"]
    if type(command) is dict:
        command = {"v": VERSION, "made_ts": held["ingest_ts"]} | command
    return Arrival(held["ingest_ts"], None, orjson.dumps(command), is_order=True)


def _as_json(event: Happening) -> dict[str, Any]:
    return {"topic": event.topic, "at": event.at, "value": structs.asdict(event.value)}


def told(event: Happening) -> str:
    """One line for a person: when, in Shanghai, and what."""
    value = event.value
    if isinstance(value, Alarm):
        what = value.message
        if value.by_arrival:
            what += "（设备时钟不可信，按到达时间判断）"
        if value.late:
            what += f"（发生于 {local(value.onset_ts)}）"
    elif isinstance(value, DeviceStatus):
        what = f"{value.device_id} {Status(value.status).label}" + "".join(f"；{fault}" for fault in value.faults)
    elif isinstance(value, ControlOutcome):
        what = _order_told(value)
    elif isinstance(value, ChargingSession):
        what = _charge_told(value)
    elif isinstance(value, DeviceRequest):
        what = f"{value.device_id} 请求{RequestKind(value.kind).label}（{value.by}：{value.why}）"
    else:
        assert isinstance(value, RejectEvent)  # noqa: S101
        what = f"拒收 第{value.source_offset + 1}条：{value.reason}：{value.detail}"
    return f"{local(event.at)}  {what}"


def _charge_told(value: ChargingSession) -> str:
    """At which port, how long, what it took and why it ended."""
    took = "" if value.energy_wh is None else f"，{value.energy_wh:.0f} Wh"
    reason = code_label("stop_reason", value.stop_reason) if value.stop_reason else "停充原因未知"
    lasted = f"{(value.ended_ts - value.began_ts) / 60_000:.0f}分钟"
    again = "（结算更正）" if value.amended else ""
    return f"{value.device_id} {value.port + 1}号口 充电结束{again}：{lasted}{took}，{reason}"


def _order_told(value: ControlOutcome) -> str:
    """What was ordered, by whom and why, and what became of it."""
    kind = CommandKind(value.kind).label if value.kind in set(CommandKind) else value.kind or "无法识别的命令"
    by = f"（{value.by}：{value.why}）" if value.by else ""
    reason = f"：{value.reason}" if value.reason else ""
    return f"{value.device_id} {kind}{by} {_BECAME[Outcome(value.outcome)]}{reason}".strip()
