"""`emberline registry`, as people use it."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from embedded.manners import free_port
from schemas.topics import REGISTRY
from tests.cli.stacks import started
from tests.services.registry.given_files import ALL, DEVICE, written
from tests.support.kafka_outside import Kafka
from tests.support.processes import Ended, ask, environment_of, run, until


@pytest.fixture
def given(tmp_path: Path) -> Mapping[str, str]:
    """Settings of a registry that is ready."""
    given = {"EMBERLINE_DATA_DIR": str(tmp_path / "data")}
    assert run("registry", "migrate", settings=given).out == (
        "0001 the registry: organisations, units, devices, components, and the outbox\n"
        "0002 what people do about alarms and order of devices\n"
        "0003 limits that people set, and how many partitions were told of\n"
        "0004 residual-current protectors of units, charging ports of devices\n"
        "0005 whether people may order that a device is cut off\n"
    )
    return given


def take_in(given: Mapping[str, str], folder: Path, *more: str, command: str = "import") -> Ended:
    return run("registry", command, str(folder), *more, settings=given)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    written(folder)
    return folder


def test_a_check_says_what_an_import_then_does(given: Mapping[str, str], folder: Path) -> None:
    lines = [
        "运维机构：新增1，修改0，不变0",
        "社会单位：新增1，修改0，不变0",
        "设备：新增1，修改0，不变0",
        "部件：新增3，修改0，不变0",
    ]
    assert take_in(given, folder, command="check").out.splitlines() == [*lines, "检查通过，没有导入"]
    assert run("registry", "show", "LY-1", settings=given).status == 1
    assert take_in(given, folder).out.splitlines() == [*lines, "导入完成"]
    again = json.loads(take_in(given, folder, "--json").out)
    assert again["tables"]["components"] == {"new": 0, "changed": 0, "unchanged": 3}


def test_each_error_is_a_line_with_its_remedy_and_nothing_is_imported(given: Mapping[str, str], folder: Path) -> None:
    written(folder, {**ALL, "设备": [DEVICE | {"相数": "2", "安装日期": "去年"}]})
    ended = take_in(given, folder)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.splitlines() == [
        "设备.csv 第2行“安装日期”列：“去年”不是日期；请按“2026-03-01”的格式填写",
        "设备.csv 第2行“相数”列：“2”不在可选范围内；请填：1、3",
        "共有2处错误，没有导入任何内容",
    ]
    found = json.loads(take_in(given, folder, "--json").out)
    assert [(one["row"], one["column"]) for one in found["problems"]] == [(2, "安装日期"), (2, "相数")]
    assert run("registry", "show", "ORG-1", settings=given).status == 1


def test_who_is_shown_has_a_masked_number_unless_it_is_asked_for(given: Mapping[str, str], folder: Path) -> None:
    take_in(given, folder)
    shown = run("registry", "show", "U-1", "LY-1", settings=given).out
    assert "联系电话：138****8000" in shown
    assert "设备类型：电气火灾监控探测器" in shown
    assert "13800138000" in run("registry", "show", "U-1", "--private", settings=given).out
    found = json.loads(run("registry", "show", "LY-1", "--json", settings=given).out)
    assert found["LY-1"][0]["额定电流（A）"] == "63"


def test_what_cannot_be_used_is_told_in_one_sentence(tmp_path: Path, folder: Path) -> None:
    fresh = {"EMBERLINE_DATA_DIR": str(tmp_path / "fresh")}
    assert "run `emberline registry migrate`" in take_in(fresh, folder).refusal
    away = fresh | {"EMBERLINE_REGISTRY": f"127.0.0.1:{free_port()}/registry", "EMBERLINE_REGISTRY_PASSWORD": "hush"}
    refusal = take_in(away, folder).refusal
    assert "connection" in refusal
    assert "hush" not in refusal
    assert "host:port/database" in take_in(fresh | {"EMBERLINE_REGISTRY": "somewhere"}, folder).refusal
    mixed = away | {"EMBERLINE_REGISTRY_CA": "ca.pem"}
    assert "EMBERLINE_REGISTRY_TLS" in take_in(mixed, folder).refusal


def test_a_place_that_cannot_be_written_or_read_is_told(given: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "nowhere" / "x.xlsx", tmp_path / "file" / "folder", tmp_path / "x.csv"):
        assert "请" in run("registry", "export", str(path), "--private", settings=given).refusal
    assert "没有 CSV 文件" in take_in(given, tmp_path / "data").refusal
    assert "没有这个文件" in take_in(given, tmp_path / "设备.csv").refusal


def test_what_holds_telephone_numbers_is_for_its_owner_alone(given: Mapping[str, str], tmp_path: Path) -> None:
    path = tmp_path / "all.xlsx"
    assert run("registry", "export", str(path), "--private", settings=given).status == 0
    database = Path(given["EMBERLINE_DATA_DIR"]) / "registry.sqlite"
    assert [oct(one.stat().st_mode)[-3:] for one in (path, database)] == ["600", "600"]
    assert [one.name for one in tmp_path.glob(".*")] == []


def test_the_publisher_says_how_it_is_and_ends_when_it_is_told_to(
    given: Mapping[str, str], folder: Path, kafka: Kafka
) -> None:
    take_in(given, folder)
    http = f"127.0.0.1:{free_port()}"
    with started(
        ["registry", "publish"], environment_of({**given, "EMBERLINE_KAFKA": kafka.address, "EMBERLINE_HTTP": http})
    ) as process:
        until(lambda: ask(http, "/readyz") == (200, "ready\n"), "a publisher that is ready")
        until(lambda: sum(kafka.ends(REGISTRY.name)) == 1, "what was imported")
        until(lambda: "emberline_outbox_rows 0.0" in ask(http, "/metrics")[1], "nothing left in the outbox")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 143
