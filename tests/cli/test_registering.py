"""A simulated fleet's registry is written as files that `emberline registry import` takes."""

from __future__ import annotations

from pathlib import Path

from tests.support.processes import run

FLEET = ["--devices", "60", "--rate", "60"]


def test_what_simulate_writes_is_imported_whole_and_needs_no_broker(tmp_path: Path) -> None:
    given = {"EMBERLINE_DATA_DIR": str(tmp_path / "data"), "EMBERLINE_KAFKA": "127.0.0.1:1"}
    file = tmp_path / "fleet.xlsx"
    wrote = run("simulate", *FLEET, "--registry", str(file), settings=given)
    assert (wrote.status, wrote.err) == (0, "")
    counts = dict(line.removesuffix("行").split("：") for line in wrote.out.splitlines())
    assert counts.keys() == {"运维机构", "社会单位", "设备", "部件"}
    assert counts["设备"] == "58"
    assert run("registry", "migrate", settings=given).status == 0
    taken = run("registry", "import", str(file), settings=given)
    assert (taken.status, taken.err) == (0, "")
    assert taken.out.splitlines() == [
        *(f"{title}：新增{count}，修改0，不变0" for title, count in counts.items()),
        "导入完成",
    ]


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    ended = run("simulate", *FLEET, "--registry", str(tmp_path / "fleet.pdf"), settings={})
    assert "不支持这种文件" in ended.refusal
