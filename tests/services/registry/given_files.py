"""Files to be imported, small and right, to be changed by tests."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

RowsByTitle = Mapping[str, Sequence[dict[str, str]]]

ORGANISATION: Final[dict[str, str]] = {
    "机构编号": "ORG-1",
    "机构名称": "永安市安电运维有限公司",
    "联系人": "张三",
    "联系电话": "0598-3612345",
}
UNIT: Final[dict[str, str]] = {
    "单位编号": "U-1",
    "单位名称": "永安市第一中学",
    "运维机构编号": "ORG-1",
    "详细地址": "永安市五四路",
    "纬度": "25.9741",
    "经度": "117.3654",
    "坐标系": "GCJ-02",
    "区域编码": "350481001",
    "场所类型": "学校",
    "联系电话": "13800138000",
    "户保应装数": "120",
    "户保已装数": "118",
    "户保投运数": "115",
    "总保应装数": "1",
}
DEVICE: Final[dict[str, str]] = {
    "设备编号": "LY-1",
    "设备名称": "1号楼总箱",
    "设备类型": "电气火灾监控探测器",
    "型号": "ARCM300",
    "单位编号": "U-1",
    "安装日期": "2025-03-01",
    "有效期至": "2031-03-01",
    "额定电压（V）": "220",
    "额定电流（A）": "63",
    "相数": "3",
    "上报周期（秒）": "60",
    "充电口数": "2",
    "允许远程切断": "否",
}
COMPONENTS: Final[tuple[dict[str, str], ...]] = tuple(
    {
        "部件编号": f"LY-1-{number}",
        "设备编号": "LY-1",
        "监测量": "温度",
        "序号": str(number),
        "用途": "线缆",
        "相别": phase,
    }
    for number, phase in enumerate("ABC", start=1)
)
ALL: Final[RowsByTitle] = {"运维机构": [ORGANISATION], "社会单位": [UNIT], "设备": [DEVICE], "部件": COMPONENTS}


def written(folder: Path, rows: RowsByTitle = ALL) -> list[Path]:
    """The rows as CSV files in a folder."""
    paths = []
    for title, of_table in rows.items():
        paths.append(folder / f"{title}.csv")
        with paths[-1].open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in of_table for name in row)))
            writer.writeheader()
            writer.writerows(of_table)
    return paths
