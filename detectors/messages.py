"""What an alarm says to the person who reads it, in Chinese."""

from __future__ import annotations

from typing import Final

from schemas.events import AlarmEvent, AlarmKind, Severity
from schemas.quantities import Quantity

_STATES: Final = {
    AlarmEvent.ESCALATED: "，已升级",
    AlarmEvent.REACTIVATED: "，再次发生",
    AlarmEvent.AMENDED: "，起始时间提前",
}


def alarm_message(
    kind: AlarmKind,
    event: AlarmEvent,
    severity: Severity,
    device_id: str,
    component: int,
    quantity: Quantity,
    value: float,
    limit: float,
    baseline: float | None,
    test: bool,
    late: bool = False,
) -> str:
    """One sentence: how bad, which device and part, what was measured against which limit; 补报 where it came in late.

    >>> from schemas.quantities import BY_NAME
    >>> alarm_message(AlarmKind.RESIDUAL_CURRENT, AlarmEvent.OPENED, Severity.ALARM, "LY-000123", 0,
    ...               BY_NAME["residual_current_ma"], 412.0, 300.0, None, False)
    '【紧急】LY-000123 第1路 剩余电流超限：当前 412mA，限值 300mA'
    """
    unit = "℃/分钟" if kind is AlarmKind.TEMPERATURE_RISE else quantity.unit
    recovered = event is AlarmEvent.RECOVERED
    tag = "恢复" if recovered else severity.label
    head = (
        f"{'【测试】' if test else ''}{'【补报】' if late else ''}【{tag}】{device_id} 第{component + 1}路 {kind.label}"
    )
    if kind is AlarmKind.RESIDUAL_CURRENT_RISE and baseline is not None:
        measured = f"较基线 {baseline:.4g}{unit} {'相差' if recovered else '升高'} {value:.4g}{unit}"
    else:
        measured = f"当前 {value:.4g}{unit}"
    if recovered:
        return f"{head}已恢复正常，待人工复位：{measured}"
    state = _STATES.get(event, "")
    return f"{head}{state}：{measured}，限值 {limit:.4g}{unit}"
