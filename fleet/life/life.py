"""Life block by block: who reports when, what, by which clock, and when that arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from fleet.layout import ReportLayout, rounded
from fleet.life.clocks import CLOCKS, Moments
from fleet.life.config import DAY_MS, LifeConfig
from fleet.life.monitors import LINE, Lines
from fleet.life.outages import KEPT_MOST, Outage, handed_in, outages_of
from fleet.life.piles import PORTS_PILE, ChargingPiles
from fleet.life.planting import Timing, plant
from fleet.life.wild import make_wild
from fleet.noise import Noise
from fleet.places import DISTRICTS
from schemas.quantities import KIND_CODES
from schemas.registry import VERSION, DeviceEntry

LATENCY_MS: Final = 200
_JITTER_MS: Final = 600
"""Over a good link a report arrives after `LATENCY_MS` and up to so much more, under half an interval [ours]."""
_AREAS: Final = tuple(DISTRICTS)
_MONTH_MS: Final = 30 * DAY_MS
_NEVER: Final = np.iinfo(np.int64).max
_LINK: Final = 40
"""A stream of noise of a report beside those of its columns."""


class LifeBlock(NamedTuple):
    """m reports in the order of their arrival. `device` and `number`: the number'th report of that device. `made_ts` is
    the true time, `event_ts` what its clock shows, `ingest_ts` its arrival; all epoch ms. `name` is the number of the
    device's id, `kind` the code of its kind. `values` are by layout: which reports, and a row each."""

    device: np.ndarray
    number: np.ndarray
    made_ts: np.ndarray
    event_ts: np.ndarray
    ingest_ts: np.ndarray
    seq: np.ndarray
    name: np.ndarray
    kind: np.ndarray
    values: tuple[tuple[ReportLayout, np.ndarray, np.ndarray], ...]
    words: dict[int, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.device)


