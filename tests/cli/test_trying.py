"""`emberline try` takes orders where they stand among reports, and says what became of them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from cli.trying.command import try_file
from common.errors import OperatorError
from tests.services.registry.given_files import DEVICE, UNIT, written

T0 = 1_790_000_000_000


def line(ts: int, **held: object) -> str:
    return orjson.dumps({"ingest_ts": ts, **held}).decode()


def test_an_order_is_applied_at_its_arrival_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = {"v": 1, "device_id": "LY-1", "event_ts": T0, "residual_current_ma": [12.0]}
    reset = {"kind": "reset", "device_id": "LY-1", "by": "李工", "why": "已现场检查"}
    file = tmp_path / "recorded.jsonl"
    lines = [
        line(T0, command=reset),
        line(T0 + 1_000, report=report),
        line(T0 + 2_000, command=reset),
        line(T0 + 700_000, command=reset | {"made_ts": T0}),
        line(T0 + 700_001, command=[1]),
    ]
    file.write_text("\n".join(lines))
    try_file(file, None, None, as_json=True)
    *events, summary = map(orjson.loads, capsys.readouterr().out.splitlines())
    outcomes = [one for one in events if one["topic"] == "emberline.control-outcomes"]
    assert [one["at"] - T0 for one in outcomes] == [0, 2_000, 700_000, 700_001]
    assert outcomes[0]["value"]["reason"] == "本分区没有该设备的记录"
    assert outcomes[1]["value"]["reason"] != outcomes[0]["value"]["reason"]
    assert outcomes[2]["value"]["reason"] == "下令超过 10 分钟后才到达，已失效"
    assert outcomes[3]["value"]["reason"].startswith("无法读取：")
    assert summary["summary"]["outcomes"] == 4

    try_file(file, None, None, as_json=False)
    told = capsys.readouterr().out
    assert "LY-1 复位（李工：已现场检查） 被拒绝：下令超过 10 分钟后才到达，已失效" in told
    assert "无法识别的命令 被拒绝：无法读取：" in told
    assert "命令 4" in told


def test_a_line_that_is_neither_is_told(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_text(line(T0, order={}))
    with pytest.raises(OperatorError, match="line 1 holds neither a report nor a command"):
        try_file(file, None, None, as_json=True)


def burning(folder: Path) -> Path:
    """A device that leaks 150 mA, which no limit of the release is reached by."""
    file = folder / "recorded.jsonl"
    report = {"v": 1, "device_id": "LY-1", "device_kind": "electrical_monitor"}
    values = [(T0 + number * 60_000, value) for number, value in enumerate((9, 150, 150))]
    reports = [(ts, report | {"event_ts": ts, "residual_current_ma": [value]}) for ts, value in values]
    file.write_text("\n".join(line(ts + 1_000, report=one) for ts, one in reports))
    return file


def alarms_of(printed: str) -> list[dict[str, object]]:
    events = map(orjson.loads, printed.splitlines())
    return [one["value"] for one in events if one.get("topic") == "emberline.alarms"]


def test_what_is_registered_is_taken_as_it_is_on_its_topic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    level = {"residual_current": {"alarm": {"value": 100, "from": "保单", "by": "王工"}, "warning": {}}}
    entries = [
        {"v": 1, "default": {}, "units": {"U-1": level}},
        {"v": 1, "device_id": "LY-1", "unit_id": "U-1", "unit_name": "国贸大厦", "name": "3层配电箱"},
    ]
    registry = tmp_path / "entries.jsonl"
    registry.write_bytes(b"\n".join(map(orjson.dumps, entries)))
    try_file(burning(tmp_path), None, registry, as_json=True)
    first, alarm = alarms_of(capsys.readouterr().out)
    assert (first["event"], alarm["event"]) == ("provisional", "confirmed")
    assert (alarm["limit"], alarm["limit_by"], alarm["unit_name"]) == (100.0, "王工", "国贸大厦")
    try_file(burning(tmp_path), None, None, as_json=True)
    assert alarms_of(capsys.readouterr().out) == []
    registry.write_text('{"v":1}')
    with pytest.raises(OperatorError, match="line 1 is no entry of the registry"):
        try_file(burning(tmp_path), None, registry, as_json=True)


def test_what_is_registered_is_taken_as_an_import_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    sheets = {
        "社会单位": [UNIT | {"运维机构编号": ""}],
        "设备": [DEVICE | {"设备编号": "LY-1", "设备类型": "电动自行车充电桩"}],
    }
    written(folder, sheets)
    try_file(burning(tmp_path), None, folder, as_json=True)
    first, alarm = alarms_of(capsys.readouterr().out)
    assert (first["event"], alarm["event"]) == ("provisional", "confirmed")
    assert (alarm["device_kind"], alarm["limit"]) == ("charging_pile", 30.0)
    assert alarm["unit_name"]
    bad = tmp_path / "bad.csv"
    bad.write_text("没有这样的列\n1\n", encoding="utf-8")
    with pytest.raises(OperatorError, match=r"bad\.csv"):
        try_file(burning(tmp_path), None, bad, as_json=True)


def test_early_warning_speaks_of_the_hours_after_the_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recorded.jsonl"
    hours = range(24 * 24)
    leaks = {hour: 40.0 + hour % 24 + (60.0 if hour >= 20 * 24 else 0.0) for hour in hours}
    lines = [
        line(
            T0 + hour * 3_600_000 + minute * 60_000,
            report={
                "v": 1,
                "device_id": "LY-1",
                "event_ts": T0 + hour * 3_600_000 + minute * 60_000,
                "residual_current_ma": [leaks[hour] + minute / 100],
            },
        )
        for hour in hours
        for minute in range(0, 60, 15)
    ]
    accept = {"kind": "accept_rise", "device_id": "LY-1", "by": "李工", "why": "新增设备"}
    lines.append(line(T0 + 22 * 24 * 3_600_000, command=accept))
    file.write_text("\n".join(sorted(lines, key=lambda one: orjson.loads(one)["ingest_ts"])))
    try_file(file, None, None, as_json=True)
    *events, summary = map(orjson.loads, capsys.readouterr().out.splitlines())
    (notice,) = [one for one in events if one["topic"] == "emberline.notices"]
    assert events[-1] == notice
    assert summary["summary"]["notices"] == 1
    assert notice["value"]["rule"] == "baseline"
    assert 20 < (notice["at"] - T0) / 86_400_000 < 21
    try_file(file, None, None, as_json=False)
    assert "【提示】LY-1 第1路剩余电流 剩余电流持续高于" in capsys.readouterr().out
    # Parameters of one's own hold here too.
    parameters = tmp_path / "rules.toml"
    parameters.write_text("[baseline]\nrise = 200\nlow_rise = 200\n[load]\nrise = 200\n[drift]\nrise = 200\n")
    try_file(file, None, None, as_json=True, parameters=parameters)
    assert orjson.loads(capsys.readouterr().out.splitlines()[-1])["summary"]["notices"] == 0
    parameters.write_text("[baseline]\nrises = 1\n")
    with pytest.raises(OperatorError, match="'rises' is no parameter"):
        try_file(file, None, None, as_json=True, parameters=parameters)
