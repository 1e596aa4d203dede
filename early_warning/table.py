"""The rules that there are, in the order in which they speak: the first that has something to say of a component says
it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from early_warning.judged import Evidence, Judged
from early_warning.normal import OVER, UNDER, HourView
from early_warning.parameters import RuleParameters
from early_warning.rules import baseline, drift, fall, heat, joint, load, siblings, trend, wet_weather


class Rule(NamedTuple):
    """One rule: its name, which is that of its parameters, what people call it, the quantity it judges, and its
    side."""

    name: str
    label: str
    quantity: str
    judge: Callable[[HourView, RuleParameters], Judged]
    sentence: Callable[[Evidence], str]
    advice: str
    side: int = OVER
    observe: Callable[[HourView, RuleParameters], None] | None = None


LEAKAGE: Final = "residual_current_ma"
TEMPERATURE: Final = "temperature_c"
RULES: Final = (
    Rule(
        "wet_weather",
        "潮湿后未回落",
        LEAKAGE,
        wet_weather.judge,
        wet_weather.sentence,
        wet_weather.ADVICE,
        observe=wet_weather.observe,
    ),
    Rule("baseline", "泄漏高于正常", LEAKAGE, baseline.judge, baseline.sentence, baseline.ADVICE),
    Rule("load", "负荷无法解释的泄漏", LEAKAGE, load.judge, load.sentence, load.ADVICE),
    Rule("drift", "泄漏缓慢上升", LEAKAGE, drift.judge, drift.sentence, drift.ADVICE),
    Rule("trend", "将达到限值", LEAKAGE, trend.judge, trend.sentence, trend.ADVICE),
    Rule("siblings", "温度高于同组", TEMPERATURE, siblings.judge, siblings.sentence, siblings.ADVICE),
    Rule("heat", "温度高于正常", TEMPERATURE, heat.judge, heat.sentence, heat.ADVICE),
    Rule("joint", "接头劣化", TEMPERATURE, joint.judge, joint.sentence, joint.ADVICE, observe=joint.observe),
    Rule("fall", "温度低于正常", TEMPERATURE, fall.judge, fall.sentence, fall.ADVICE, side=UNDER),
    Rule("trend", "将达到限值", TEMPERATURE, trend.judge, trend.sentence, trend.ADVICE),
)
EXCESS_NAMES: Final = {LEAKAGE: "excess_ma", TEMPERATURE: "excess_k"}
