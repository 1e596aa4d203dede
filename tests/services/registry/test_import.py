"""Files into the registry: what is right is taken in once, and what is wrong is told with its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pytest
import xlsxwriter
from sqlalchemy import Engine, select

from schemas.registry import ChangeNumber, DeviceEntry, UnitProtectors
from services.registry.database import reading, writing
from services.registry.exchange.exporting import export
from services.registry.exchange.importing import Checked, TableChange, applied, check_against, checked, keys_of
from services.registry.exchange.sheets import FileError, write_xlsx
from services.registry.models import OutboxRow, RegisteredDevice, Unit
from services.registry.outbox import next_rows, tell_of
from tests.services.registry.given_files import ALL, COMPONENTS, DEVICE, ORGANISATION, UNIT, RowsByTitle, written


def take_in(engine: Engine, paths: Iterable[Path]) -> list[TableChange]:
    """As `emberline registry import` does it."""
    with writing(engine) as session:
        found = checked(list(paths))
        assert check_against(found, session) == []
        changed = applied(found, session)
        tell_of(session, keys_of(changed), "test")
    return changed


def problems_of(engine: Engine, paths: Iterable[Path]) -> Checked:
    found = checked(list(paths))
    with writing(engine) as session:
        found.problems = check_against(found, session)
    return found


def counts(changed: Iterable[TableChange]) -> dict[str, tuple[int, int, int]]:
    return {one.table.title: (one.new, one.changed, one.unchanged) for one in changed}


def entries(engine: Engine) -> list[DeviceEntry]:
    with reading(engine) as session:
        return [DeviceEntry.from_json(row.value) for row in next_rows(session)]


def test_what_is_imported_is_told_of_each_device_once_and_only_when_it_changes(engine: Engine, tmp_path: Path) -> None:
    assert counts(take_in(engine, written(tmp_path))) == {
        "运维机构": (1, 0, 0), "社会单位": (1, 0, 0), "设备": (1, 0, 0), "部件": (3, 0, 0)
    }  # fmt: skip
    (entry,) = entries(engine)
    assert (entry.device_id, entry.kind, entry.rated_current_a, entry.phases) == ("LY-1", "electrical_monitor", 63, 3)
    assert (entry.unit_name, entry.area, entry.place_kind) == ("永安市第一中学", "350481001", "school")
    assert (entry.installed_on, entry.supply_area) == ("2025-03-01", "")
    assert entry.protectors == UnitProtectors(120, 118, 115, main_due=1)
    assert (entry.organisation_name, entry.address) == ("永安市安电运维有限公司", "永安市五四路")
    assert [(one.quantity, one.number, one.phase) for one in entry.components] == [
        ("temperature_c", number, phase) for number, phase in enumerate("ABC")
    ]
    assert set(counts(take_in(engine, written(tmp_path))).values()) == {(0, 0, 1), (0, 0, 3)}
    assert len(entries(engine)) == 1
    take_in(engine, written(tmp_path, {"社会单位": [UNIT | {"单位名称": "永安一中"}]}))
    assert [one.unit_name for one in entries(engine)] == ["永安市第一中学", "永安一中"]


def test_a_column_that_is_not_there_changes_nothing_and_an_empty_cell_empties(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    few = {name: DEVICE[name] for name in ("设备编号", "设备类型", "单位编号")}
    assert counts(take_in(engine, written(tmp_path, {"设备": [few]}))) == {"设备": (0, 0, 1)}
    take_in(engine, written(tmp_path, {"设备": [few | {"型号": ""}]}))
    with reading(engine) as session:
        (device,) = session.scalars(select(RegisteredDevice))
        assert (device.model, device.maker, device.rated_current_a) == (None, None, 63)


def test_components_may_change_places_and_make_place_for_a_new_one(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    first, second, third = COMPONENTS
    moved = [first | {"序号": "2"}, second | {"序号": "1"}, third | {"序号": "4"}, third | {"部件编号": "new"}]
    assert counts(take_in(engine, written(tmp_path, {"部件": moved}))) == {"部件": (1, 3, 0)}
    assert [(one.number, one.id) for one in entries(engine)[-1].components] == [
        (0, second["部件编号"]), (1, first["部件编号"]), (2, "new"), (3, third["部件编号"])
    ]  # fmt: skip


def test_of_a_component_that_moves_both_devices_are_told(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path, {**ALL, "设备": [DEVICE, DEVICE | {"设备编号": "LY-2"}]}))
    take_in(engine, written(tmp_path, {"部件": [COMPONENTS[0] | {"设备编号": "LY-2"}]}))
    before, after = entries(engine)[-2:]
    assert [(one.device_id, len(one.components)) for one in (before, after)] == [("LY-1", 2), ("LY-2", 1)]


def test_a_device_that_is_removed_is_told_as_that_and_not_left_out(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    take_in(engine, written(tmp_path, {"设备": [DEVICE | {"设备状态": "已拆除"}]}))
    assert [one.removed for one in entries(engine)] == [False, True]


def test_changes_are_numbered_in_the_order_of_commits_from_one_source(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    for number in range(3):
        take_in(engine, written(tmp_path, {"社会单位": [UNIT | {"单位名称": f"单位{number}"}]}))
    with reading(engine) as session:
        changes = [row.change for row in next_rows(session)]
    assert len({(one.source, one.epoch) for one in changes}) == 1
    assert [one.number for one in changes] == sorted({one.number for one in changes})
    assert [ChangeNumber.from_headers(one.to_headers()) for one in changes] == changes


@pytest.mark.parametrize("name", ["registry.xlsx", "folder"])
def test_an_empty_registry_shows_which_columns_there_are(engine: Engine, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with reading(engine) as session:
        assert set(export(session, path, private=True).values()) == {0}
    assert take_in(engine, [path] if path.is_file() else path.iterdir()) == []


@pytest.mark.parametrize("name", ["registry.xlsx", "folder"])
@pytest.mark.parametrize("private", [True, False])
def test_what_is_exported_can_be_imported_and_changes_nothing(
    engine: Engine, tmp_path: Path, name: str, private: bool
) -> None:
    take_in(engine, written(tmp_path))
    path = tmp_path / name
    with reading(engine) as session:
        assert export(session, path, private) == {"运维机构": 1, "社会单位": 1, "设备": 1, "部件": 3}
    paths = [path] if path.is_file() else sorted(path.iterdir())
    assert set(counts(take_in(engine, paths)).values()) == {(0, 0, 1), (0, 0, 3)}
    text = path.read_bytes() if path.is_file() else b"".join(one.read_bytes() for one in paths)
    if path.is_dir():
        assert (b"13800138000" in text) == private


def test_what_a_spreadsheet_would_run_is_not_run_and_comes_back_as_it_was(engine: Engine, tmp_path: Path) -> None:
    names = ["=HYPERLINK(1)", "-1层配电室", "@x", "+86", "'=1"]
    units = [
        UNIT | {"单位编号": f"U-{number}", "单位名称": name, "运维机构编号": ""} for number, name in enumerate(names)
    ]
    units = [one | {"投入资金（万元）": "0.00001"} for one in units]
    take_in(engine, written(tmp_path, {"社会单位": units}))
    with reading(engine) as session:
        export(session, tmp_path / "out", private=True)
        kept = session.scalars(select(Unit.name).order_by(Unit.id)).all()
    assert kept == [*names[:4], "=1"]
    assert ",=HYPER" not in (tmp_path / "out" / "社会单位.csv").read_text(encoding="utf-8")
    assert counts(take_in(engine, (tmp_path / "out").iterdir())) == {"社会单位": (0, 0, 5)}


def test_a_row_is_judged_by_what_it_will_be(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    keys = {"单位编号": "U-1", "单位名称": "永安一中"}
    (problem,) = problems_of(engine, written(tmp_path, {"社会单位": [keys | {"坐标系": ""}]})).problems
    assert (problem.row, problem.column) == (2, "坐标系")
    take_in(engine, written(tmp_path, {"社会单位": [keys | {"纬度": "26", "经度": "117"}]}))


def test_a_component_takes_the_place_of_one_that_was_removed(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    gone = COMPONENTS[1] | {"部件状态": "已拆除"}
    take_in(engine, written(tmp_path, {"部件": [gone, COMPONENTS[1] | {"部件编号": "new"}]}))
    assert [one.id for one in entries(engine)[-1].components] == ["LY-1-1", "new", "LY-1-3"]


def test_numbers_and_dates_of_a_spreadsheet_are_what_it_shows(engine: Engine, tmp_path: Path) -> None:
    header = ["设备编号", "设备类型", "单位编号", "额定电流（A）", "安装日期"]
    sheets = [
        ("社会单位", ["单位编号", "单位名称", "区域编码"], [["7", "某单位", "350481"]]),
        ("设备", header, [["860000000000001", "智能断路器", "7", "63", "2025/3/1"]]),
    ]
    write_xlsx(tmp_path / "given.xlsx", sheets)
    take_in(engine, [tmp_path / "given.xlsx"])
    with reading(engine) as session:
        (device,) = session.scalars(select(RegisteredDevice))
    assert (device.id, device.rated_current_a, str(device.installed_on)) == ("860000000000001", 63, "2025-03-01")


def test_a_file_of_a_spreadsheet_that_writes_gb_18030_is_read(engine: Engine, tmp_path: Path) -> None:
    (path,) = written(tmp_path, {"运维机构": [ORGANISATION]})
    path.write_bytes(path.read_text(encoding="utf-8").encode("gb18030"))
    assert counts(take_in(engine, [path])) == {"运维机构": (1, 0, 0)}


def _with(title: str, **cells: str) -> RowsByTitle:
    """All rows, one cell of the first row of a table changed."""
    first, *others = ALL[title]
    return {**ALL, title: [{**first, **cells}, *others]}


WRONG: Final[dict[str, tuple[RowsByTitle, str, int, str, str]]] = {
    "an id is missing": (_with("设备", 设备编号=""), "设备", 2, "设备编号", "必须填写"),
    "an id in scientific notation": (_with("设备", 设备编号="8.6E+14"), "设备", 2, "设备编号", "文本格式"),
    "an id too long": (_with("设备", 设备编号="x" * 65), "设备", 2, "设备编号", "较短"),
    "a reserved id": (_with("设备", 设备编号="*/name"), "设备", 2, "设备编号", "其他编号"),
    "a blank within an id": (_with("设备", 设备编号="LY 1"), "设备", 2, "设备编号", "空格"),
    "a control character": (_with("设备", 设备名称="a\x07b"), "设备", 2, "设备名称", "删除这些字符"),
    "a name too long": (_with("社会单位", 单位名称="长" * 256), "社会单位", 2, "单位名称", "255个字以内"),
    "a long number that is spoilt": (_with("设备", 证书编号="9.13504811234567E+17"), "设备", 2, "证书编号", "文本格式"),
    "two signs": (_with("部件", 序号="+-3"), "部件", 2, "序号", "整数"),
    "a month for a date": (_with("设备", 安装日期="202511"), "设备", 2, "安装日期", "2026-03-01"),
    "a formula's error": (_with("社会单位", 单位名称="#REF!"), "社会单位", 2, "单位名称", "修正公式"),
    "a kind nobody knows": (_with("设备", 设备类型="烤箱"), "设备", 2, "设备类型", "请填：电气火灾监控探测器"),
    "a kind of place nobody knows": (_with("社会单位", 场所类型="月球"), "社会单位", 2, "场所类型", "请填：矿山"),
    "a unit that is not there": (_with("设备", 单位编号="U-9"), "设备", 2, "单位编号", "请先登记该社会单位"),
    "an organisation that is not there": (
        _with("社会单位", 运维机构编号="ORG-9"), "社会单位", 2, "运维机构编号", "请先登记该运维机构"
    ),
    "a device that is not there": (_with("部件", 设备编号="LY-9"), "部件", 2, "设备编号", "请先登记该设备"),
    "an area of seven digits": (_with("社会单位", 区域编码="3504810"), "社会单位", 2, "区域编码", "社区（村）12位"),
    "an area of no province": (_with("社会单位", 区域编码="990481"), "社会单位", 2, "区域编码", "核对行政区划代码"),
    "a latitude out of range": (_with("社会单位", 纬度="195"), "社会单位", 2, "纬度", "-180到180"),
    "latitude and longitude changed over": (
        _with("社会单位", 纬度="117.3654", 经度="25.9741"), "社会单位", 2, "纬度", "把经度和纬度对调"
    ),
    "a position in the sea off Africa": (_with("社会单位", 纬度="0", 经度="0"), "社会单位", 2, "纬度", "核对经纬度"),
    "a latitude alone": (_with("社会单位", 经度=""), "社会单位", 2, "经度", "同时填写"),
    "coordinates without a datum": (_with("社会单位", 坐标系=""), "社会单位", 2, "坐标系", "GCJ-02"),
    "a datum nobody knows": (_with("社会单位", 坐标系="火星"), "社会单位", 2, "坐标系", "请填：WGS-84"),
    "no date": (_with("设备", 安装日期="去年"), "设备", 2, "安装日期", "2026-03-01"),
    "a day that is not": (_with("设备", 安装日期="2025-02-30"), "设备", 2, "安装日期", "2026-03-01"),
    "a date before there were any": (_with("设备", 安装日期="1900-01-01"), "设备", 2, "安装日期", "1980"),
    "an expiry before the installation": (_with("设备", 有效期至="2020-01-01"), "设备", 2, "有效期至", "核对"),
    "no telephone number": (_with("运维机构", 联系电话="12"), "运维机构", 2, "联系电话", "11位手机号"),
    "a masked telephone number": (_with("运维机构", 联系电话="138****8000"), "运维机构", 2, "联系电话", "完整号码"),
    "no number": (_with("设备", **{"额定电流（A）": "六十三"}), "设备", 2, "额定电流（A）", "只填数字"),
    "a rated current of nothing": (_with("设备", **{"额定电流（A）": "0"}), "设备", 2, "额定电流（A）", "0.1到10000"),
    "two phases": (_with("设备", 相数="2"), "设备", 2, "相数", "请填：1、3"),
    "an interval above six hours": (_with("设备", **{"上报周期（秒）": "86400"}), "设备", 2, "上报周期（秒）", "21600"),
    "a half component": (_with("部件", 序号="1.5"), "部件", 2, "序号", "整数"),
    "a component beyond all": (_with("部件", 序号="65"), "部件", 2, "序号", "1到64"),
    "two components in one place": (_with("部件", 序号="2"), "部件", 3, "序号", "核对序号"),
    "a key twice": ({**ALL, "设备": [DEVICE, DEVICE]}, "设备", 3, "设备编号", "只保留一行"),
    "neither yes nor no": (_with("社会单位", 安装前线路检查="大概"), "社会单位", 2, "安装前线路检查", "请填：是、否"),
    "a monitor that may be cut off": (
        _with("设备", 允许远程切断="是"), "设备", 2, "允许远程切断", "只有电动自行车充电桩、智能断路器可以填“是”"
    ),
    "more protectors in operation than installed": (
        _with("社会单位", 户保投运数="119"), "社会单位", 2, "户保投运数", "核对户保投运数和户保已装数"
    ),
    "a negative number of protectors": (_with("社会单位", 总保已装数="-1"), "社会单位", 2, "总保已装数", "0到1000000"),
    "a column nobody knows": (_with("设备", 颜色="红"), "设备", 1, "颜色", "请删除该列"),
    "a column that is missing": (
        {**ALL, "设备": [{name: text for name, text in DEVICE.items() if name != "设备类型"}]},
        "设备", 1, "设备类型", "请添加该列",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_with_its_row_its_column_and_its_remedy_and_nothing_is_changed(
    engine: Engine, tmp_path: Path, what: str
) -> None:
    rows, title, number, column, remedy = WRONG[what]
    found = problems_of(engine, written(tmp_path, rows))
    (problem,) = [one for one in found.problems if remedy in one.remedy]
    assert (problem.file, problem.row, problem.column) == (f"{title}.csv", number, column)
    assert problem.told().startswith(f"{title}.csv 第{number}行")
    with reading(engine) as session:
        assert session.scalars(select(RegisteredDevice)).all() == []
        assert session.scalars(select(OutboxRow)).all() == []


def test_many_kinds_of_errors_in_one_import_are_all_told(engine: Engine, tmp_path: Path) -> None:
    kinds = [rows["设备"][0] for rows, title, number, _, _ in WRONG.values() if title == "设备" and number == 2]
    given = [one | {"设备编号": one["设备编号"] or ""} for one in kinds]
    found = problems_of(engine, written(tmp_path, {**ALL, "设备": given, "部件": COMPONENTS}))
    assert {one.row for one in found.problems if one.file == "设备.csv"} >= set(range(2, 2 + len(kinds)))
    assert all(one.remedy for one in found.problems)


def test_all_that_is_wrong_with_a_row_is_told_at_once(engine: Engine, tmp_path: Path) -> None:
    device = DEVICE | {"设备类型": "烤箱", "单位编号": "U-9", "安装日期": "去年", "有效期至": "2020-01-01"}
    unit = UNIT | {"纬度": "0", "经度": "0", "坐标系": "", "场所类型": "月球"}
    found = problems_of(engine, written(tmp_path, {**ALL, "社会单位": [unit], "设备": [device, device]}))
    told = [(one.file, one.row, one.column) for one in found.problems]
    assert sorted(told) == [
        *(("社会单位.csv", 2, column) for column in ("场所类型", "坐标系", "纬度")),
        *(("设备.csv", 2, column) for column in ("单位编号", "安装日期", "设备类型")),
        *(("设备.csv", 3, column) for column in ("单位编号", "安装日期", "设备类型", "设备编号")),
    ]


def test_rows_that_could_not_be_read_are_missed_by_nobody(engine: Engine, tmp_path: Path) -> None:
    device = {name: text for name, text in DEVICE.items() if name != "设备类型"}
    (problem,) = problems_of(engine, written(tmp_path, {**ALL, "设备": [device]})).problems
    assert (problem.file, problem.row, problem.column) == ("设备.csv", 1, "设备类型")


def test_of_a_long_text_the_beginning_is_told(engine: Engine, tmp_path: Path) -> None:
    (problem,) = problems_of(
        engine, written(tmp_path, {**ALL, "社会单位": [UNIT | {"单位名称": "长" * 3_000}]})
    ).problems
    assert "“" + "长" * 40 + "…”有3000个字" in problem.told()


def test_a_place_that_another_component_has_in_the_registry_is_told(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    other = COMPONENTS[0] | {"部件编号": "other"}
    (problem,) = problems_of(engine, written(tmp_path, {"部件": [other]})).problems
    assert (problem.row, problem.column) == (2, "序号")
    assert "LY-1-1" in problem.what


def test_a_cell_beyond_the_header_is_told(engine: Engine, tmp_path: Path) -> None:
    (path,) = written(tmp_path, {"运维机构": [ORGANISATION]})
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n").rstrip() + ",more\n", encoding="utf-8")
    (problem,) = problems_of(engine, [path]).problems
    assert (problem.row, problem.text) == (2, "more")


def _xlsx(path: Path, cell: str, error: bool = False) -> None:
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("设备")
        if error:
            sheet.write_formula(cell, "=1/0", value="#DIV/0!")
        else:
            sheet.write_string(cell, "x")


UNREADABLE: Final[dict[str, tuple[str, Callable[[Path], object], str]]] = {
    "not there": ("设备.csv", lambda path: None, "没有这个文件"),
    "empty": ("设备.csv", lambda path: path.write_bytes(b""), "文件是空的"),
    "no text": ("设备.csv", lambda path: path.write_bytes(b"\x00\x01\x02"), "不是文本文件"),
    "of no encoding": ("设备.csv", lambda path: path.write_bytes(b"\xff\xff\xff"), "编码"),
    "a broken XLSX": ("设备.xlsx", lambda path: path.write_bytes(b"PK\x03\x04broken"), "不是有效的 XLSX"),
    "a formula's error in an XLSX": ("设备.xlsx", lambda path: _xlsx(path, "A1", error=True), "A1 是表格公式的错误值"),
    "a cell beyond all": ("设备.xlsx", lambda path: _xlsx(path, "XFD1048576"), "XFD1048576 在表格范围以外"),
    "an old XLS": ("设备.xls", lambda path: path.write_bytes(b"x"), "另存为 .xlsx 或 .csv"),
    "of no known name": ("新建.csv", lambda path: path.write_text("设备编号\n"), "不知道是哪一张表"),
    "a cell that never ends": (
        "运维机构.csv",
        lambda path: path.write_text('机构编号,机构名称\n"' + "x" * 200_000, encoding="utf-8"),
        "核对引号",
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_file_that_cannot_be_read_is_told_with_its_remedy(engine: Engine, tmp_path: Path, what: str) -> None:
    name, write, told = UNREADABLE[what]
    write(tmp_path / name)
    with pytest.raises(FileError, match=told):
        problems_of(engine, [tmp_path / name])
