"""Which columns an imported or exported table has: the header that people see, the field, and what it may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from schemas.commands import CUT_OFF_KINDS
from schemas.quantities import MAX_COMPONENTS
from services.registry import codes
from services.registry.exchange.fields import (
    CellError,
    Read,
    area,
    day,
    identity,
    number_of,
    one_of,
    phone,
    text_of,
    whole_of,
    word_of,
    yes_or_no,
)
from services.registry.models import Base, Organisation, RegisteredComponent, RegisteredDevice, Unit

FieldValues = dict[str, Any]
"""What a row says, by field; fields whose columns are not in the file are not there."""
Judge = Callable[[FieldValues], Iterator[tuple[str, CellError]]]
"""Looks at a whole row: each field that is wrong, and why."""

INTERVAL_S: Final = (1, 21_600)
"""Reports come every second at most and every 6 h at least (requirement A7)."""
_CHINA: Final = (("latitude", 3.0, 54.0), ("longitude", 73.0, 136.0))
"""Where in China anything can stand, degrees."""


@dataclass(frozen=True)
class FormField:
    """One column. `refers_to` names the table whose keys it holds; `private` ones are exported only when asked for."""

    name: str
    label: str
    read: Read
    required: bool = False
    default: Any = None
    refers_to: str = ""
    private: bool = False


@dataclass(frozen=True)
class Form:
    """One table: its name as a file, its title as a sheet, and its columns, the key first."""

    name: str
    title: str
    model: type[Base]
    columns: tuple[FormField, ...]
    judges: tuple[Judge, ...] = ()
    unique: tuple[str, ...] = ()
    """Fields that no two rows may have the same, taken together."""
    by_header: Mapping[str, FormField] = field(init=False)

    def __post_init__(self) -> None:
        known = {one.label: one for one in self.columns} | {one.name: one for one in self.columns}
        object.__setattr__(self, "by_header", known)

    @property
    def key(self) -> FormField:
        return self.columns[0]

    def label(self, name: str) -> str:
        """The header of a field."""
        return self.by_header[name].label


def _position(row: FieldValues) -> Iterator[tuple[str, CellError]]:
    latitude, longitude = row.get("latitude"), row.get("longitude")
    if (latitude is None) != (longitude is None):
        lacking, other = ("latitude", "经度") if latitude is None else ("longitude", "纬度")
        yield lacking, CellError(f"没有填，但填了{other}", "请同时填写经度和纬度，或都不填")
    if latitude is None or longitude is None:
        return
    if row.get("datum") is None:
        yield "datum", CellError("没有填，但填了经纬度", f"请填坐标系：{'、'.join(codes.Datum)}")
    wrong = [name for name, low, high in _CHINA if not low <= row[name] <= high]
    if wrong == ["latitude", "longitude"] and 3 <= longitude <= 54 and 73 <= latitude <= 136:
        yield "latitude", CellError("像是经度，经度列中像是纬度", "请把经度和纬度对调")
    elif wrong:
        yield wrong[0], CellError("不在中国范围内", "请核对经纬度，例如永安市为纬度25.97、经度117.36")


def _ends_after(first: str, last: str, labels: tuple[str, str]) -> Judge:
    def judge(row: FieldValues) -> Iterator[tuple[str, CellError]]:
        begin, end = row.get(first), row.get(last)
        if isinstance(begin, date) and isinstance(end, date) and end < begin:
            yield last, CellError(f"早于{labels[0]}", f"请核对{labels[0]}和{labels[1]}")

    return judge


def _no_more_than(fewer: str, more: str, labels: tuple[str, str]) -> Judge:
    def judge(row: FieldValues) -> Iterator[tuple[str, CellError]]:
        part, whole = row.get(fewer), row.get(more)
        if part is not None and whole is not None and part > whole:
            yield fewer, CellError(f"大于{labels[1]}{whole}", f"请核对{labels[0]}和{labels[1]}")

    return judge


def _cut_off(row: FieldValues) -> Iterator[tuple[str, CellError]]:
    kinds = "、".join(label for kind, label in codes.KIND_LABELS.items() if kind in CUT_OFF_KINDS)
    if row.get("cut_off_allowed") and row.get("kind") not in CUT_OFF_KINDS:
        yield "cut_off_allowed", CellError("不能用于这种设备", f"只有{kinds}可以填“是”（GB 50116-2013第9.1.6条）")


def _protectors(name: str, label: str) -> tuple[tuple[FormField, ...], Judge]:
    """The columns of one kind of residual-current protectors (C8), and how they go together."""
    due, installed, operating = (f"{name}_protectors_{what}" for what in ("due", "installed", "operating"))
    labels = {due: f"{label}应装数", installed: f"{label}已装数", operating: f"{label}投运数"}
    return (
        tuple(FormField(column, text, whole_of(0, 1_000_000)) for column, text in labels.items()),
        _no_more_than(operating, installed, (labels[operating], labels[installed])),
    )


_TEXT64, _TEXT255 = text_of(64), text_of(255)
_HOUSEHOLD, _HOUSEHOLD_JUDGE = _protectors("household", "户保")
_MAIN, _MAIN_JUDGE = _protectors("main", "总保")
_POSITION: Final = (
    # Not to 90 only, for a longitude there is better told as what it is.
    FormField("latitude", "纬度", number_of(-180, 180, "°")),
    FormField("longitude", "经度", number_of(-180, 180, "°")),
    FormField("datum", "坐标系", word_of({one.value: one.value for one in codes.Datum})),
)

ORGANISATIONS: Final = Form(
    "organisations",
    "运维机构",
    Organisation,
    (
        FormField("id", "机构编号", identity, required=True),
        FormField("name", "机构名称", _TEXT255, required=True),
        FormField("code", "机构编码", _TEXT64),
        FormField("address", "地址", _TEXT255),
        FormField("contact", "联系人", _TEXT64, private=True),
        FormField("phone", "联系电话", phone, private=True),
    ),
)
UNITS: Final = Form(
    "units",
    "社会单位",
    Unit,
    (
        FormField("id", "单位编号", identity, required=True),
        FormField("name", "单位名称", _TEXT255, required=True),
        FormField("organisation_id", "运维机构编号", identity, refers_to="organisations"),
        FormField("address", "详细地址", _TEXT255),
        *_POSITION,
        FormField("area", "区域编码", area),
        FormField("place_kind", "场所类型", word_of(codes.PLACE_KINDS)),
        FormField("vendor_code", "平台厂商编码", _TEXT64),
        FormField("contact", "联系人", _TEXT64, private=True),
        FormField("phone", "联系电话", phone, private=True),
        FormField("maintained_until", "维保合同到期", day),
        FormField("line_inspected", "安装前线路检查", yes_or_no),
        FormField("invested_wan", "投入资金（万元）", number_of(0, 1_000_000, "万元")),
        FormField("supply_area", "台区", _TEXT64),
        *_HOUSEHOLD,
        *_MAIN,
    ),
    (_position, _HOUSEHOLD_JUDGE, _MAIN_JUDGE),
)
DEVICES: Final = Form(
    "devices",
    "设备",
    RegisteredDevice,
    (
        FormField("id", "设备编号", identity, required=True),
        FormField("name", "设备名称", _TEXT255),
        FormField("kind", "设备类型", word_of(codes.KIND_LABELS), required=True),
        FormField("model", "型号", _TEXT64),
        FormField("maker", "生产公司或品牌", _TEXT255),
        FormField("unit_id", "单位编号", identity, required=True, refers_to="units"),
        FormField("organisation_id", "运维机构编号", identity, refers_to="organisations"),
        FormField("address", "安装地址", _TEXT255),
        *_POSITION,
        FormField("vendor_code", "平台厂商编码", _TEXT64),
        FormField("state", "设备状态", word_of(codes.DEVICE_STATES), default="in_use"),
        FormField("installed_on", "安装日期", day),
        FormField("expires_on", "有效期至", day),
        FormField("warranty_until", "质保到期", day),
        FormField("certificate", "证书编号", _TEXT64),
        FormField("nominal_voltage_v", "额定电压（V）", number_of(24, 1_000, "V")),
        FormField("rated_current_a", "额定电流（A）", number_of(0.1, 10_000, "A")),
        FormField("phases", "相数", one_of(1, 3)),
        FormField("interval_s", "上报周期（秒）", whole_of(*INTERVAL_S)),
        FormField("ports", "充电口数", whole_of(1, MAX_COMPONENTS)),
        FormField("cut_off_allowed", "允许远程切断", yes_or_no),
    ),
    (
        _position,
        _ends_after("installed_on", "expires_on", ("安装日期", "有效期至")),
        _ends_after("installed_on", "warranty_until", ("安装日期", "质保到期")),
        _cut_off,
    ),
)
COMPONENTS: Final = Form(
    "components",
    "部件",
    RegisteredComponent,
    (
        FormField("id", "部件编号", identity, required=True),
        FormField("device_id", "设备编号", identity, required=True, refers_to="devices"),
        FormField("quantity", "监测量", word_of(codes.QUANTITY_LABELS), required=True),
        FormField("number", "序号", whole_of(1, MAX_COMPONENTS), required=True),
        FormField("name", "部件名称", _TEXT255),
        FormField("role", "用途", word_of(codes.COMPONENT_ROLES)),
        FormField("circuit", "回路号", whole_of(1, 1_000)),
        FormField("phase", "相别", word_of(codes.PHASES)),
        FormField("address", "安装位置", _TEXT255),
        FormField("maker", "生产厂家或品牌", _TEXT255),
        FormField("installed_on", "安装日期", day),
        FormField("state", "部件状态", word_of(codes.COMPONENT_STATES), default="normal"),
    ),
    unique=("device_id", "quantity", "number"),
)
TABLES: Final = (ORGANISATIONS, UNITS, DEVICES, COMPONENTS)
"""In the order in which rows may refer to each other."""
BY_NAME: Final = {name: table for table in TABLES for name in (table.name, table.title)}
