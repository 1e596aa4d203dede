"""Limits in the registry: what is set, what is refused, and what is told of it with document, person and time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from schemas.alarm_kinds import AlarmKind
from schemas.limit_sections import BY_OPERATOR
from schemas.registry import LIMITS_BYTES_MOST, LIMITS_KEY, DeviceEntry, LimitsEntry
from services.registry.database import reading, writing
from services.registry.limits import changing
from services.registry.limits.changing import SectionChange, set_limits
from services.registry.limits.checking import check_in_force
from services.registry.limits.files import sections_of
from services.registry.limits.rows import ScopeKind
from services.registry.limits.showing import places_of, shown_limits
from services.registry.models import LimitsRow, OutboxRow
from services.registry.refusals import RefusedError
from tests.services.registry.given_files import ALL, DEVICE, written
from tests.services.registry.test_import import take_in

PILE = DEVICE | {"设备编号": "CZ-1", "设备类型": "电动自行车充电桩", "型号": "AP3000", "额定电压（V）": ""}


@pytest.fixture
def kept(engine: Engine, tmp_path: Path) -> Engine:
    """A registry of a school with a monitor of three probes and a charging pile."""
    take_in(engine, written(tmp_path, {**ALL, "设备": [DEVICE, PILE]}))
    return engine


def put(engine: Engine, folder: Path, text: str, by: str = "张三", replace: bool = False) -> list[SectionChange]:
    """As `emberline limits apply` does it."""
    path = folder / "limits.toml"
    path.write_text(text, encoding="utf-8")
    with writing(engine) as session:
        return set_limits(session, sections_of(path), by, "现场核定", replace)


def told(engine: Engine) -> Iterator[LimitsEntry | DeviceEntry]:
    """What was told since the import, in its order."""
    with reading(engine) as session:
        rows = select(OutboxRow).where(OutboxRow.made_by != "test").order_by(OutboxRow.number)
        for row in session.scalars(rows):
            yield (LimitsEntry if row.key == LIMITS_KEY else DeviceEntry).from_json(row.value)


def value(section: dict[str, Any]) -> dict[str, Any]:
    """A section less when it was set."""
    return {
        name: {key: one for key, one in held.items() if key != "since_ts"} if isinstance(held, dict) else held
        for name, held in section.items()
    }


def test_what_holds_for_many_is_told_in_one_record_and_what_is_a_devices_own_in_its_entry(
    kept: Engine, tmp_path: Path
) -> None:
    text = """
        [default.residual_current]
        alarm = { value = 400, from = "保险公司要求" }
        confirm_alarm_s = 5
        [charging_pile.temperature]
        warning = {}
        [place_kind.school.temperature]
        alarm = 65
        [model."ARCM300".arc_fault]
        alarm = 12
        [unit."U-1".temperature_rise]
        warning = 8
        [device."LY-1".temperature]
        warning = 55
        [device."LY-1".component.temperature_c.2.temperature]
        warning = 50
    """
    assert len(put(kept, tmp_path, text)) == 7
    limits, entry = told(kept)
    assert isinstance(limits, LimitsEntry)
    assert isinstance(entry, DeviceEntry)
    level = {"from": BY_OPERATOR, "by": "张三"}
    assert value(limits.default["residual_current"]) == {
        "alarm": {"value": 400, "from": "保险公司要求", "by": "张三"}, "confirm_alarm_s": 5,
    }  # fmt: skip
    assert limits.kinds == {"charging_pile": {"temperature": {"warning": {}}}}
    assert value(limits.place_kinds["school"]["temperature"]) == {"alarm": {"value": 65} | level}
    assert value(limits.models["ARCM300"]["arc_fault"]) == {"alarm": {"value": 12} | level}
    assert value(limits.units["U-1"]["temperature_rise"]) == {"warning": {"value": 8} | level}
    assert value(entry.limits["temperature"]) == {"warning": {"value": 55} | level}
    assert [value(one.limits.get("temperature", {})) for one in entry.components] == [
        {}, {"warning": {"value": 50} | level}, {}
    ]  # fmt: skip


def test_what_stays_as_it_is_keeps_its_time_and_says_nothing(kept: Engine, tmp_path: Path) -> None:
    text = "[default.temperature]\nwarning = 58\nalarm = 68\n"
    put(kept, tmp_path, text)
    (before,) = told(kept)
    assert put(kept, tmp_path, text, "李四") == []
    assert len(list(told(kept))) == 1
    (change,) = put(kept, tmp_path, text.replace("68", "66"), "李四")
    assert change.settings == ["alarm"]
    after = list(told(kept))[-1]
    assert isinstance(before, LimitsEntry)
    assert isinstance(after, LimitsEntry)
    assert after.default["temperature"]["warning"] == before.default["temperature"]["warning"]
    assert after.default["temperature"]["alarm"]["by"] == "李四"
    with reading(kept) as session:
        rows = session.scalars(select(LimitsRow).order_by(LimitsRow.id)).all()
        assert [(one.set_by, one.why, one.until_ts is None) for one in rows] == [
            ("张三", "现场核定", False), ("李四", "现场核定", True)
        ]  # fmt: skip
        assert rows[0].until_ts == rows[1].set_ts


def test_a_section_that_is_not_named_stays_unless_the_file_is_to_be_all_there_is(kept: Engine, tmp_path: Path) -> None:
    put(kept, tmp_path, '[default.temperature]\nalarm = 68\n[device."LY-1".temperature]\nalarm = 66\n')
    put(kept, tmp_path, "[default.arc_fault]\nalarm = 12\n")
    limits = list(told(kept))[-1]
    assert isinstance(limits, LimitsEntry)
    assert limits.default.keys() == {"temperature", "arc_fault"}
    changes = put(kept, tmp_path, "[default.arc_fault]\nalarm = 12\n", replace=True)
    assert {one.scope.kind for one in changes} == {ScopeKind.DEFAULT, ScopeKind.DEVICE}
    limits, entry = list(told(kept))[-2:]
    assert isinstance(limits, LimitsEntry)
    assert isinstance(entry, DeviceEntry)
    assert limits.default.keys() == {"arc_fault"}
    assert entry.limits == {}
    put(kept, tmp_path, "[default.arc_fault]\n")
    limits = list(told(kept))[-1]
    assert isinstance(limits, LimitsEntry)
    assert limits.default == {}


REFUSED = [
    ("[default.temperature]\nalarm = 141", "全部设备的温度超限：报警值（alarm）141超出可设范围，必须在45到140之间"),
    ("[default.temperature]\nalarms = 70", "没有名为“alarms”的设置；可设：warning, alarm, recovery_margin"),
    ("[default.temperature]\nalarm = 'hot'", "报警值（alarm）必须是0到1e+12之间的数"),
    ("[default.temperature]\nalarm = nan", "报警值（alarm）必须是0到1e+12之间的数"),
    ("[default.temperature]\nalarm = { from = 'x' }", "报警值（alarm）没有给出 value；应在45到140之间"),
    ("[default.temperature]\nalarm = { value = 70, by = 'x' }", "alarm 中没有名为“by”的内容；可写 value 和 from"),
    ("[default.temperature]\nalarm = { value = 70, from = 5 }", "依据（from）必须是一行文字"),
    ("[default.temperature]\nsettable = [1, 900]", "可设范围（settable）45到140由标准规定，不能更改"),
    ("[default.temperature_rise]\nmemory_s = 0", "记忆时间（memory_s）必须在0.001到1e+12之间"),
    ('[unit."U-1".temperature]\nwarning = 60\nalarm = 50', "单位U-1的温度超限：预警值60高于报警值50"),
    ('[unit."U-1".temperature]\nwarning = 71', "单位U-1的温度超限限值不可用于设备LY-1：预警值71高于报警值70"),
    ("[default.temperature]\nalarm = 59", "全部设备的温度超限限值不可用于设备LY-1：预警值60高于报警值59"),
    ("[smoke_detector.temperature]\nalarm = 59", "限值不可用于设备类型“感烟探测器”：预警值60高于报警值59"),
    ('[model."AP3000".residual_current]\nrecovery_margin = 30', "恢复回差（recovery_margin）30必须小于最低的限值30"),
    ('[device."LY-1".temperature]\nwarning = 71', "设备LY-1的温度超限限值不可用：预警值71高于报警值70"),
    ('[device."LY-1".component.temperature_c.1.temperature]\nwarning = 71', "设备LY-1的温度第1路的温度超限限值不可用"),
    ('[device."LY-1".component.temperature_c.1.arc_fault]\nalarm = 12', "不是温度的告警；请写在故障电弧的部件下"),
    ('[device."LY-1".component.temperature_c.4.temperature]\nwarning = 50', "设备LY-1的温度第4路没有登记为部件"),
    ('[device."LY-1".component.temperature_c.0.temperature]\nwarning = 50', "部件序号必须从1到64"),
    ('[device."LY-1".component.humidity.1.temperature]\nwarning = 50', "不知道是什么监测量；可用：residual_current_ma"),
    ('[device."LY-1"]\ncomponent = 5', "不是一节"),
    ('[device."LY-9".temperature]\nwarning = 50', "设备LY-9没有登记"),
    ('[unit."U-9".temperature]\nwarning = 50', "单位U-9没有登记"),
    ('[model."X".temperature]\nwarning = 50', "没有型号为“X”的设备"),
    ("[place_kind.castle.temperature]\nwarning = 50", "没有名为“castle”的场所类型；可用：mine（矿山）"),
    ("[toaster.temperature]\nwarning = 50", "[toaster]：不知道是什么范围；可用：default、electrical_monitor"),
    ("[default.humidity]\nwarning = 50", "[default]：没有名为“humidity”的告警类型；可用：residual_current"),
    ("[default]\ntemperature = 50", "[default.temperature]：不是一节"),
    ("default = 5", "default 不是一节"),
    ("[device]\nLY-1 = 5", "不是一节"),
    ('[unit."".temperature]\nwarning = 50', "编号或名称应有1到64个看得见的字"),
    (
        "[default.absent.temperature_c]\nsentinels = [5]",
        "无效值（absent）不在登记库中设置；请写入 EMBERLINE_LIMITS_FILE",
    ),
    ("= 5", "不是有效的 TOML"),
]


def test_what_cannot_be_used_is_refused_with_scope_kind_and_bounds(kept: Engine, tmp_path: Path) -> None:
    for text, says in REFUSED:
        with pytest.raises(RefusedError) as refused:
            put(kept, tmp_path, text)
        assert says in str(refused.value), text
    assert list(told(kept)) == []
    with pytest.raises(RefusedError, match="无法读取限值文件"):
        sections_of(tmp_path / "nowhere.toml")


def test_what_is_changed_above_is_refused_where_it_does_not_go_with_what_is_set_below(
    kept: Engine, tmp_path: Path
) -> None:
    put(kept, tmp_path, '[device."LY-1".temperature]\nwarning = 69\n[model."ARCM300".temperature]\nwarning = 65\n')
    with pytest.raises(RefusedError) as refused:
        put(kept, tmp_path, '[unit."U-1".temperature]\nalarm = 64\n')
    assert "单位U-1的温度超限限值不可用于设备LY-1：预警值65高于报警值64" in str(refused.value)
    assert "设备LY-1的温度超限限值不可用：预警值69高于报警值64" in str(refused.value)
    put(kept, tmp_path, '[unit."U-1".temperature]\nalarm = 70\n')


def test_a_device_that_comes_where_its_limits_do_not_go_together_is_noticed(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path))
    put(engine, tmp_path, "[place_kind.school.residual_current]\nwarning = 100\n")
    take_in(engine, written(tmp_path, {"设备": [PILE]}))
    with reading(engine) as session, pytest.raises(RefusedError, match="“学校”的剩余电流超限限值不可用于设备CZ-1"):
        check_in_force(session)


def test_limits_that_no_record_holds_are_refused(kept: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "LIMITS_BYTES_MOST", 100)
    with pytest.raises(RefusedError, match="最多100字节"):
        put(kept, tmp_path, "[default.temperature]\nalarm = 68\n")
    assert LIMITS_BYTES_MOST == 131_072


def test_what_is_in_force_is_shown_with_its_scope_document_person_and_time(kept: Engine, tmp_path: Path) -> None:
    put(kept, tmp_path, '[place_kind.school.temperature]\nalarm = 72\n[device."LY-1".temperature]\nwarning = {}\n')
    with reading(kept) as session:
        (place,) = places_of(session, ScopeKind.DEVICE, "LY-1")
        shown = {(one.kind, one.name): one for one in shown_limits(session, place)}
        of_unit = places_of(session, ScopeKind.UNIT, "U-1")
    alarm, warning = (shown[AlarmKind.TEMPERATURE, name] for name in ("alarm", "warning"))
    assert (alarm.value, alarm.scope.label, alarm.by) == (72, "场所类型“学校”", "张三")
    assert (warning.value, warning.scope.label, warning.cells[2]) == (None, "设备LY-1", "关闭")
    release = shown[AlarmKind.RESIDUAL_CURRENT, "alarm"]
    assert (release.value, release.by, release.since_ts) == (300, "", 0)
    assert "GB 50116-2013" in release.document
    assert [one.device_kind for one in of_unit] == ["charging_pile", "electrical_monitor"]
