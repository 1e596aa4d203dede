"""Limits from a TOML file: which section of it is for which scope and kind of alarm.

[default.KIND] and [DEVICE_KIND.KIND] as in `schemas/limits.toml`; [place_kind.NAME.KIND], [model."NAME".KIND],
[unit."ID".KIND], [device."ID".KIND]; and [device."ID".component.QUANTITY.N.KIND], N from 1 as people count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from schemas.alarm_kinds import AlarmKind
from schemas.limit_sections import LimitsError, LimitsTable, read_toml
from schemas.quantities import BY_NAME, KIND_CODES, MAX_COMPONENTS
from services.registry.limits.changing import WantedSections
from services.registry.limits.rows import LimitsScope, ScopeKind, SectionKey
from services.registry.refusals import RefusedError

SUBJECTS: Final = (ScopeKind.PLACE_KIND, ScopeKind.MODEL, ScopeKind.UNIT, ScopeKind.DEVICE)
"""What a file names first, and then which one."""
_ABSENT: Final = "无效值（absent）不在登记库中设置；请写入 EMBERLINE_LIMITS_FILE 所指的文件"
_NUMBER: Final = re.compile(r"[1-9]\d?")

Found = tuple[SectionKey, LimitsTable] | str
"""A section, or what is wrong with one."""


def sections_of(path: Path) -> WantedSections:
    """What a file sets. Raises RefusedError."""
    try:
        document = read_toml(path)
    except LimitsError as error:
        raise RefusedError(error.chinese) from error
    found = list(_read(document))
    if wrong := [f"{path.name} {one}" for one in found if isinstance(one, str)]:
        raise RefusedError(*wrong)
    return dict(one for one in found if not isinstance(one, str))


def _read(document: dict[str, Any]) -> Iterator[Found]:
    for name, held in document.items():
        if not isinstance(held, dict):
            yield f"中的 {name} 不是一节；请按 [default.temperature] 的形式书写"
        elif name == ScopeKind.DEFAULT:
            yield from _of_scope(LimitsScope(ScopeKind.DEFAULT), held, f"[{name}]")
        elif name in KIND_CODES:
            yield from _of_scope(LimitsScope(ScopeKind.KIND, name), held, f"[{name}]")
        elif name in SUBJECTS:
            for subject, own in held.items():
                yield from _of_subject(ScopeKind(name), subject, own)
        else:
            known = "、".join(("default", *KIND_CODES, *SUBJECTS))
            yield f"[{name}]：{_ABSENT if name == 'absent' else f'不知道是什么范围；可用：{known}'}"


def _of_subject(kind: ScopeKind, subject: str, held: Any) -> Iterator[Found]:
    where = f'[{kind}."{subject}"]'
    if not isinstance(held, dict):
        yield f"{where}：不是一节；请按 {where[:-1]}.temperature] 的形式书写"
    else:
        components = held.get("component", {}) if kind is ScopeKind.DEVICE else {}
        yield from _of_scope(
            LimitsScope(kind, subject), {name: one for name, one in held.items() if one is not components}, where
        )
        yield from _of_components(subject, components, f"{where[:-1]}.component")


def _of_components(device_id: str, held: Any, where: str) -> Iterator[Found]:
    if not isinstance(held, dict):
        yield f"{where}]：不是一节；请按 {where}.temperature_c.1.temperature] 的形式书写"
        return
    for quantity, numbers in held.items():
        if quantity not in BY_NAME or not isinstance(numbers, dict):
            yield f"{where}.{quantity}]：不知道是什么监测量；可用：{'、'.join(BY_NAME)}"
            continue
        for number, own in numbers.items():
            if not _NUMBER.fullmatch(number) or int(number) > MAX_COMPONENTS or not isinstance(own, dict):
                yield f"{where}.{quantity}.{number}]：部件序号必须从1到{MAX_COMPONENTS}，下面再写告警类型；请核对"
                continue
            scope = LimitsScope(ScopeKind.COMPONENT, device_id, quantity, int(number))
            yield from _of_scope(scope, own, f"{where}.{quantity}.{number}]")


def _of_scope(scope: LimitsScope, held: dict[str, Any], where: str) -> Iterator[Found]:
    for name, section in held.items():
        if name == "absent":
            yield f"{where}：{_ABSENT}"
        elif name not in set(AlarmKind):
            yield f"{where}：没有名为“{name}”的告警类型；可用：{'、'.join(AlarmKind)}"
        elif not isinstance(section, dict):
            yield f"{where[:-1]}.{name}]：不是一节；请在其下写设置，如 alarm = 70"
        else:
            yield (scope, AlarmKind(name)), section
