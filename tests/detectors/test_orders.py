"""What orders do to alarms and devices, by hand; the twin is held to the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import numpy as np
import pytest

from detectors.checkpoints.encode import encode
from detectors.checkpoints.restore import restore_all
from detectors.control.applied import Applied
from detectors.limits import load_limits
from detectors.rounds import Result
from detectors.state import PartitionState
from detectors.twin.oracle import timeless
from schemas.events import Alarm
from tests.detectors.given_orders import T0, Sent, control, order, quickly, report, slowly

pytestmark = pytest.mark.usefixtures("homes")
MINUTE: Final = 60_000


class Log:
    """A partition's log as it is written: minute by minute, of one device of two lines."""

    def __init__(self) -> None:
        self.records: list[Sent] = []
        self.ts = T0
        self._orders = count()

    def minutes(self, *values: float, other: float = 9.0, **fields: Any) -> Log:
        """A report a minute; the second line has a value of its own."""
        for value in values:
            self.ts += MINUTE
            told = {"residual_current_ma": [value, other]} | fields
            self.records.append(report(len(self.records), ts=self.ts, **told))
        return self

    def order(self, kind: str, **fields: Any) -> Log:
        """Somebody orders something."""
        one = order(next(self._orders), kind=kind, made_ts=self.ts, **fields)
        self.records.append(control(len(self.records), [one], self.ts))
        return self

    def come_to(self) -> Result:
        """What it means, of which the twin says the same."""
        result, _ = quickly([self.records], PartitionState(), load_limits())
        said = slowly(self.records, load_limits())
        assert (timeless(result.alarms), result.requests) == (said.alarms, said.requests)
        assert (result.outcomes, result.statuses, result.aggregates) == (said.outcomes, said.statuses, said.aggregates)
        return result


def life(found: Sequence[Alarm], kind: str = "residual_current") -> list[tuple[str, int]]:
    return [(str(one.event), one.component) for one in found if one.kind == kind]


def test_a_reset_ends_an_alarm_that_is_normal_again_and_the_same_later_is_another() -> None:
    found = Log().minutes(9, 9, 450, 450, 9, 9).order("reset", component=0).minutes(9, 450, 450).come_to()
    assert life(found.alarms) == [("opened", 0), ("recovered", 0), ("reset", 0), ("opened", 0)]
    opened, _, reset, again = found.alarms
    assert reset.alarm_id == opened.alarm_id != again.alarm_id
    assert (reset.by, reset.why, reset.severity, reset.severity_highest, reset.active) == (
        "李工",
        "已检查",
        0,
        2,
        False,
    )
    assert reset.message == "【复位】LY-1 第1路 剩余电流超限已复位（李工：已检查），最高 450mA"
    assert [(one.outcome, one.reason) for one in found.outcomes] == [("applied", "")]
    assert (reset.source_offset, reset.ingest_ts) == (found.outcomes[0].source_offset, found.outcomes[0].ingest_ts)


def test_what_is_still_active_is_reset_by_force_only() -> None:
    log = Log().minutes(9, 9, 450, 450).order("reset")
    refused = log.come_to()
    assert [one.outcome for one in refused.outcomes] == ["refused"]
    assert "告警条件仍然成立（第1路剩余电流超限），不予复位" in refused.outcomes[0].reason
    found = log.order("reset", force=True).minutes(450, 450).come_to()
    # What goes on is announced anew.
    assert life(found.alarms) == [("opened", 0), ("reset", 0), ("opened", 0)]
    assert len({one.alarm_id for one in found.alarms}) == 2


def test_of_several_alarms_none_is_reset_where_one_is_active() -> None:
    log = Log().minutes(9, 9, 450, 450, other=450).minutes(9, 9, other=450)
    assert [one.outcome for one in log.order("reset").come_to().outcomes] == ["refused"]
    found = log.order("reset", component=0).order("reset", force=True).come_to()
    assert life(found.alarms)[-2:] == [("reset", 0), ("reset", 1)]


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, "applied"),
        ({"alarm_kind": "residual_current"}, "applied"),
        ({"alarm_kind": "temperature"}, "refused"),
        ({"alarm_kind": "fire"}, "refused"),
        ({"alarm_id": "0" * 32}, "refused"),
        ({"component": 1}, "refused"),
        ({"component": 63}, "refused"),
    ],
)
def test_a_reset_is_of_what_it_names(fields: dict[str, Any], outcome: str) -> None:
    found = Log().minutes(9, 9, 450, 450, 9, 9).order("reset", **fields).come_to()
    assert [one.outcome for one in found.outcomes] == [outcome]
    assert (life(found.alarms)[-1][0] == "reset") == (outcome == "applied")


def test_a_reset_of_one_episode_is_not_of_the_next() -> None:
    log = Log().minutes(9, 9, 450, 450, 9, 9)
    (opened, _) = log.come_to().alarms
    log.order("reset", alarm_id=opened.alarm_id).minutes(450, 450, 9, 9).order("reset", alarm_id=opened.alarm_id)
    assert [one.outcome for one in log.come_to().outcomes] == ["applied", "refused"]


