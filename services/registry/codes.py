"""Code tables: the words that people choose from, and the code of each that is stored and travels.

Codes never change their meaning; append new ones. The labels are what people read and write (Chinese).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from schemas.quantities import DEVICE_KINDS, QUANTITIES

PLACE_KINDS: Final[Mapping[str, str]] = {
    # Requirement C4, Leshan's nine.
    "mine": "矿山",
    "hazardous_chemicals": "危险化学品企业",
    "labour_intensive": "劳动密集型企业",
    "old_housing": "老旧居民住宅区",
    "key_fire_unit": "消防安全重点单位",
    "hospital_or_school": "医院和学校",
    "high_rise": "高层建筑",
    "hotel_or_mall": "宾馆和商场",
    "large_facility": "大型设施",
    # Requirement C6 and part D, annexes 4 to 6.
    "heritage": "文物建筑",
    "heritage_national": "文物建筑（全国重点）",
    "heritage_provincial": "文物建筑（省级）",
    "heritage_city": "文物建筑（市级）",
    "heritage_county": "文物建筑（县级）",
    "care_home": "养老机构",
    "hospital": "医院",
    "school": "学校",
    "rental_30": "出租房（30人及以上）",
    "rental_100": "出租房（100人及以上）",
    "industrial": "工业企业",
    "estate_managed": "有物业小区",
    "estate_unmanaged": "无物业小区",
    "charging_place": "电动自行车充电场所",
    "other": "其他",
}
"""Kinds of place. The documents name more than one list; a unit has the kind that fits it best."""

DEVICE_STATES: Final[Mapping[str, str]] = {
    "in_use": "在用",
    "stopped": "停用",
    "removed": "已拆除",
}

COMPONENT_STATES: Final[Mapping[str, str]] = {
    "normal": "正常",
    "faulty": "故障",
    "removed": "已拆除",
}

COMPONENT_ROLES: Final[Mapping[str, str]] = {
    "circuit": "回路",
    "cable": "线缆",
    "ambient": "环境",
    "enclosure": "箱体",
    "neutral": "中性线",
    "port": "充电口",
}
"""What a component measures: a circuit as a whole, a cable's temperature, that of the air around, and so on."""

PHASES: Final[Mapping[str, str]] = {"A": "A相", "B": "B相", "C": "C相", "N": "N相"}

KIND_LABELS: Final[Mapping[str, str]] = {kind.name: kind.label for kind in DEVICE_KINDS}
QUANTITY_LABELS: Final[Mapping[str, str]] = {quantity.name: quantity.label for quantity in QUANTITIES}


class Datum(StrEnum):
    """What coordinates are given in. They differ by some 100 to 700 m (platform codes: Gaode and Tencent use GCJ-02,
    Baidu BD-09, Tianditu CGCS2000, GPS chips WGS-84)."""

    WGS84 = "WGS-84"
    CGCS2000 = "CGCS2000"
    GCJ02 = "GCJ-02"
    BD09 = "BD-09"


PROVINCES: Final = frozenset(
    str(code)
    for codes in ((11, 16), (21, 24), (31, 38), (41, 47), (50, 55), (61, 66), (71, 72), (81, 83))
    for code in range(*codes)
)
"""How codes of GB/T 2260 begin: the two digits of a province."""
