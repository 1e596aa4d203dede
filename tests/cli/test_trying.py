"""`emberline try` takes orders where they stand among reports, and says what became of them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from cli.trying import try_file
from common.errors import OperatorError

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
    try_file(file, None, as_json=True)
    *events, summary = map(orjson.loads, capsys.readouterr().out.splitlines())
    outcomes = [one for one in events if one["topic"] == "emberline.control-outcomes"]
    assert [one["at"] - T0 for one in outcomes] == [0, 2_000, 700_000, 700_001]
    assert outcomes[0]["value"]["reason"] == "本分区没有该设备的记录"
    assert outcomes[1]["value"]["reason"] != outcomes[0]["value"]["reason"]
    assert outcomes[2]["value"]["reason"] == "下令超过 10 分钟后才到达，已失效"
    assert outcomes[3]["value"]["reason"].startswith("无法读取：")
    assert summary["summary"]["outcomes"] == 4

    try_file(file, None, as_json=False)
    told = capsys.readouterr().out
    assert "LY-1 复位（李工：已现场检查） 被拒绝：下令超过 10 分钟后才到达，已失效" in told
    assert "无法识别的命令 被拒绝：无法读取：" in told
    assert "命令 4" in told


def test_a_line_that_is_neither_is_told(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    file.write_text(line(T0, order={}))
    with pytest.raises(OperatorError, match="line 1 holds neither a report nor a command"):
        try_file(file, None, as_json=True)
