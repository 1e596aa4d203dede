"""Where simulated devices stand: an invented register of the city of Leshan. Districts and their codes are real, all
names of units and organisations are made up."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fleet.load import CHARGING, HOME, PLANT, SCHOOL, SHOP


class District(NamedTuple):
    """A district, its code of GB/T 2260, and about where its middle is (GCJ-02, degrees)."""

    name: str
    code: str
    latitude: float
    longitude: float


CITY: Final = "乐山市"
DISTRICTS: Final = {
    "LY": District("市中区", "511102", 29.5550, 103.7640),
    "KC": District("沙湾区", "511111", 29.4130, 103.5500),
    "XS": District("五通桥区", "511112", 29.4070, 103.8180),
    "BJ": District("金口河区", "511113", 29.2460, 103.0790),
}
"""By how the ids of devices begin."""


class PlaceSort(NamedTuple):
    """A sort of unit: its code as a kind of place, how its names end, what a further one of a name is called, and where
    in it devices stand. In `spots` {n} counts buildings, storeys or piles, {m} what is in each."""

    kind: str
    endings: tuple[str, ...]
    again: str
    spots: tuple[str, ...]


_CHARGING_PLACE: Final = PlaceSort(
    "charging_place", ("小区充电棚", "广场充电站", "路充电站", "花园充电棚"), "号", ("{n}号充电桩",)
)
SORTS: Final = {
    HOME: (
        PlaceSort("estate_managed", ("小区", "花园", "家园"), "期", ("{n}号楼{m}单元表箱", "{n}号楼配电箱{m}")),
        PlaceSort("old_housing", ("新村", "大院", "家属院"), "期", ("{n}栋{m}单元表箱",)),
        PlaceSort("high_rise", ("公寓", "大厦"), "座", ("{n}层{m}号配电箱",)),
    ),
    SHOP: (
        PlaceSort("hotel_or_mall", ("商场", "购物中心"), "号店", ("{n}层配电间{m}号柜",)),
        PlaceSort("hotel_or_mall", ("酒店", "宾馆"), "号店", ("{n}层{m}号配电箱",)),
    ),
    PLANT: (
        PlaceSort("industrial", ("机械厂", "食品厂", "纸品厂"), "分厂", ("{n}号厂房{m}号配电柜",)),
        PlaceSort("labour_intensive", ("服装厂", "鞋业", "家具厂"), "分厂", ("{n}车间{m}号配电柜",)),
    ),
    SCHOOL: (
        PlaceSort("school", ("小学", "中学", "幼儿园"), "校区", ("{n}号教学楼{m}层配电箱",)),
        PlaceSort("hospital", ("医院", "卫生院"), "院区", ("门诊楼{n}层{m}号配电箱", "住院部{n}层{m}号配电箱")),
    ),
    CHARGING: (_CHARGING_PLACE,),
}
"""By the kind of site whose load a device has."""

NAMES: Final = tuple(
    re.findall(
        "..",
        "安居翠湖东风丰泽福源光华海棠和平红星宏达华荣佳和嘉禾江畔金桂锦绣景云凌云龙泉绿洲"
        "民生明珠南苑平安青江瑞丰润泽盛世时代曙光松涛泰和桃园天宁万福文汇五星祥和新华兴盛"
        "学府阳光怡景银杏永昌御景云峰振兴中兴竹溪",
    )
)
"""Two letters each."""
ROADS: Final = (
    "人民路",
    "解放路",
    "滨河路",
    "嘉州大道",
    "凤凰路",
    "柏杨路",
    "春华路",
    "建设街",
    "团结街",
    "龙游路",
    "致江路",
    "学院街",
)
ORGANISATIONS: Final = (
    "安泽消防技术服务有限公司",
    "嘉盾电气安全检测有限公司",
    "守正机电维保有限公司",
    "宁远智慧消防服务有限公司",
)
