"""What people order of devices is kept and put into the outbox beside it, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import Engine

from schemas.alarm_kinds import WHOLE
from schemas.commands import MAINTENANCE_MOST_MS, Command, CommandKind
from schemas.published import MAX_TEXT
from schemas.registry import ChangeNumber
from schemas.topics import COMMANDS
from services.registry.commands import ORDERS_MOST, Ordered, command, devices_of_unit, order, ordered_of
from services.registry.database import reading, writing
from services.registry.outbox import clock, next_rows
from services.registry.refusals import RefusedError
from tests.services.registry.given_files import DEVICE, UNIT, written
from tests.services.registry.test_import import take_in

RESET = command(
    *(CommandKind.RESET, "LY-1", "张三", "现场已处理"),
    component=2,
    alarm_kind="temperature",
    alarm_id="a" * 32,
    force=True,
    test=True,
)


def give(engine: Engine, *wanted: Command, unregistered: bool = False) -> list[Ordered]:
    with writing(engine) as session:
        return order(session, wanted, unregistered)


def waiting(engine: Engine) -> list[tuple[ChangeNumber, bytes, Command]]:
    """Commands in the outbox."""
    with reading(engine) as session:
        rows = [one for one in next_rows(session) if one.topic == COMMANDS.name]
    return [(one.change, one.key, Command.from_json(one.value)) for one in rows]


@pytest.fixture
def kept(engine: Engine, tmp_path: Path) -> Engine:
    """A registry with two devices of a unit, and one that was removed."""
    states = {"LY-1": "在用", "LY-2": "在用", "LY-3": "已拆除"}
    devices = [DEVICE | {"设备编号": number, "设备状态": state} for number, state in states.items()]
    take_in(engine, written(tmp_path, {"社会单位": [UNIT | {"运维机构编号": ""}], "设备": devices}))
    return engine


def maintenance(engine: Engine, ahead_ms: int, device_id: str = "LY-1") -> Command:
    with reading(engine) as session:
        until_ts = clock(session) + ahead_ms
    return command(CommandKind.MAINTENANCE, device_id, "张三", "更换断路器", until_ts=until_ts)


def test_a_command_is_a_row_and_a_record_known_by_one_number(kept: Engine) -> None:
    done = give(kept, RESET, maintenance(kept, 3_600_000, "LY-2"))
    assert waiting(kept) == [(one.change, one.command.device_id.encode(), one.command) for one in done]
    assert done[0].change.number < done[1].change.number
    with reading(kept) as session:
        assert [list(ordered_of(session, one, 10)) for one in ("LY-1", "LY-2")] == [[done[0]], [done[1]]]
        assert 0 <= clock(session) - done[0].command.made_ts < 60_000
    assert structs.replace(done[0].command, made_ts=0) == RESET


def test_what_was_ordered_of_a_device_is_told_newest_first(kept: Engine) -> None:
    first, second = [give(kept, RESET)[0] for _ in range(2)]
    with reading(kept) as session:
        assert list(ordered_of(session, "LY-1", 10)) == [second, first]
        assert list(ordered_of(session, "LY-1", 1)) == [second]


def test_maintenance_of_a_unit_is_a_command_for_each_device_that_is_there(kept: Engine) -> None:
    with reading(kept) as session:
        devices = devices_of_unit(session, "U-1")
        with pytest.raises(RefusedError, match="单位U-9没有登记"):
            devices_of_unit(session, "U-9")
    give(kept, *(maintenance(kept, 3_600_000, one) for one in devices))
    assert [key for _, key, _ in waiting(kept)] == [b"LY-1", b"LY-2"]


def test_a_unit_without_devices_is_told(engine: Engine, tmp_path: Path) -> None:
    take_in(engine, written(tmp_path, {"社会单位": [UNIT | {"运维机构编号": ""}]}))
    with reading(engine) as session, pytest.raises(RefusedError, match="没有在用的设备"):
        devices_of_unit(session, "U-1")


def test_a_cut_off_is_given_only_where_the_device_and_its_port_are_registered_for_it(
    engine: Engine, tmp_path: Path
) -> None:
    pile = DEVICE | {"设备类型": "电动自行车充电桩", "允许远程切断": "是"}
    devices = [
        pile | {"设备编号": "CP-1"},
        pile | {"设备编号": "CP-2", "允许远程切断": ""},
        pile | {"设备编号": "CB-1", "设备类型": "智能断路器", "充电口数": ""},
        DEVICE,
    ]
    take_in(engine, written(tmp_path, {"社会单位": [UNIT | {"运维机构编号": ""}], "设备": devices}))

    def wanted(device_id: str, component: int = WHOLE) -> Command:
        return command(CommandKind.CUT_OFF, device_id, "张三", "拔枪后仍有功率", component=component)

    refused = {
        "没有登记3号充电口": wanted("CP-1", 2),
        "没有允许远程切断": wanted("CP-2"),
        "没有登记1号充电口": wanted("CB-1", 0),
        "GB 50116": wanted("LY-1"),
        "设备LY-9没有登记": wanted("LY-9"),
    }
    for reason, one in refused.items():
        with pytest.raises(RefusedError, match=reason):
            give(engine, wanted("CP-1", 1), one)
    assert waiting(engine) == []
    give(engine, wanted("CP-1", 1), wanted("CB-1"))
    assert [(one.kind, one.device_id, one.component) for _, _, one in waiting(engine)] == [
        ("cut_off", "CP-1", 1),
        ("cut_off", "CB-1", WHOLE),
    ]


def refusals(engine: Engine) -> Iterator[tuple[Command, str]]:
    yield structs.replace(RESET, why=" "), "没有填写原因"
    yield structs.replace(RESET, why="好" * (MAX_TEXT + 1)), f"最多{MAX_TEXT}个"
    yield structs.replace(RESET, by=""), "没有填写操作人"
    yield structs.replace(RESET, component=64), "部件序号"
    yield structs.replace(RESET, device_id="LY 1"), "设备编号"
    yield structs.replace(RESET, device_id="x" * 65), "设备编号"
    yield structs.replace(RESET, device_id="LY-9"), "设备LY-9没有登记"
    yield maintenance(engine, -1), "今后72小时以内"
    yield maintenance(engine, MAINTENANCE_MOST_MS + 60_000), "今后72小时以内"


def test_one_command_beyond_its_bounds_is_refused_and_none_is_given(kept: Engine) -> None:
    for wanted, said in refusals(kept):
        with pytest.raises(RefusedError, match=said):
            give(kept, RESET, wanted)
    with pytest.raises(RefusedError, match=f"最多下达{ORDERS_MOST}条"):
        give(kept, *[RESET] * (ORDERS_MOST + 1))
    assert waiting(kept) == []


def test_a_device_that_is_not_registered_is_ordered_only_where_that_is_said(kept: Engine) -> None:
    unknown = [structs.replace(RESET, device_id=one) for one in ("LY-9", "LY-8")]
    with pytest.raises(RefusedError) as refused:
        give(kept, *unknown)
    assert [one[:6] for one in refused.value.reasons] == ["设备LY-8", "设备LY-9"]
    assert len(give(kept, *unknown, unregistered=True)) == 2


def test_maintenance_can_be_ended_at_once_and_nothing_is_nothing(kept: Engine) -> None:
    assert give(kept, command(CommandKind.MAINTENANCE, "LY-1", "张三", "完工"))[0].command.until_ts == 0
    assert give(kept) == []
