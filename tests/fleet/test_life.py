"""The normal life of devices: always the same, the same as JSON, within every limit; and faults where they are
planted."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fleet.layout import PILE
from fleet.life import Life, LifeBlock, LifeConfig
from fleet.life.clocks import CLOCKS
from fleet.life.columns import json_of, reports_of
from fleet.life.monitors import LINE, NOT_FITTED_C
from fleet.life.outages import ORDERS, handed_in
from fleet.life.pile_recipes import PILE_RECIPES
from fleet.life.piles import FLOATS, FULL, STATE
from fleet.life.recipes import LINE_RECIPES
from schemas.quantities import BY_NAME
from schemas.records import Records
from schemas.reports import Reports, decode

DAY_MS = 86_400_000
SMALL = LifeConfig(
    monitors=40, piles=20, days=0.5, intervals_s=(60.0, 300.0), wild_share=1e-3, bad_clock_share=0.5,
    replaced_share=1.0, outages_a_month=60, faults_per_kind=0,
)  # fmt: skip
FAULTY = LifeConfig(monitors=120, piles=40, days=26 / 24, intervals_s=(60.0, 60.0, 300.0, 1.0), faults_per_kind=1)
NORMAL = LifeConfig(monitors=60, piles=20, days=8.0, intervals_s=(300.0,), wild_share=0, bad_clock_share=0)


def whole(life: Life) -> LifeBlock:
    return life.block(life.config.start_ts, life.config.end_ts + DAY_MS)


def as_columns(reports: Reports) -> dict[str, object]:
    columns = {name: getattr(reports, name).tolist() for name in ("event_ts", "ts", "by_arrival", "seq", "device_kind")}
    values = {name: (of.starts.tolist(), of.values.tolist()) for name, of in reports.quantities.items()}
    marks = [column.tolist() for column in reports.marks]
    return columns | {"id": list(reports.device_id), "words": reports.faults, "notes": reports.notes} | {
        "values": repr(values), "marks": repr(marks), "arrival": reports.ingest_ts.tolist(),
    }  # fmt: skip


@pytest.mark.parametrize("lived", [SMALL, replace(FAULTY, intervals_s=(600.0,))])
def test_columns_are_those_that_decode_makes_of_the_same_as_json(lived: LifeConfig) -> None:
    life = Life(lived)
    block = whole(life)
    keys, values = zip(*json_of(block, life.names), strict=True)
    records = Records("emberline.telemetry", 0, np.arange(len(block)), block.ingest_ts, keys, values, [()] * len(block))
    decoded, rejects = decode(records)
    assert rejects == []
    assert as_columns(reports_of(block, life.names)) == as_columns(decoded)
    assert len(decoded.notes) > 0 or lived is not SMALL
    assert len(decoded.marks.report) > 0


def test_any_cut_into_blocks_gives_the_same_and_another_seed_another() -> None:
    def told(life: Life, each_ms: int) -> list[tuple[bytes, bytes]]:
        return [one for block in life.blocks(each_ms) for one in json_of(block, life.names)]

    one = told(Life(SMALL), 3 * DAY_MS)
    assert told(Life(SMALL), 7_000_001) == one
    assert told(Life(replace(SMALL, seed=2)), 3 * DAY_MS) != one


def test_each_report_arrives_once_and_after_it_was_made_but_those_that_no_gateway_could_keep() -> None:
    life = Life(SMALL)
    block = whole(life)
    arrived = Counter(zip(block.device.tolist(), block.number.tolist(), strict=True))
    assert set(arrived.values()) == {1}
    assert (block.ingest_ts > block.made_ts).all()
    assert (np.diff(block.ingest_ts) >= 0).all()
    made = sum(int(720 * 60_000 / ms) for ms in life.interval_ms.tolist())
    assert 0.95 * made < len(block) <= made + SMALL.devices
    late = (block.ingest_ts - block.made_ts > 1_000_000).mean()
    assert 0.1 < late < 0.6


def test_clocks_of_all_kinds_occur_and_devices_are_replaced_under_their_id_or_another() -> None:
    life = Life(replace(SMALL, days=30.0, intervals_s=(21_600.0,)))
    told = [life.about(name, life.config.start_ts) for name in life.names[: life.config.devices]]
    assert sum(any(f"clock {clock}" in one for one in told) for clock in CLOCKS) >= 8
    block = whole(life)
    assert (block.name >= life.config.devices).any()
    in_order = np.lexsort((block.number, block.name))
    again = (np.diff(block.name[in_order]) == 0) & (np.diff(block.seq[in_order]) < 0)
    assert again.any()


def test_normal_life_keeps_within_every_limit_for_a_week_and_more() -> None:
    life = Life(NORMAL)
    low: dict[tuple[str, str], float] = {}
    high: dict[tuple[str, str], float] = {}
    for block in life.blocks(DAY_MS):
        for layout, _, values in block.values:
            for name in layout.names:
                part = values[:, layout.slice(name)]
                part = part[(part != NOT_FITTED_C) & ~np.isnan(part)]
                key = layout.device_kind, name
                low[key] = min(low.get(key, np.inf), float(part.min()))
                high[key] = max(high.get(key, -np.inf), float(part.max()))
    monitor, pile = LINE.device_kind, PILE.device_kind
    assert low[monitor, "residual_current_ma"] > 5
    assert high[monitor, "residual_current_ma"] < 190
    assert high[pile, "residual_current_ma"] < 15
    assert high[monitor, "temperature_c"] < 55
    assert high[pile, "temperature_c"] < 60
    assert low[monitor, "voltage_v"] > 198
    assert high[monitor, "voltage_v"] < 235.4
    assert high[monitor, "arc_half_cycles"] <= 8
    assert low[monitor, "insulation_mohm"] > 1
    assert high[monitor, "static_v"] < 10_000
    assert high[monitor, "unbalance_pct"] < 15
    assert high[monitor, "smoke"] < 0.5
    assert high[pile, "power_w"] < 500


def test_an_office_rises_by_97_ma_within_an_hour_of_a_workdays_morning_and_no_line_by_100_in_half_an_hour() -> None:
    life = Life(replace(NORMAL, monitors=120, piles=0, outages_a_month=0, replaced_share=0))
    block = whole(life)
    ((_, _, values),) = block.values
    hours = []
    for device in range(120):
        leakage = values[block.device == device, 0]
        half, hour = (max(float((leakage[step:] - leakage[:-step]).max()), 0) for step in (6, 12))
        assert half < 100
        hours.append(hour)
    assert sum(hour >= 97 for hour in hours) > 5


def test_current_voltage_and_power_agree_and_motors_start_at_several_times_their_current() -> None:
    life = Life(NORMAL)
    lines, piles = (values for _, _, values in whole(life).values)
    factor = lines[:, 11:14] / (lines[:, 5:8] * lines[:, 8:11])
    assert 0.8 < factor.min() < factor.max() < 1.05
    busy = piles[:, 0:10] > 50
    factor = (piles[:, 0:10] / (piles[:, 10:20] * piles[:, 22:23] + 1e-9))[busy]
    assert 0.8 < factor.min() < factor.max() < 1.05
    assert (lines[:, 5] > 1.4 * np.median(lines[:, 5])).any()


def test_a_charge_is_steady_for_more_than_half_of_it_then_falls_to_under_a_quarter() -> None:
    life = Life(
        replace(NORMAL, monitors=1, piles=20, days=2.0, intervals_s=(60.0,), outages_a_month=0, replaced_share=0)
    )
    block = whole(life)
    _, (_, which, values) = block.values
    seen = 0
    for device in range(1, 21):
        power, state = (values[block.device[which] == device, column] for column in (3, STATE + 3))
        for begin, end in pairwise([0, *(np.flatnonzero(np.diff((power > 0).astype(int))) + 1).tolist(), len(power)]):
            charge = power[begin:end]
            if begin == 0 or end == len(power) or not charge[0]:
                continue
            if state[end] != FULL and state[end - 1] != FLOATS:
                continue  # unplugged before
            top = charge[: len(charge) // 2]
            assert top.min() > 0.85 * top.max()
            assert charge[-1] < 0.25 * top.max()
            seen += 1
    assert seen > 20


@pytest.mark.parametrize("order", ORDERS)
def test_what_was_kept_is_handed_in_in_its_order(order: str) -> None:
    arrivals = handed_in(50, order, 1_000, 60_000).tolist()
    assert min(arrivals) == 1_000
    assert len(set(arrivals)) == 50
    assert (arrivals == sorted(arrivals)) == (order != "newest first")
    assert (max(arrivals) - min(arrivals) > 60_000) == (order == "mixed with live")


def test_every_fault_is_planted_shows_from_its_onset_on_and_is_due_later() -> None:
    life = Life(FAULTY)
    recipes = {recipe.__name__ for recipe in (*LINE_RECIPES, *PILE_RECIPES)}
    assert {fault.name for fault in life.faults} == recipes
    assert len({fault.device for fault in life.faults}) == len(life.faults)
    for fault in life.faults:
        assert all(due_ts > fault.onset_ts for _, due_ts in fault.due)
        assert bool(fault.due) != fault.name.startswith("near_")
        assert bool(fault.effects or fault.words or fault.silences)


def test_a_fault_changes_its_own_values_and_nothing_else() -> None:
    faulty, plain = Life(FAULTY), Life(replace(FAULTY, faults_per_kind=0, bad_clock_share=0, replaced_share=0))
    for fault in faulty.faults:
        device = fault.device
        number = np.arange((fault.onset_ts - int(faulty._first_ts[device])) // int(faulty.interval_ms[device]) + 40)
        given = np.full(len(number), device), number, np.zeros(len(number), np.int64)
        ((layout, _, values),) = faulty._measured(*given).values
        ((_, _, before),) = plain._measured(*given).values
        differs = (values != before) & ~(np.isnan(values) & np.isnan(before))
        changed = differs.any(axis=0)
        touched = np.zeros(layout.columns, np.bool_)
        touched[[column for effect in fault.effects for column in effect.columns]] = True
        assert not (changed & ~touched).any(), fault.name
        assert changed.any() == touched.any(), fault.name
        first = np.flatnonzero(differs.any(axis=1))
        made_ts = faulty._made_ts(given[0], number)
        assert not len(first) or made_ts[first[0]] >= fault.onset_ts


def test_wild_samples_are_as_many_as_asked_for_and_of_arcs_impossible() -> None:
    config = replace(NORMAL, days=2.0, wild_share=1e-3, outages_a_month=0)
    wild, tame = whole(Life(config)), whole(Life(replace(config, wild_share=0)))
    shares: dict[str, float] = defaultdict(float)
    for (layout, _, values), (_, _, before) in zip(wild.values, tame.values, strict=True):
        differs = (values != before) & ~np.isnan(before)
        shares[layout.device_kind] = float(differs[~np.isnan(before)].mean())
        if layout is LINE:
            arcs = values[:, 14][differs[:, 14]]
            assert len(arcs)
            assert arcs.min() > BY_NAME["arc_half_cycles"].high
    assert all(0.0007 < share < 0.0013 for share in shares.values())


@pytest.mark.parametrize(
    "wrong",
    [{"monitors": 0, "piles": 0}, {"days": 0.0}, {"intervals_s": ()}, {"intervals_s": (0.5,)}, {"wild_share": 2.0}],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|lies"):
        LifeConfig(**wrong)  # type: ignore[arg-type]


def test_too_few_devices_for_the_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        Life(LifeConfig(monitors=10, piles=10, days=2.0, faults_per_kind=1))
