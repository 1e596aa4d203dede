"""`emberline limits`, as people use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.services.registry.given_files import written
from tests.support.processes import Ended, run

TEXT = """
[default.temperature]
warning = { value = 58, from = "保险公司要求" }
[device."LY-1".component.temperature_c.2.temperature]
warning = {}
confirm_alarm_s = 8
"""


@pytest.fixture
def given(tmp_path: Path) -> Mapping[str, str]:
    """Settings of a registry that knows one device, its unit and its components."""
    given = {"EMBERLINE_DATA_DIR": str(tmp_path / "data")}
    run("registry", "migrate", settings=given)
    folder = tmp_path / "files"
    folder.mkdir()
    written(folder)
    assert run("registry", "import", str(folder), settings=given).status == 0
    return given


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def apply(given: Mapping[str, str], file: Path, *more: str) -> Ended:
    return run("limits", "apply", str(file), "--by", "张三", "--why", "现场核定", *more, settings=given)


def test_a_file_is_compared_asked_about_and_put_into_force_once(given: Mapping[str, str], file: Path) -> None:
    changes = [
        "全部设备 温度超限 预警值：未设 → 58 ℃（保险公司要求）",
        "设备LY-1的温度第2路 温度超限 预警值：未设 → 关闭",
        "设备LY-1的温度第2路 温度超限 报警确认时间：未设 → 8 秒",
    ]
    assert run("limits", "diff", str(file), settings=given).out.splitlines() == changes
    unasked = apply(given, file)
    assert (unasked.status, unasked.out) == (1, "")
    assert unasked.err.splitlines()[:-1] == changes
    assert "give --yes" in unasked.err
    assert apply(given, file, "--yes").out.splitlines() == [*changes, "已生效，正在发布"]
    assert apply(given, file).out == "没有变化\n"
    assert json.loads(run("limits", "diff", str(file), "--json", settings=given).out) == {"changes": []}
    file.write_text("[default.temperature]\nwarning = 59\n", encoding="utf-8")
    (change,) = json.loads(run("limits", "diff", str(file), "--json", settings=given).out)["changes"]
    assert (change["scope"], change["setting"]) == ("default", "warning")
    assert (change["before"], change["after"]) == ({"value": 58, "from": "保险公司要求"}, {"value": 59})
    replaced = run("limits", "diff", str(file), "--replace", settings=given).out.splitlines()
    assert "设备LY-1的温度第2路 温度超限 预警值：关闭 → 未设" in replaced


def test_what_is_in_force_says_where_from_by_whom_and_since_when(given: Mapping[str, str], file: Path) -> None:
    apply(given, file, "--yes")
    lines = run("limits", "show", "--device", "LY-1", settings=given).out.splitlines()
    assert lines[0] == "设备LY-1（电气火灾监控探测器）："
    assert lines[1].split() == ["告警", "设置", "值", "范围", "设定人", "起始时间", "依据"]
    (warning,) = (line.split() for line in lines if line.split()[:2] == ["温度超限", "预警值"] and "58" in line)
    assert (warning[2:6], warning[-1]) == (["58", "℃", "全部设备", "张三"], "保险公司要求")
    component = lines.index("设备LY-1的温度第2路：")
    assert lines[component + 2].split()[:4] == ["温度超限", "预警值", "关闭", "设备LY-1的温度第2路"]
    shipped = run("limits", "show", "--kind", "charging_pile", settings=given).out
    assert "设备类型“电动自行车充电桩”（出厂）" in shipped
    assert "T/GBC 48-2025" in shipped
    (told,) = json.loads(run("limits", "show", "--unit", "U-1", "--json", settings=given).out)["places"]
    assert (told["scope"], told["subject"], told["device_kind"]) == ("unit", "U-1", "electrical_monitor")
    (setting,) = (one for one in told["settings"] if (one["kind"], one["name"]) == ("temperature", "warning"))
    assert (setting["value"], setting["scope"], setting["by"]) == (58, "default", "张三")
    assert setting["since_ts"] > 0
    for more in (["--model", "ARCM300"], ["--place-kind", "school"], ["--place-kind", "mine"], []):
        assert "58 ℃" in run("limits", "show", *more, settings=given).out


def test_what_is_not_there_and_what_is_wrong_is_told_in_a_sentence(given: Mapping[str, str], file: Path) -> None:
    for option, says in (
        (["--device", "X"], "设备X没有登记"),
        (["--unit", "X"], "单位X没有登记"),
        (["--model", "X"], "型号“X”没有登记"),
        (["--place-kind", "X"], "没有场所类型“X”；可用：mine（矿山）"),
        (["--kind", "X"], "没有设备类型“X”；可用：electrical_monitor（电气火灾监控探测器）"),
    ):
        assert says in run("limits", "show", *option, settings=given).refusal
    assert run("limits", "show", "--unit", "X", "--kind", "X", settings=given).status == 2
    file.write_text('[default.temperature]\nalarm = 141\n[unit."U-9".arc_fault]\nalarm = 15\n', encoding="utf-8")
    ended = apply(given, file, "--yes")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.splitlines() == [
        "emberline: 全部设备的温度超限：报警值（alarm）141超出可设范围，必须在45到140之间",
        "emberline: 单位U-9的故障电弧：报警值（alarm）15超出可设范围，必须在10到14之间",
        "没有执行任何操作",
    ]
    file.write_text("[default.absent.temperature_c]\nsentinels = [5]\n", encoding="utf-8")
    assert "EMBERLINE_LIMITS_FILE" in run("limits", "diff", str(file), settings=given).refusal
    assert (
        "没有填写原因" in run("limits", "apply", str(written_to(file)), "--why", " ", "--yes", settings=given).refusal
    )


def written_to(file: Path) -> Path:
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_an_import_after_which_limits_would_not_go_together_is_refused(
    given: Mapping[str, str], file: Path, tmp_path: Path
) -> None:
    file.write_text('[unit."U-1".residual_current]\nwarning = 100\n', encoding="utf-8")
    assert apply(given, file, "--yes").status == 0
    folder = tmp_path / "more"
    folder.mkdir()
    pile = {"设备编号": "CZ-1", "设备类型": "电动自行车充电桩", "单位编号": "U-1"}
    written(folder, {"设备": [pile]})
    assert "单位U-1的剩余电流超限限值不可用于设备CZ-1" in run("registry", "import", str(folder), settings=given).refusal
    assert run("registry", "show", "CZ-1", settings=given).status == 1
