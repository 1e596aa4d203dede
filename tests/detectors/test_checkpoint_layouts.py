"""Rows of other releases: what both know goes over, what only this one knows is at rest, what it does not know is
dropped."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detectors.checkpoints.encode import encode
from detectors.checkpoints.layout import KNOWN, OWN, TEXT, LayoutError, beginning_of, described, parsed
from detectors.checkpoints.restore import Restored, restore_all
from detectors.checkpoints.translate import differences
from detectors.limits import LimitTable, load_limits
from detectors.state import PartitionState
from detectors.twin.oracle import Record
from tests.detectors.given_reports import T0, contents, fleets, record, report, told
from tests.detectors.rows_by_hand import AT_REST, AXES, Entry, device, layout_of, value_of

PROFILE = settings(
    max_examples=60, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
QUICK = """
[default.residual_current_rise]
window_s = 12
confirm_warning_s = 1
"""
WIDER = {"|u1": "<u2", "<u2": "<u4", "<u4": "<u8", "|i1": "<i2", "<i2": "<i4", "<i4": "<i8"}
NARROWER = {wide: narrow for narrow, wide in WIDER.items()}
RECORDS = ("row", "channel", "latch", "late", "last", "spread")
NEEDED = {"offset", "heard_ts", "width", "device_kind", "status", "test", "severity"}
"""What no release may be without."""


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> LimitTable:
    path = tmp_path_factory.mktemp("limits") / "limits.toml"
    path.write_text(QUICK, encoding="utf-8")
    return load_limits(path)


def lists(release: Any) -> list[tuple[str, list[str]]]:
    """Where a release has fields: the name of the entry or the detector, and the fields."""
    return [(name, release[name]) for name in RECORDS] + [(one["kind"], one["keeps"]) for one in release["detectors"]]


def field_added(release: Any, rng: random.Random) -> None:
    name, fields = rng.choice([one for one in lists(release) if one[1]])
    dtype = rng.choice(["<i8", "<f8", "|u1"])
    fields.insert(rng.randrange(len(fields) + 1), f"{name}_new_{rng.randrange(10**6)} {dtype}{rng.choice(['', ' 3'])}")


def field_removed(release: Any, rng: random.Random) -> None:
    _, fields = rng.choice(lists(release))
    if losable := [one for one in fields if one.split()[0] not in NEEDED]:
        fields.remove(rng.choice(losable))


def field_of_another_size(release: Any, rng: random.Random, sizes: Mapping[str, str]) -> None:
    _, fields = rng.choice(lists(release))
    if found := [number for number, one in enumerate(fields) if one.split()[1] in sizes and one.split()[0] != "width"]:
        number = rng.choice(found)
        name, dtype, *size = fields[number].split()
        fields[number] = " ".join([name, sizes[dtype], *size])


def field_narrower(release: Any, rng: random.Random) -> None:
    """What is wider here."""
    field_of_another_size(release, rng, NARROWER)


def field_wider(release: Any, rng: random.Random) -> None:
    field_of_another_size(release, rng, WIDER)


def ring_of_another_size(release: Any, rng: random.Random) -> None:
    name, fields = rng.choice([one for one in lists(release) if one[0] in ("row", "late")])
    sizes = {"remembered": rng.choice([8, 32]), "value": rng.choice([4, 16])}
    release[name] = [
        " ".join([*one.split()[:2], str(sizes[one.split()[0]])]) if one.split()[0] in sizes else one for one in fields
    ]


def fields_in_another_order(release: Any, rng: random.Random) -> None:
    rng.shuffle(rng.choice(lists(release))[1])


def detector_added(release: Any, rng: random.Random) -> None:
    kind = f"looks_for_{rng.randrange(10**6)}"
    keeps = rng.choice([[], ["seen <i8", "peak <f8"]])
    one = {"kind": kind, "quantity": rng.choice(release["quantities"]), "keeps": keeps}
    release["detectors"].insert(rng.randrange(len(release["detectors"]) + 1), one)


def detector_removed(release: Any, rng: random.Random) -> None:
    release["detectors"].pop(rng.randrange(len(release["detectors"])))


def detectors_in_another_order(release: Any, rng: random.Random) -> None:
    rng.shuffle(release["detectors"])


def quantity_added(release: Any, rng: random.Random) -> None:
    column = rng.randrange(len(release["quantities"]) + 1)
    release["quantities"].insert(column, f"quantity_{rng.randrange(10**6)}")


def quantity_removed(release: Any, rng: random.Random) -> None:
    gone = release["quantities"].pop(rng.randrange(len(release["quantities"])))
    release["detectors"] = [one for one in release["detectors"] if one["quantity"] != gone]


def quantities_in_another_order(release: Any, rng: random.Random) -> None:
    rng.shuffle(release["quantities"])


def kinds_in_another_order(release: Any, rng: random.Random) -> None:
    rng.shuffle(release["device_kinds"])


CHANGES: list[Callable[[Any, random.Random], None]] = [
    field_added, field_removed, field_narrower, field_wider, ring_of_another_size, fields_in_another_order,
    detector_added, detector_removed, detectors_in_another_order,
    quantity_added, quantity_removed, quantities_in_another_order, kinds_in_another_order,
]  # fmt: skip


def expected(one: Entry, release: Any) -> Entry:
    """What is left of a device by way of a release."""
    fields = {name: {field.split()[0]: field.split()[1:] for field in of} for name, of in lists(release)}
    quantities, detectors = release["quantities"], [(each["kind"], each["quantity"]) for each in release["detectors"]]
    watched = {quantity for _, quantity in detectors}
    ours = {name: {field.split()[0]: field.split()[1:] for field in of} for name, of in lists(described())}

    def left(kind: str, entry: Entry) -> Entry:
        return {
            name: value if goes_over(fields.get(kind, {}).get(name), ours[kind][name]) else rest(kind, name, value)
            for name, value in entry.items()
        }

    row = left("row", one["row"] | dict.fromkeys(AXES, 0))
    for name, axis in AXES.items():
        known = quantities if axis == "quantities" else watched
        there = goes_over(fields["row"].get(name), ours["row"][name])
        row[name] = {each: value for each, value in one["row"][name].items() if there and each in known}
    row["device_kind"] = one["row"]["device_kind"]
    row["told"] = int(bool(one["words"] or one["notes"]))
    row["next"] %= 16
    quantity_of = {each.kind: each.quantity for each in OWN.detectors}
    width = row["width"]
    minutes: list[Entry | None] = []
    for minute in one["minutes"]:
        if minute is None or not width:
            minutes.append(None)
            continue
        kept = {name: minute[name] for name in ("last", "spread")}
        of = {
            name: blocks
            and {one: [left(name, entry) for entry in entries] for one, entries in blocks.items() if one in width}
            for name, blocks in kept.items()
        }
        minutes.append({"ts": minute["ts"], **of})
    blank = {name: [0] * 8 if name in ("ts", "value") else 0 for name in ("ts", "value", "next")}
    return {
        "row": row,
        "words": one["words"],
        "notes": one["notes"],
        "latches": {
            (kind, component): left("latch", latch)
            for (kind, component), latch in one["latches"].items()
            if (kind, quantity_of[kind]) in detectors
        },
        "late": {
            (name, component): blank | left("late", late)
            for (name, component), late in one["late"].items()
            if name in watched and fields["late"]
        },
        "channels": {
            name: [
                left("channel", entry) if name in watched else dict.fromkeys(entry, 0)
                for entry in entries[: width.get(name, 0)]
            ]
            for name, entries in one["channels"].items()
        },
        "keeps": {
            kind: [left(kind, entry) for entry in entries[: width.get(quantity_of[kind], 0)]]
            for kind, entries in one["keeps"].items()
        },
        "minutes": minutes,
    }


def goes_over(theirs: list[str] | None, ours: list[str]) -> bool:
    """Whether a field of these types and sizes keeps its values."""
    if theirs is None or theirs[1:] != ours[1:]:
        return False
    kind, size = theirs[0][1], int(theirs[0][2])
    return theirs[0] == ours[0] or (kind == ours[0][1] and size <= int(ours[0][2]))


def rest(kind: str, name: str, value: Any) -> Any:
    at_rest = AT_REST.get(kind, {}).get(name, 0)
    return [at_rest] * len(value) if isinstance(value, list) else at_rest


def fits(one: Entry, release: Any) -> bool:
    """Whether the release could hold what is told: a narrower field the value, another ring the index in it."""
    kinds = dict(lists(release))
    for kind, entry in entries_of(one):
        for field in kinds.get(kind, []):
            name, dtype = field.split()[:2]
            if name in entry and name not in AXES and name != "device_kind" and dtype[1] in "iu":
                held = entry[name] if isinstance(entry[name], list) else [entry[name]]
                bits = 8 * int(dtype[2]) - (dtype[1] == "i")
                least = -(2**bits) if dtype[1] == "i" else 0
                if any(not least <= value < 2**bits for value in held):
                    return False
    return True


def entries_of(one: Entry) -> list[tuple[str, Entry]]:
    found = [("row", one["row"])]
    found += [("channel", entry) for entries in one["channels"].values() for entry in entries]
    found += [(kind, entry) for kind, entries in one["keeps"].items() for entry in entries]
    found += [("latch", latch) for latch in one["latches"].values()] + [("late", late) for late in one["late"].values()]
    for minute in one["minutes"]:
        for name in ("last", "spread"):
            for entries in ((minute or {}).get(name) or {}).values():
                found += [(name, entry) for entry in entries]
    return found


def restored_by(release: Any, state: PartitionState) -> tuple[PartitionState, Restored, list[tuple[bytes, Entry]]]:
    """The state by way of a release, what was told of that, and the devices whose values it could hold."""
    layout = layout_of(release)
    keys = [key for key, _ in encode(state, range(len(state)))]
    devices = [(key, device(state, row)) for row, key in enumerate(keys)]
    devices = [(key, one) for key, one in devices if fits(one, release)]
    found = PartitionState()
    rows = {key: value_of(layout, one) for key, one in devices}
    return found, restore_all(found, rows, {layout.beginning: layout, **KNOWN}), devices


@PROFILE
@given(records=fleets(), seed=st.integers(0, 2**32), changes=st.integers(0, 6))
def test_what_both_releases_know_goes_over_and_the_rest_is_at_rest(
    limits: LimitTable, records: list[Record], seed: int, changes: int
) -> None:
    state, rng, release = PartitionState(), random.Random(seed), copy.deepcopy(described())
    release = {name: list(of) for name, of in release.items()}
    release["detectors"] = [one | {"keeps": list(one["keeps"])} for one in release["detectors"]]
    told([records], state, limits)
    for change in [rng.choice(CHANGES) for _ in range(changes)]:
        change(release, rng)
    restored, result, devices = restored_by(release, state)
    assert result.aside == {}
    assert [device(restored, row) for row in range(len(restored))] == [expected(one, release) for _, one in devices]
    if changes == 0:
        assert result.layouts == {}
    # And it goes on: what it is now has a row of our own again.
    assert contents(restored) == contents(again(restored))


def again(state: PartitionState) -> PartitionState:
    fresh = PartitionState()
    assert not restore_all(fresh, dict(contents(state))).aside
    return fresh


@PROFILE
@given(records=fleets())
def test_rows_by_hand_are_the_rows_that_are_encoded(limits: LimitTable, records: list[Record]) -> None:
    state = PartitionState()
    told([records], state, limits)
    encoded = [value for _, value in encode(state, range(len(state)))]
    for row, value in enumerate(encoded):
        # In what order the latches and late values of a row lie means nothing; whatever is told of it comes last.
        assert sorted(value_of(OWN, device(state, row))) == sorted(value)


def test_rows_of_several_layouts_lie_side_by_side(limits: LimitTable) -> None:
    state = PartitionState()
    told([[record] for record in next_fleet()], state, limits)
    own = dict(encode(state, range(len(state))))
    other = copy.deepcopy(described())
    other["quantities"] = other["quantities"][::-1]
    layout = layout_of(other)
    mixed = {
        key: value_of(layout, device(state, row)) if row % 2 else value for row, (key, value) in enumerate(own.items())
    }
    restored = PartitionState()
    result = restore_all(restored, mixed, {layout.beginning: layout, **KNOWN})
    assert (result.aside, list(result.layouts)) == ({}, [layout.beginning])
    assert contents(restored) == sorted(own.items())


def next_fleet() -> list[Record]:
    return [
        record(number, report(T0 + number, f"LY-{number}", temperature_c=[30 + number, 90], residual_current_ma=[61]))
        for number in range(6)
    ]


def by(release: Any, one: Entry) -> Entry:
    """A device by way of a release."""
    layout, state = layout_of(release), PartitionState()
    assert not restore_all(state, {b"0LY-1": value_of(layout, one)}, {layout.beginning: layout}).aside
    return device(state, 0)


def several(limits: LimitTable) -> Entry:
    """A device with a minute of several reports, of temperatures and of late ones."""
    state = PartitionState()
    ages_ms = (0, 1_000, 2_000, 500, 400)
    records = [record(n, report(T0 + ms, temperature_c=[90.5, 31])) for n, ms in enumerate(ages_ms)]
    told([[one] for one in records], state, limits)
    return device(state, 0)


def test_a_place_in_a_ring_that_is_larger_elsewhere_is_one_here(limits: LimitTable) -> None:
    one = several(limits)
    one["row"]["next"] = 21
    one["late"]["temperature_c", 0]["next"] = 9
    found = by(described(), one)
    assert (found["row"]["next"], found["late"]["temperature_c", 0]["next"]) == (5, 1)


def test_a_detector_that_looks_at_something_else_now_keeps_nothing(limits: LimitTable) -> None:
    one, release = several(limits), copy.deepcopy(described())
    rise = next(each for each in release["detectors"] if each["kind"] == "temperature_rise")
    rise["quantity"] = "current_a"
    one["row"]["width"]["current_a"] = 2
    one["channels"]["current_a"] = copy.deepcopy(one["channels"]["temperature_c"])
    one["keeps"]["temperature_rise"][0]["mean_c"] = 77.0
    assert [each["mean_c"] for each in by(release, one)["keeps"]["temperature_rise"]] == [0, 0]


def test_a_minute_that_was_kept_otherwise_has_no_least_and_no_greatest(limits: LimitTable) -> None:
    one, release = several(limits), copy.deepcopy(described())
    release["spread"] = ["sum <f8"]
    (spread, _) = by(release, one)["minutes"][0]["spread"]["temperature_c"]
    assert (spread["min"], spread["max"], spread["sum"]) == (float("inf"), float("-inf"), 90.5 * 5)
    release["spread"] = []
    (spread, _) = by(release, one)["minutes"][0]["spread"]["temperature_c"]
    assert (spread["min"], spread["max"], spread["sum"]) == (float("inf"), float("-inf"), 0)


def test_a_minute_of_nothing_that_is_known_here_is_not_open(limits: LimitTable) -> None:
    one, release = several(limits), copy.deepcopy(described())
    release["quantities"] = ["warmth" if each == "temperature_c" else each for each in release["quantities"]]
    release["detectors"] = [each for each in release["detectors"] if each["quantity"] != "temperature_c"]
    one["row"]["width"] = {"warmth": 1}
    one["minutes"][0] |= {name: {"warmth": one["minutes"][0][name]["temperature_c"][:1]} for name in ("last", "spread")}
    assert by(release, one | {"latches": {}, "late": {}})["minutes"] == [None, None]


def test_what_differs_is_told_by_names() -> None:
    other = copy.deepcopy(described())
    other["row"] = [*other["row"][:-1], "test |i1", "mood <i4"]
    other["latch"] = [one for one in other["latch"] if not one.startswith("episode ")]
    other["detectors"] = [*other["detectors"][1:], {"kind": "smoulder", "quantity": "smoke", "keeps": []}]
    assert differences(layout_of(other)) == (
        "at rest latch.episode, residual_current of residual_current_ma; dropped row.mood, smoulder of smoke"
    )
    assert differences(OWN) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda told: "[]",
        lambda told: told | {"quantities": []},
        lambda told: told | {"quantities": ["a", "a"]},
        lambda told: told | {"quantities": ["A b"]},
        lambda told: told | {"quantities": 5},
        lambda told: told | {"detectors": [{"kind": "smoulder", "quantity": "nothing", "keeps": []}]},
        lambda told: told | {"row": []},
        lambda told: told | {"row": [*told["row"], "offset <i8"]},
        lambda told: told | {"row": ["offset <i8 2", *told["row"][1:]]},
        lambda told: told | {"row": ["offset <f8", *told["row"][1:]]},
        lambda told: told | {"row": [*told["row"], "more |O"]},
        lambda told: told | {"row": [one.replace("judged_ts <i8 watched", "judged_ts <i8 9") for one in told["row"]]},
        lambda told: told | {"row": [one.replace("width |u1 quantities", "width |u1") for one in told["row"]]},
        lambda told: told | {"latch": []},
        lambda told: told | {"latch": ["severity |i1 3"]},
        lambda told: told | {"row": [*told["row"], *(f"more_{number} <i8 999" for number in range(5_000))]},
        lambda told: {name: told[name] for name in told if name != "spread"},
    ],
)
def test_what_is_no_layout_is_refused(change: Callable[[Any], Any]) -> None:
    with pytest.raises(LayoutError, match="cannot be read"):
        layout_of(change({name: list(of) for name, of in described().items()}))


def test_a_layout_is_known_by_its_text() -> None:
    assert beginning_of(TEXT) == OWN.beginning
    assert beginning_of(TEXT + b" ") != OWN.beginning
    assert parsed(OWN.beginning, TEXT) == OWN
