"""What an alarm says to the person who reads it, in Chinese."""

from __future__ import annotations

from typing import Final

from detectors.registered import KnownDevice
from schemas.alarm_kinds import WHOLE, AlarmKind
from schemas.charging import code_label
from schemas.events import AlarmEvent, Severity

_STATES: Final = {
    AlarmEvent.ESCALATED: "，已升级",
    AlarmEvent.WORSENED: "，持续恶化",
    AlarmEvent.REACTIVATED: "，再次发生",
    AlarmEvent.AMENDED: "，起始时间提前",
    AlarmEvent.PROVISIONAL: "，待下一读数核实",
    AlarmEvent.CONFIRMED: "，已证实",
}
_ENDS: Final = {
    AlarmEvent.RECOVERED: ("恢复", "已恢复正常，待人工复位"),
    AlarmEvent.WITHDRAWN: ("撤回", "未经证实，已撤回"),
    AlarmEvent.SUPERSEDED: ("取代", "未经复位，由新的告警取代"),
    AlarmEvent.RESET: ("复位", "已复位"),
    AlarmEvent.CLOSED: ("关闭", "已关闭"),
}


def alarm_message(
    kind: AlarmKind,
    event: AlarmEvent,
    severity: Severity,
    device: str,
    component: int,
    value: float,
    limit: float,
    baseline: float | None,
    test: bool,
    late: bool = False,
) -> str:
    """One sentence: how bad, which device (`named`) and part, what was measured against which limit; 补报 where late.

    >>> alarm_message(AlarmKind.RESIDUAL_CURRENT, AlarmEvent.OPENED, Severity.ALARM, "LY-000123", 0,
    ...               412.0, 300.0, None, False)
    '【紧急】LY-000123 第1路 剩余电流超限：当前 412mA，限值 300mA'
    >>> alarm_message(AlarmKind.RELAY_STUCK, AlarmEvent.OPENED, Severity.ALARM, "CD-7", 2, 9.0, 1.0, None, False)
    '【紧急】CD-7 3号口 继电器粘连：继电器粘连'
    """
    unit, (tag, end) = kind.unit, _ENDS.get(event, (severity.label, ""))
    head = f"{'【补报】' if late else ''}【{tag}】{device} {kind.about.part.told(component)} {kind.label}"
    if baseline is not None:
        over = f"较{kind.about.over} {_number(baseline)}{unit}"
        measured = f"{over} {'相差' if end else '升高'} {_number(value)}{unit}"
    else:
        measured = f"当前 {_number(value)}{unit}"
    bound = "下限" if kind.about.below else "限值"
    if kind.about.codes:
        told = end or f"{_STATES.get(event, '')}：{code_label(kind.quantity, value)}"
        return f"{'【测试】' if test else ''}{head}{told}"
    told = f"{end}：{measured}" if end else f"{_STATES.get(event, '')}：{measured}，{bound} {_number(limit)}{unit}"
    return f"{'【测试】' if test else ''}{head}{told}"


def _number(value: float) -> str:
    """Four digits, and all that stand before the point."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"


def named(device_id: str, known: KnownDevice | None) -> str:
    """The device as people know it: its unit and place, where these are registered, and its id.

    >>> named("LY-000123", KnownDevice("LY-000123", unit_name="国贸大厦", place="3层配电箱"))
    '国贸大厦 3层配电箱 LY-000123'
    """
    words = (known.unit_name, known.place) if known else ()
    return " ".join([*filter(None, words), device_id])


def own_message(
    kind: AlarmKind,
    event: AlarmEvent,
    severity: Severity,
    device: str,
    word: str,
    test: bool,
    late: bool,
    by: str = "",
    why: str = "",
) -> str:
    """One sentence of an alarm that the device says itself.

    >>> own_message(AlarmKind.SMOKE, AlarmEvent.OPENED, Severity.ALARM, "YG-1", "smoke_alarm", False, False)
    '【紧急】YG-1 整机 烟雾报警，设备自报（smoke_alarm）'
    """
    tag, end = _ENDS.get(event, (severity.label, ""))
    said = f"，设备自报（{word}）" if word else "，设备自报"
    told = end + (f"（{by}：{why}）" if by else "") if end else _STATES.get(event, "")
    marks = f"{'【测试】' if test else ''}{'【补报】' if late else ''}"
    return f"{marks}【{tag}】{device} {kind.about.part.told(WHOLE)} {kind.label}{told}{'' if by else said}"


def order_message(
    kind: AlarmKind,
    event: AlarmEvent,
    device: str,
    component: int,
    peak: float,
    test: bool,
    by: str,
    why: str,
) -> str:
    """One sentence: which alarm a person has ended, what it came to, who that was and why.

    >>> order_message(AlarmKind.RESIDUAL_CURRENT, AlarmEvent.RESET, "LY-000123", 0, 412.0, False,
    ...               "王五", "已检修")
    '【复位】LY-000123 第1路 剩余电流超限已复位（王五：已检修），最高 412mA'
    """
    tag, end = _ENDS[event]
    head = f"{'【测试】' if test else ''}【{tag}】{device} {kind.about.part.told(component)} {kind.label}{end}"
    if kind.about.codes:
        return f"{head}（{by}：{why}）"
    worst = "最低" if kind.about.below else "最高"
    return f"{head}（{by}：{why}），{worst} {_number(peak)}{kind.unit}"