class Life:
    """A seeded life. `faults` are what is planted, with what must be told of it; `names` are the devices' ids, of all
    first those that they begin with, then those under which some go on."""

    def __init__(self, config: LifeConfig) -> None:
        self.config = config
        rng = np.random.default_rng((config.seed, 1))
        self._noise = Noise(config.seed)
        self._lines = Lines.draw(config.monitors, rng, self._noise)
        size = config.devices
        each = np.array([round(one * 1_000) for one in config.intervals_s], np.int64)
        self.interval_ms = each[np.arange(size) % len(each)]
        self._piles = ChargingPiles.draw(self.interval_ms[config.monitors :], rng, self._noise)
        self._first_ts = config.start_ts + (rng.random(size) * self.interval_ms).astype(np.int64)
        self._clock = np.where(rng.random(size) < config.bad_clock_share, rng.integers(1, len(CLOCKS), size), 0)
        self._moments = Moments(
            config.start_ts - rng.integers(600_000, 40 * DAY_MS, size),
            rng.integers(config.start_ts, config.end_ts, size),
        )
        areas = np.append(self._lines.area, rng.integers(0, len(_AREAS), config.piles)).tolist()
        ids = [f"{_AREAS[area]}-{number:06d}" for number, area in enumerate(areas)]
        self._replaced_ts, self._renamed = self._replacements(rng)
        self.names = [*ids, *(one + "-R" for one in ids)]
        rated_a = np.append(self._lines.rated_a, self._piles.rated_a)
        self.faults = plant(config, Timing(self.interval_ms, self._first_ts, rated_a)) if config.faults_per_kind else ()
        self._fault_of = {fault.device: fault for fault in self.faults}
        self._outages = self._all_outages(rng)
        self._from_ts, self._until_ts = (
            np.array([one[1 + which] for one in self._outages], np.int64) for which in range(2)
        )

    def _replacements(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """When devices are replaced, with a new sequence; and whether they go on under a new id."""
        config, size = self.config, self.config.devices
        share = config.replaced_share * (config.end_ts - config.start_ts) / _MONTH_MS
        replaced = rng.random(size) < share
        moment = rng.integers(config.start_ts, config.end_ts, size)
        return np.where(replaced, moment, _NEVER), rng.random(size) < 0.5

    def _all_outages(self, rng: np.random.Generator) -> list[Outage]:
        """A device with a fault has a right clock, is not replaced, and has only the silences that are planted."""
        config, faulty = self.config, list(self._fault_of)
        self._clock[faulty], self._replaced_ts[faulty] = 0, _NEVER
        found = outages_of(config.devices, config.start_ts, config.end_ts, config.outages_a_month, rng)
        planted = [silence for fault in self.faults for silence in fault.silences]
        return [one for one in found if one.device not in self._fault_of] + planted

    def entries(self) -> Iterator[DeviceEntry]:
        """What is registered of the devices."""
        for number in range(self.config.devices):
            is_pile = number >= self.config.monitors
            rated = self._piles.rated_a[number - self.config.monitors] if is_pile else self._lines.rated_a[number]
            kind = (PORTS_PILE if is_pile else LINE).device_kind
            limits = self._fault_of[number].limits or {} if number in self._fault_of else {}
            for name in self._ids_of(number):
                yield DeviceEntry(
                    v=VERSION,
                    device_id=name,
                    kind=kind,
                    rated_current_a=float(rated),
                    nominal_voltage_v=220.0,
                    phases=1 if is_pile else 3,
                    interval_s=max(int(self.interval_ms[number]) // 1_000, 1),
                    limits=limits,
                )

    def _ids_of(self, number: int) -> list[str]:
        goes_on = self._renamed[number] and self._replaced_ts[number] < self.config.end_ts
        return [self.names[number], *([self.names[number + self.config.devices]] if goes_on else [])]

    def about(self, name: str, ts: int) -> str:
        """What there is to know of a device at a time: how often it reports, its clock, an outage in the day before."""
        device = self._number_of(name)
        told = f"each {self.interval_ms[device] / 1_000:g} s, clock {list(CLOCKS)[int(self._clock[device])]}"
        for one in self._outages:
            if one.device == device and one.from_ts <= ts < one.until_ts + DAY_MS:
                hours = [(ts - begun_ts) / 3_600_000 for begun_ts in (one.from_ts, one.until_ts)]
                told += f", outage from {hours[0]:.1f} h to {hours[1]:.1f} h before, {one.order or 'lost'}"
        return told

    def around(self, name: str, ts: int, quantity: str, component: int, count: int = 3) -> list[tuple[int, float]]:
        """What a component measured around a true time, as it was reported: that report, and so many before and after.
        Each with the time it was made, epoch ms. Nothing of a quantity that the device does not measure."""
        device = self._number_of(name)
        nearest = (ts - int(self._first_ts[device])) // int(self.interval_ms[device])
        number = np.arange(max(nearest - count, 0), nearest + count + 1)
        block = self._measured(np.full(len(number), device), number, np.zeros(len(number), np.int64))
        ((layout, _, values),) = block.values
        if quantity not in layout.names:
            return []
        column = values[:, layout.slice(quantity).start + component]
        return list(zip(block.made_ts.tolist(), column.tolist(), strict=True))

    def _number_of(self, name: str) -> int:
        return int(name.partition("-")[2].partition("-")[0])

    def blocks(self, each_ms: int) -> Iterator[LifeBlock]:
        """All of it, in blocks of so much time; after its end comes what was kept."""
        last_ts = self.config.end_ts + DAY_MS
        for from_ts in range(self.config.start_ts, last_ts, each_ms):
            yield self.block(from_ts, min(from_ts + each_ms, last_ts))

    def block(self, from_ts: int, to_ts: int) -> LifeBlock:
        """The reports with from_ts <= arrival < to_ts."""
        parts = [self._live(from_ts, to_ts), *self._handed_in(from_ts, to_ts)]
        device, number, ingest_ts = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((number, device, ingest_ts))
        return self._measured(device[order], number[order], ingest_ts[order])

    def _made_ts(self, device: np.ndarray, number: np.ndarray) -> np.ndarray:
        return np.asarray(self._first_ts[device] + number * self.interval_ms[device])

    def _live(self, from_ts: int, to_ts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Device, number and arrival of the reports that arrive at once."""
        latest_ms = LATENCY_MS + _JITTER_MS
        begin, end = (self._numbers_before(min(ts, self.config.end_ts)) for ts in (from_ts - latest_ms, to_ts))
        count = end - begin
        device = np.repeat(np.arange(self.config.devices), count)
        number = np.arange(len(device)) - np.repeat(np.cumsum(count) - count, count) + begin[device]
        made_ts = self._made_ts(device, number)
        most_ms = np.minimum(_JITTER_MS, self.interval_ms // 2)[device]
        ingest_ts = made_ts + LATENCY_MS + (self._noise.uniform(self._key(device, number), _LINK) * most_ms).astype(int)
        kept = (
            (ingest_ts >= from_ts) & (ingest_ts < to_ts) & ~self._is_kept(device, made_ts, from_ts - latest_ms, to_ts)
        )
        return device[kept], number[kept], ingest_ts[kept]

    def _numbers_before(self, ts: int) -> np.ndarray:
        """How many reports each device makes before a moment, int64[devices]."""
        return np.asarray(np.maximum(-((self._first_ts - ts) // self.interval_ms), 0))

    def _is_kept(self, device: np.ndarray, made_ts: np.ndarray, from_ts: int, to_ts: int) -> np.ndarray:
        """Which of these reports are made in an outage of their device."""
        found = np.zeros(len(device), np.bool_)
        for number in ((self._from_ts < to_ts) & (self._until_ts > from_ts)).nonzero()[0].tolist():
            one = self._outages[number]
            begin, end = np.searchsorted(device, (one.device, one.device + 1)).tolist()
            found[begin:end] |= (made_ts[begin:end] >= one.from_ts) & (made_ts[begin:end] < one.until_ts)
        return found

    def _handed_in(self, from_ts: int, to_ts: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Device, number and arrival of the reports that were kept."""
        longest_ms = (KEPT_MOST + 2) * int(self.interval_ms.max())
        for number in ((self._until_ts < to_ts) & (self._until_ts > from_ts - longest_ms)).nonzero()[0].tolist():
            one = self._outages[number]
            if one.order is None:
                continue
            interval_ms = int(self.interval_ms[one.device])
            until_ts = min(one.until_ts, self.config.end_ts)
            first, after = (-((int(self._first_ts[one.device]) - ts) // interval_ms) for ts in (one.from_ts, until_ts))
            kept = np.arange(max(first, after - KEPT_MOST, 0), after)
            ingest_ts = handed_in(len(kept), one.order, one.until_ts + interval_ms // 3 + LATENCY_MS, interval_ms)
            here = (ingest_ts >= from_ts) & (ingest_ts < to_ts)
            yield np.full(int(here.sum()), one.device), kept[here], ingest_ts[here]

    def _key(self, device: np.ndarray, number: np.ndarray) -> np.ndarray:
        """The number by which noise knows a report."""
        return np.asarray(number * self.config.devices + device)

    def _measured(self, device: np.ndarray, number: np.ndarray, ingest_ts: np.ndarray) -> LifeBlock:
        made_ts, key = self._made_ts(device, number), self._key(device, number)
        gone = made_ts >= self._replaced_ts[device]
        first_after = -((self._first_ts - self._replaced_ts) // self.interval_ms)
        seq = np.where(gone, number - first_after[device], number)
        values: list[tuple[ReportLayout, np.ndarray, np.ndarray]] = []
        words: dict[int, tuple[str, ...]] = {}
        for layout, kind, which in self._by_layout(device):
            first = 0 if layout is LINE else self.config.monitors
            noise = self._noise.signed(key[which], layout.columns)
            measured = kind.values(device[which] - first, made_ts[which], noise)
            words |= self._lay_faults(layout, measured, device, made_ts, which, noise)
            measured = rounded(layout, measured)
            make_wild(layout, measured, key[which], self.config.wild_share, self._noise)
            values.append((layout, which, measured))
        return LifeBlock(
            device,
            number,
            made_ts,
            self._shown(device, made_ts),
            ingest_ts,
            seq,
            name=np.where(gone & self._renamed[device], device + self.config.devices, device),
            kind=np.where(
                device < self.config.monitors, KIND_CODES[LINE.device_kind], KIND_CODES[PORTS_PILE.device_kind]
            ),
            values=tuple(values),
            words=words,
        )

    def _by_layout(self, device: np.ndarray) -> Iterator[tuple[ReportLayout, Lines | ChargingPiles, np.ndarray]]:
        is_line = device < self.config.monitors
        for layout, kind, of_kind in ((LINE, self._lines, is_line), (PORTS_PILE, self._piles, ~is_line)):
            which = of_kind.nonzero()[0]
            if len(which):
                yield layout, kind, which

    def _shown(self, device: np.ndarray, made_ts: np.ndarray) -> np.ndarray:
        """What the devices' clocks show."""
        found = made_ts.copy()
        for code, clock in enumerate(CLOCKS.values()):
            which = (self._clock[device] == code).nonzero()[0] if code else ()
            if len(which):
                moments = Moments(*(one[device[which]] for one in self._moments))
                found[which] = clock(made_ts[which], moments)
        return found

    def _lay_faults(
        self,
        layout: ReportLayout,
        values: np.ndarray,
        device: np.ndarray,
        made_ts: np.ndarray,
        which: np.ndarray,
        noise: np.ndarray,
    ) -> dict[int, tuple[str, ...]]:
        """Write what is planted into `values`, in place; the words that devices say, by report."""
        words: dict[int, tuple[str, ...]] = {}
        faulty = np.isin(device[which], list(self._fault_of)).nonzero()[0] if self._fault_of else ()
        if not len(faulty):
            return words
        faulty = faulty[np.argsort(device[which[faulty]], kind="stable")]
        edges = np.flatnonzero(np.diff(device[which[faulty]])) + 1
        for rows in np.split(faulty, edges):
            fault = self._fault_of[int(device[which[rows[0]]])]
            since_ms = made_ts[which[rows]] - fault.onset_ts
            for effect in fault.effects:
                effect.lay(values, rows, since_ms, noise)
            for row in rows[fault.speaks(since_ms)].tolist() if fault.words else ():
                words[int(which[row])] = fault.words
        return words