def test_an_accepted_rise_is_closed_and_the_level_it_has_is_the_new_one() -> None:
    log = Log().minutes(*[40] * 70, *[160] * 30, other=160).order("accept_rise", component=0)
    found = log.minutes(*[160] * 60, other=160).come_to()
    assert life(found.alarms, "residual_current_rise") == [("opened", 0), ("closed", 0)]
    # 100 mA over what was accepted is another rise.
    assert life(log.minutes(*[259] * 3, other=160).come_to().alarms, "residual_current_rise") == life(
        found.alarms, "residual_current_rise"
    )
    again = log.minutes(*[270] * 3, other=270).come_to()
    assert [(one.event, one.component, one.baseline) for one in again.alarms if one.kind == "residual_current_rise"][
        2:
    ] == [("opened", 0, 160.0), ("opened", 1, 160.0)]


def test_an_accepted_rise_is_quiet_the_next_morning_as_well() -> None:
    log = Log().minutes(*[40] * 70, *[160] * 30).order("accept_rise")
    found = log.minutes(*[160] * 300, *[40] * 300, *[160] * 300).come_to()
    assert life(found.alarms, "residual_current_rise") == [("opened", 0), ("closed", 0)]
    again = log.minutes(*[40] * 300, *[260] * 3).come_to()
    rises = [one for one in again.alarms if one.kind == "residual_current_rise"][2:]
    assert [(str(one.event), one.value, one.baseline) for one in rises] == [("opened", 100.0, 160.0)]


def test_there_is_nothing_to_accept_where_nothing_rose() -> None:
    found = Log().minutes(*[40] * 70).order("accept_rise").come_to()
    assert [one.reason for one in found.outcomes] == ["没有未复位的剩余电流异常升高告警，无须确认"]


def test_a_device_that_is_replaced_begins_anew_and_keeps_its_place() -> None:
    log = Log().minutes(*[40] * 70).minutes(*[450] * 3, faults=["link"]).order("replace").minutes(*[450] * 2)
    found = log.come_to()
    assert [one for one in life(found.alarms) if one[0] != "escalated"] == [
        ("opened", 0), ("closed", 0), ("provisional", 0), ("confirmed", 0),
    ]  # fmt: skip
    # What the former one leaked says nothing of this one.
    assert life(found.alarms, "residual_current_rise") == [("opened", 0), ("closed", 0)]
    at = found.outcomes[0].source_offset
    assert [(one.faults, one.status) for one in found.statuses if one.source_offset == at] == [([], "online")]
    # Each minute is told, that which was open too.
    assert (
        sum(one.quantities["residual_current_ma"]["count"][0] for one in found.aggregates if one.source_offset <= at)
        == 73
    )


def test_what_waits_for_a_next_value_is_withdrawn_where_the_device_is_replaced() -> None:
    log = Log().minutes(9, 450)
    (waits,) = log.come_to().alarms
    found = log.order("replace").minutes(9, 9, 450, 450).come_to()
    assert life(found.alarms) == [("provisional", 0), ("withdrawn", 0), ("opened", 0)]
    _, withdrawn, _ = found.alarms
    assert (withdrawn.alarm_id, withdrawn.severity, withdrawn.active) == (waits.alarm_id, 0, False)
    assert (withdrawn.by, withdrawn.why, withdrawn.value) == ("李工", "已检查", 450.0)
    assert withdrawn.source_offset == found.outcomes[0].source_offset


def test_what_waits_for_a_next_value_is_no_alarm_to_reset() -> None:
    log = Log().minutes(9, 450)
    refused = log.order("reset", force=True).come_to()
    assert [one.reason for one in refused.outcomes] == ["没有符合条件的未复位告警"]
    assert life(log.minutes(450).come_to().alarms) == [("provisional", 0), ("confirmed", 0)]


def test_maintenance_is_told_with_all_that_happens_and_ends_by_itself() -> None:
    log = Log().minutes(9, 9)
    until = log.ts + 5 * MINUTE
    log.order("maintenance", until_ts=until).minutes(450, 450, 9, 9).minutes(9, 900, 900)
    found = log.come_to()
    assert [(one.event, one.maintenance) for one in found.alarms] == [
        ("opened", True), ("recovered", True), ("worsened", False),
    ]  # fmt: skip
    assert [one.maintained_until_ts for one in found.statuses] == [0, until]
    ended = log.order("maintenance").come_to()
    assert ended.statuses[-1].maintained_until_ts == 0


def test_maintenance_that_is_over_already_is_refused() -> None:
    log = Log().minutes(9)
    found = log.order("maintenance", until_ts=log.ts).come_to()
    assert [one.reason for one in found.outcomes] == ["维护的结束时间已过"]


def test_an_order_that_a_row_reflects_does_nothing_twice() -> None:
    # Without transactions a row may be newer than what is known of its partition.
    log = Log().minutes(9, 9, 450, 450, 9, 9).order("reset").minutes(450, 450, 9, 9)
    whole, limits = PartitionState(), load_limits()
    quickly([log.records], whole, limits)
    restored = PartitionState()
    restore_all(restored, dict(encode(whole, whole.held().tolist())))
    restored.applied = Applied()
    again, _ = quickly([log.records], restored, limits)
    assert (again.alarms, [one.outcome for one in again.outcomes]) == ([], ["applied"])
    assert list(encode(restored, [0])) == list(encode(whole, [0]))


def test_a_restored_state_knows_of_maintenance() -> None:
    log = Log().minutes(9)
    log.order("maintenance", until_ts=log.ts + 5 * MINUTE)
    state, limits = PartitionState(), load_limits()
    quickly([log.records], state, limits)
    restored = PartitionState()
    restore_all(restored, dict(encode(state, [0])))
    row = restored.find(["LY-1"], np.array([False]))
    assert restored.rows["maintained_until_ts"][row].tolist() == [log.ts + 5 * MINUTE]
