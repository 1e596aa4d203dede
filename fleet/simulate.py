"""The fleet: everything its gateways send, window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from fleet.bad import BadRecords
from fleet.config import FleetConfig, Timeline
from fleet.faults import ExpectedAlarm, Planted, plant
from fleet.layout import MONITOR, PILE, ReportLayout, rounded
from fleet.links import BAD, CachedReports, Links
from fleet.monitors import Monitors
from fleet.noise import Noise
from fleet.overlay import Overlay
from fleet.piles import Piles
from fleet.places import DISTRICTS
from fleet.registry import DeviceFacts, FleetRegistry, registry_of

_AREAS: Final = tuple(DISTRICTS)
_HEALTHY_NAMES: Final = 200
"""Devices in whose name bad records come; more would only cost memory."""


class Send(NamedTuple):
    """One record: when it leaves its gateway, its bytes, the reports in it that are kept and the rejects it gives."""

    scheduled_ts: int
    key: bytes | None
    value: bytes
    reports: int
    rejected: int


class Fleet:
    """A seeded fleet. `expected` is every alarm that must come, nothing else may; `bad` the rejects by reason;
    `unregistered` the devices that its registry does not have."""

    expected: tuple[ExpectedAlarm, ...]
    bad: Mapping[str, int]
    unregistered: frozenset[str]

    def __init__(self, config: FleetConfig) -> None:
        self.config = config
        self._timeline = Timeline(config)
        self._noise = Noise(config.seed)
        rng = np.random.default_rng((config.seed, 0))
        self._is_pile = rng.random(config.devices) < config.share_piles
        self._row = np.where(self._is_pile, np.cumsum(self._is_pile), np.cumsum(~self._is_pile)) - 1
        piles = int(self._is_pile.sum())
        self._monitors = Monitors.draw(config.devices - piles, rng)
        self._piles = Piles.draw(piles, rng, self._noise)
        areas = rng.integers(0, len(_AREAS), config.devices).tolist()
        self.device_ids = [f"{_AREAS[area]}-{device:06d}" for device, area in enumerate(areas)]
        self.planted = plant(config, self._is_pile)
        self._overlay = Overlay([planted.curve for planted in self.planted], config.devices)
        self._links = Links(config, self._timeline, self._noise, self._overlay.planted)
        self._bad = self._bad_records()
        self.bad = self._bad.rejects_by_reason()
        self.expected = tuple(self._expected())
        self.unregistered = frozenset(self._left_out())

    @property
    def reports(self) -> int:
        """How many different reports the fleet's devices make in the run, without those of bad records."""
        return self._timeline.total

    @cached_property
    def registry(self) -> FleetRegistry:
        """What is registered of the fleet's devices; made when it is asked for."""
        known = (number for number, name in enumerate(self.device_ids) if name not in self.unregistered)
        return registry_of([self._facts(number) for number in known], self.config.period_ms / 1_000, self.config.seed)

    def due(self, from_ts: int, to_ts: int) -> list[Send]:
        """Everything that leaves gateways with from_ts <= scheduled_ts < to_ts, in the order in which it leaves."""
        from_ts, to_ts = max(from_ts, self._timeline.start_ts), min(to_ts, self._timeline.end_ts)
        if to_ts <= from_ts:
            return []
        singles = self._links.singles(from_ts, to_ts)
        batches = self._links.batches(from_ts, to_ts)
        bad = self._bad.due(from_ts, to_ts)
        sends = self._sends_of(singles.scheduled_ts, singles.n, batches)
        sends += [Send(*record) for record in bad]
        ts = [*(batch.scheduled_ts for batch in batches), *(record.scheduled_ts for record in bad)]
        rank = [*(batch.rank for batch in batches), *(BAD for _ in bad)]
        first = [*(int(batch.n[0]) for batch in batches), *range(len(bad))]
        order = np.lexsort(
            (np.append(singles.n, first), np.append(singles.rank, rank), np.append(singles.scheduled_ts, ts))
        )
        return [sends[index] for index in order.tolist()]

    def _sends_of(self, scheduled_ts: np.ndarray, n: np.ndarray, batches: Sequence[CachedReports]) -> list[Send]:
        numbers = np.concatenate([n, *(batch.n for batch in batches)])
        texts = self._render(numbers)
        keys = [self.device_ids[device].encode() for device in (n % self.config.devices).tolist()]
        # `texts` is longer: those of the batches come after.
        sends = [Send(ts, key, text, 1, 0) for ts, key, text in zip(scheduled_ts.tolist(), keys, texts, strict=False)]
        begin = len(n)
        for batch in batches:
            own = texts[begin : begin + len(batch.n)]
            begin += len(own)
            key = self.device_ids[int(batch.n[0]) % self.config.devices].encode()
            value = own[0] if len(own) == 1 else b"[" + b",".join(own) + b"]"
            sends.append(Send(batch.scheduled_ts, key, value, len(own), 0))
        return sends

    def _render(self, n: np.ndarray) -> list[bytes]:
        """The reports `n` as JSON, in that order."""
        is_pile = self._is_pile[n % self.config.devices]
        texts = np.empty(len(n), dtype=object)
        for layout, kind, rows in ((MONITOR, self._monitors, ~is_pile), (PILE, self._piles, is_pile)):
            if rows.any():
                texts[rows] = list(self._render_kind(layout, kind, n[rows]))
        rendered: list[bytes] = texts.tolist()
        return rendered

    def _render_kind(self, layout: ReportLayout, kind: Monitors | Piles, n: np.ndarray) -> Iterator[bytes]:
        device = n % self.config.devices
        ts = self._timeline.at(n)
        noise = self._noise.signed(n, layout.columns)
        values = kind.values(self._row[device], ts, noise)
        self._overlay.lay(values, device, ts - self._timeline.start_ts, noise)
        arrays = rounded(layout, values).tolist()
        slices = [(name, layout.slice(name)) for name in layout.names]
        ids, components = self.device_ids, layout.columns
        facts = zip(device.tolist(), ts.tolist(), (n // self.config.devices).tolist(), arrays, strict=True)
        for number, event_ts, seq, row in facts:
            report: dict[str, Any] = {
                "v": 1,
                "device_id": ids[number],
                "device_kind": layout.device_kind,
                "event_ts": event_ts,
                "seq": seq,
                "components": components,
            }
            for name, part in slices:
                report[name] = row[part]
            yield orjson.dumps(report)

    def _left_out(self) -> Iterator[str]:
        """A share of the devices, one with a fault first; one at least is registered."""
        count = min(math.ceil(self.config.share_unregistered * self.config.devices), self.config.devices - 1)
        order = np.random.default_rng((self.config.seed, 2)).permutation(self.config.devices).tolist()
        faulty = {planted.device for planted in self.planted if planted.draft.raises}
        first = [device for device in order if device in faulty][:1]
        order = first + [device for device in order if device not in first]
        return (self.device_ids[device] for device in order[:count])

    def _facts(self, device: int) -> DeviceFacts:
        row = int(self._row[device])
        if self._is_pile[device]:
            peak_a = float(self._piles.charger_w[row].sum() / self._piles.voltage_v[row])
            return DeviceFacts(self.device_ids[device], PILE, int(self._piles.site[row]), peak_a, (True,))
        monitors = self._monitors
        fitted = tuple(monitors.fitted[row].tolist())
        site, peak_a = int(monitors.site[row]), float(monitors.peak_a[row].max())
        return DeviceFacts(self.device_ids[device], MONITOR, site, peak_a, fitted)

    def _bad_records(self) -> BadRecords:
        healthy = np.flatnonzero(~self._overlay.planted)[:_HEALTHY_NAMES].tolist()
        return BadRecords(
            seed=self.config.seed,
            start_ts=self.config.start_ts,
            end_ts=self.config.end_ts,
            count=self.config.bad_records,
            huge_bytes=self.config.huge_record_bytes,
            names=[self.device_ids[device] for device in healthy],
        )

    def _expected(self) -> Iterator[ExpectedAlarm]:
        for planted in self.planted:
            yield from self._expected_of(planted)

    def _expected_of(self, planted: Planted) -> Iterator[ExpectedAlarm]:
        device_id = self.device_ids[planted.device]
        draft = planted.draft
        for kind, severity in draft.raises:
            after_ts = self.config.start_ts + draft.after_ms
            yield ExpectedAlarm(device_id, draft.component, kind, severity, after_ts)
