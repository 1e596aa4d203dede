"""What people do about alarms, as bytes and back."""

from __future__ import annotations

import pytest
from msgspec import structs

from schemas.actions import ActionKind, AlarmAction, AlarmVerdict, SeenEvent

ACTION = AlarmAction(1, "a" * 32, "LY-1", ActionKind.VERDICT, "张三", 1_790_000_000_000, 1, verdict=AlarmVerdict.FALSE)
SEEN = SeenEvent("t", 3, 1, 700, 2)


def test_an_action_is_read_back_as_it_was_and_what_is_not_known_is_left_out() -> None:
    for action in (ACTION, structs.replace(ACTION, seen=SEEN, kind=ActionKind.ACKNOWLEDGE, verdict=None)):
        assert AlarmAction.from_json(action.to_json()) == action
    assert AlarmAction.from_json(ACTION.to_json()[:-1] + b',"later":1}') == ACTION


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "it has no value"),
        (b'{"x":' * 100_000, "nested too deeply"),
        (structs.replace(ACTION, v=2).to_json(), "version 2; this program reads version 1"),
        (structs.replace(ACTION, alarm_id="x").to_json(), "alarm_id"),
        (structs.replace(ACTION, by="").to_json(), r"\$.by"),
        (structs.replace(ACTION, why="x" * 501).to_json(), r"\$.why"),
        (structs.replace(ACTION, version=0).to_json(), r"\$.version"),
        (ACTION.to_json().replace(b'verdict","by', b'dance","by'), r"\$.kind"),
    ],
)
def test_what_is_no_action_of_this_version_is_refused_and_says_why(value: bytes | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        AlarmAction.from_json(value)


def test_an_event_reaches_itself_and_those_before_it_in_its_partition() -> None:
    earlier = [
        structs.replace(SEEN, source_ordinal=1),
        structs.replace(SEEN, source_offset=699, source_ordinal=9),
        structs.replace(SEEN, generation=0, source_offset=900),
    ]
    assert all(SEEN.reaches(one) for one in (SEEN, *earlier))
    assert not any(one.reaches(SEEN) for one in earlier)
    for other in (structs.replace(SEEN, partition=2), structs.replace(SEEN, source_topic_id="u")):
        assert not SEEN.reaches(other)
        assert not other.reaches(SEEN)


def test_users_read_every_word_in_chinese() -> None:
    assert [one.label for one in AlarmVerdict] == ["真实", "误报", "测试", "未知"]
    assert [one.label for one in ActionKind] == ["确认", "静音", "取消静音", "指派", "备注", "研判"]
