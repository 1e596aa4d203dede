"""Outages: reports are kept meanwhile, and handed in later in one of the orders of the field."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

KEPT_MOST: Final = 600
"""Reports that a gateway keeps (domain.md, rule 6): of a longer outage the newest."""
BURST_MS: Final = 5
"""Between two records that a gateway hands in at once [ours]."""
ORDERS: Final = ("oldest first", "newest first", "mixed with live")


class Outage(NamedTuple):
    """The device's reports made from `from_ts` to `until_ts`, that moment not included, come in this order, after it.
    `order` is None where they never come."""

    device: int
    from_ts: int
    until_ts: int
    order: str | None


def handed_in(count: int, order: str, first_ts: int, interval_ms: int) -> np.ndarray:
    """When `count` kept reports, in the order of their making, arrive from `first_ts` on: at once, or with one live
    report between each two. int64[count]."""
    turn = np.arange(count, dtype=np.int64)
    if order == "newest first":
        turn = turn[::-1]
    return np.asarray(first_ts + turn * (interval_ms if order == "mixed with live" else BURST_MS))


def outages_of(devices: int, start_ts: int, end_ts: int, a_month: float, rng: np.random.Generator) -> list[Outage]:
    """Outages of half an hour to eight hours, so many of each device in 30 days, none of one device within another."""
    months = (end_ts - start_ts) / (30 * 86_400_000)
    found: list[Outage] = []
    for device, count in enumerate(rng.poisson(a_month * months, devices).tolist()):
        free_ts = start_ts
        for from_ts in sorted(rng.integers(start_ts, end_ts, count).tolist()):
            lasts_ms = int(3_600_000 * np.exp(rng.uniform(np.log(0.5), np.log(8))))
            if from_ts > free_ts:
                found.append(Outage(device, from_ts, from_ts + lasts_ms, ORDERS[rng.integers(len(ORDERS))]))
                # A gateway that mixes in what it kept takes as long again.
                free_ts = from_ts + 3 * lasts_ms
    return found
