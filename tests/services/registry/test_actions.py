"""What people do about alarms is recorded and published once; of two at once one wins, and the other is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

import pytest
from msgspec import structs
from sqlalchemy import Engine, text

from common.settings import Settings
from schemas.actions import MUTED_MOST_MS, ActionKind, AlarmAction, AlarmVerdict, SeenEvent
from schemas.published import MAX_NAME, MAX_TEXT
from schemas.topics import ALARM_ACTIONS
from services.registry.actions import (
    HISTORY_MOST,
    ActionTaken,
    AlarmSubject,
    WantedAction,
    act,
    actions_of,
    version_of,
)
from services.registry.database import engine_of, reading, url_of, writing
from services.registry.outbox import clock, next_rows
from services.registry.refusals import RefusedError

ALARM: Final = AlarmSubject("a" * 32, "LY-1", 2, "temperature", True)
SEEN: Final = SeenEvent("4d0f", 3, 1, 700, 2)
ACKNOWLEDGE: Final = WantedAction(ActionKind.ACKNOWLEDGE, "张三", seen=SEEN)
VERDICT: Final = WantedAction(ActionKind.VERDICT, "张三", "现场过热", verdict=AlarmVerdict.TRUE)


def do(engine: Engine, wanted: WantedAction, subject: AlarmSubject = ALARM) -> ActionTaken:
    with writing(engine) as session:
        return act(session, subject, wanted)


def muting(engine: Engine, ahead_ms: int, **more: Any) -> WantedAction:
    with reading(engine) as session:
        until_ts = clock(session) + ahead_ms
    return WantedAction(ActionKind.MUTE, "张三", "检修中", until_ts=until_ts)._replace(**more)


def done(engine: Engine) -> list[AlarmAction]:
    with reading(engine) as session:
        return actions_of(session, ALARM.alarm_id)


def published(engine: Engine) -> list[AlarmAction]:
    """What is in the outbox, in its order."""
    with reading(engine) as session:
        rows = next_rows(session)
    assert {(one.topic, one.key) for one in rows} <= {(ALARM_ACTIONS.name, b"LY-1")}
    return [AlarmAction.from_json(one.value) for one in rows]


def test_each_kind_of_action_is_a_row_and_a_record_that_say_the_same(engine: Engine) -> None:
    wanted = [
        ACKNOWLEDGE,
        muting(engine, 3_600_000),
        WantedAction(ActionKind.UNMUTE, "李四"),
        WantedAction(ActionKind.ASSIGN, "李四", to="王五"),
        WantedAction(ActionKind.COMMENT, "王五", "已到现场\n请稍候"),
        VERDICT,
    ]
    taken = [do(engine, one) for one in wanted]
    assert all(one.is_new for one in taken)
    assert done(engine) == published(engine) == [one.action for one in taken]
    assert [one.kind for one in done(engine)] == list(ActionKind)
    assert [one.version for one in done(engine)] == [1, 2, 3, 4, 5, 6]
    first, mute, _, assign, comment, verdict = done(engine)
    assert (first.by, first.seen, first.device_id, first.test) == ("张三", SEEN, "LY-1", True)
    assert (mute.until_ts, assign.to, comment.why, verdict.verdict) == (
        *(wanted[1].until_ts, "王五", "已到现场\n请稍候", AlarmVerdict.TRUE),
    )
    with reading(engine) as session:
        assert (version_of(session, ALARM.alarm_id), version_of(session, "b" * 32)) == (6, 0)
        assert actions_of(session, "b" * 32) == []
        assert 0 <= clock(session) - first.ts < 60_000


def test_what_was_acknowledged_at_the_same_event_or_a_later_one_is_told_and_makes_no_second_row(engine: Engine) -> None:
    first = do(engine, ACKNOWLEDGE)
    for earlier in (SEEN, structs.replace(SEEN, source_ordinal=1), structs.replace(SEEN, generation=0)):
        again = do(engine, ACKNOWLEDGE._replace(by="李四", seen=earlier))
        assert again == ActionTaken(first.action, False)
    assert len(done(engine)) == len(published(engine)) == 1
    later = [structs.replace(SEEN, source_offset=701), structs.replace(SEEN, generation=2, source_offset=0)]
    # Whose position cannot be compared is not taken for seen.
    elsewhere = [structs.replace(SEEN, partition=4), structs.replace(SEEN, source_topic_id="5e")]
    for seen in (*later, *elsewhere):
        assert do(engine, ACKNOWLEDGE._replace(by="李四", seen=seen)).is_new


def test_to_assign_to_the_same_person_again_changes_nothing(engine: Engine) -> None:
    assign = WantedAction(ActionKind.ASSIGN, "李四", to="王五")
    assert [do(engine, assign).is_new, do(engine, assign).is_new] == [True, False]
    assert do(engine, assign._replace(to="赵六")).is_new


def test_who_decided_on_an_older_version_is_told_who_did_it_and_when(engine: Engine) -> None:
    do(engine, WantedAction(ActionKind.ASSIGN, "李四", to="王五", version=0))
    with pytest.raises(
        RefusedError, match=r"李四已于\d{4}-\d\d-\d\d \d\d:\d\d:\d\d指派给王五，在您看到的版本之后；请刷新"
    ):
        do(engine, WantedAction(ActionKind.ASSIGN, "赵六", to="赵六", version=0))
    # Another kind of action is no reason to refuse, and comments never are.
    assert do(engine, ACKNOWLEDGE._replace(version=0)).is_new
    comment = WantedAction(ActionKind.COMMENT, "赵六", "好", version=0)
    assert [do(engine, comment).action.version, do(engine, comment).action.version] == [3, 4]
    assert do(engine, WantedAction(ActionKind.ASSIGN, "赵六", to="赵六", version=4)).action.version == 5
    with pytest.raises(RefusedError, match="没有版本6，现在是5"):
        do(engine, comment._replace(version=6))


def test_to_mute_and_to_unmute_undo_each_other(engine: Engine) -> None:
    with pytest.raises(RefusedError, match="没有静音"):
        do(engine, WantedAction(ActionKind.UNMUTE, "李四"))
    do(engine, muting(engine, 3_600_000))
    with pytest.raises(RefusedError, match=r"张三已于.*静音到"):
        do(engine, WantedAction(ActionKind.UNMUTE, "李四", version=0))
    do(engine, WantedAction(ActionKind.UNMUTE, "李四", version=1))
    with pytest.raises(RefusedError, match="没有静音"):
        do(engine, WantedAction(ActionKind.UNMUTE, "李四", version=2))


def test_a_second_verdict_needs_the_version_that_it_is_about(engine: Engine) -> None:
    do(engine, VERDICT)
    false = VERDICT._replace(by="李四", verdict=AlarmVerdict.FALSE, why="传感器松动")
    with pytest.raises(RefusedError, match=r"张三已于.*研判为“真实”；要更改，请给出所依据的版本（现在是1）"):
        do(engine, false)
    assert do(engine, false._replace(version=1)).action.verdict is AlarmVerdict.FALSE


def refusals(engine: Engine) -> Iterator[tuple[WantedAction, str]]:
    comment = WantedAction(ActionKind.COMMENT, "张三", "好")
    yield comment._replace(why=" "), "没有填写内容"
    yield comment._replace(why="好" * (MAX_TEXT + 1)), f"最多{MAX_TEXT}个"
    yield comment._replace(why="\x00"), "控制字符"
    yield comment._replace(why="\ud800"), "控制字符"
    yield comment._replace(by="　"), "没有填写操作人"
    yield comment._replace(by="张" * (MAX_NAME + 1)), f"最多{MAX_NAME}个"
    yield comment._replace(by="张\n三"), "只能是一行"
    yield ACKNOWLEDGE._replace(seen=None), "请刷新后再确认"
    yield WantedAction(ActionKind.ASSIGN, "张三"), "没有填写负责人"
    yield VERDICT._replace(last_event="provisional"), "还不是告警，不能研判"
    yield VERDICT._replace(kind=ActionKind.MUTE, last_event="withdrawn"), "还不是告警，不能静音"
    yield VERDICT._replace(verdict=None), "真实、误报、测试、未知"
    yield VERDICT._replace(verdict=AlarmVerdict.FALSE, why=""), "没有填写原因"
    yield muting(engine, 3_600_000, why=""), "没有填写原因"
    yield muting(engine, 0), "今后24小时以内"
    yield muting(engine, MUTED_MOST_MS + 60_000), "今后24小时以内"


def test_what_is_beyond_its_bounds_is_refused_with_its_remedy_and_leaves_nothing(engine: Engine) -> None:
    for wanted, said in refusals(engine):
        with pytest.raises(RefusedError, match=said):
            do(engine, wanted)
    assert done(engine) == published(engine) == []


def test_the_actions_of_an_alarm_are_bounded(engine: Engine) -> None:
    comment = WantedAction(ActionKind.COMMENT, "张三", "好")
    do(engine, comment)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE alarms SET version = {HISTORY_MOST}"))  # noqa: S608
    with pytest.raises(RefusedError, match="不能再增加"):
        do(engine, comment)


def test_what_people_say_is_in_no_log(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    do(engine, VERDICT)
    with pytest.raises(RefusedError):
        do(engine, VERDICT)
    assert "张三" not in caplog.text
    assert "现场过热" not in caplog.text


def test_of_two_connections_at_once_one_wins_and_the_other_is_told(settings: Settings) -> None:
    engines = [engine_of(url_of(settings)) for _ in range(2)]
    is_waiting, told = threading.Event(), list[str]()

    def judge_too() -> None:
        is_waiting.set()
        try:
            do(engines[1], VERDICT._replace(by="李四", verdict=AlarmVerdict.FALSE, why="误碰", version=0))
        except RefusedError as error:
            told.append(str(error))

    other = threading.Thread(target=judge_too)
    with writing(engines[0]) as session:
        other.start()
        assert is_waiting.wait(10)
        act(session, ALARM, VERDICT._replace(version=0))
        # The other is in the middle of it, and cannot have written before this one has.
        other.join(0.3)
        assert other.is_alive()
    other.join(30)
    (refusal,) = told
    assert "张三已于" in refusal
    assert "研判为“真实”" in refusal
    assert [one.by for one in done(engines[0])] == ["张三"]
    for engine in engines:
        engine.dispose()
