"""What is learned, kept in ClickHouse: a row a slice (`cli.hourly.slices`), large and few, the highest version counts.

**Whole or refused.** A row ends with a checksum over all of it. What does not match is refused with a sentence; nobody
learns on from half of it.

**One writer.** A row says the version after the one that its writer read, and the server stores it only if that is
still the highest. So of two runs on two machines one is refused. What both have published has the same ids.

**A device that changes its slice** is in the row of the one before, and is taken from there. That row keeps it until a
later run finds it in its new one. So a run that dies in between loses nothing that was learned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import numpy as np

from common.errors import OperatorError
from early_warning.state import LearnedState, empty_states
from sinks.clickhouse.service import Service
from sinks.clickhouse.wire import BlockClient
from sinks.contract import Block, SinkTakenOver

FORGOTTEN_HOURS: Final = 100 * 24
"""What has had no value for so long is forgotten: its levels of 70 days are all passed [ours]."""
_HEADS: Final = """
    SELECT slice, max(s.version), argMax(s.hours_made, s.version), argMax(s.devices, s.version)
    FROM learned_state AS s GROUP BY slice
"""
_ROW: Final = """
    SELECT version, hours_made, devices, quantities, states, seal FROM learned_state
    WHERE slice = %(slice)s ORDER BY version DESC LIMIT 1
"""
_NAMES: Final = ("slice", "version", "hours_made", "devices", "quantities", "states", "seal")
_SAVE: Final = f"""
    INSERT INTO learned_state ({", ".join(_NAMES)}) SELECT {", ".join(_NAMES)}
    FROM input('slice UInt16, version UInt64, hours_made UInt64, devices Array(String), quantities Array(String),
        states Array(String), seal String')
    WHERE throwIf(
        (SELECT max(version) FROM learned_state WHERE slice = %(slice)s) != %(before)s, 'another run has written it'
    ) = 0
"""  # noqa: S608
_STORED: Final = "SELECT seal FROM learned_state WHERE slice = %(slice)s ORDER BY version DESC LIMIT 1"


class SliceHead(NamedTuple):
    """What is known of a slice without its states: its version, 0 for a new one; up to which `made` hours have been
    taken; and of which devices it is."""

    version: int = 0
    hours_made: int = 0
    devices: frozenset[str] = frozenset()


class LearnedSlice(NamedTuple):
    """What is learned of the devices of a slice, and for a while of some that have left it; `head` says up to which
    hours that is."""

    number: int
    head: SliceHead
    states: Mapping[str, LearnedState]


class KeptSlices:
    """All slices as a run finds them, and the one place that reads and writes them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._heads = {
            number: SliceHead(version, made, frozenset(devices))
            for number, version, made, devices in service.query(_HEADS)
        }
        self._where = {device: number for number, head in self._heads.items() for device in head.devices}

    @property
    def devices(self) -> Collection[str]:
        """Of which devices anything is learned."""
        return self._where.keys()

    def made_of(self, numbers: Iterable[int]) -> int:
        """Up to which `made` the hours of all these slices have been taken."""
        return min((self._heads.get(number, SliceHead()).hours_made for number in numbers), default=0)

    def load(self, number: int, devices: Collection[str]) -> LearnedSlice:
        """What is learned of the devices of a slice, wherever it is kept. Raises OperatorError where that is
        damaged."""
        head, states = self._heads.get(number, SliceHead()), empty_states()
        if head.version:
            for quantity, stored in self._read(number).items():
                states[quantity].add_bytes([stored])
        elsewhere = defaultdict[int, set[str]](set)
        for device in set(devices) - head.devices:
            if device in self._where:
                elsewhere[self._where[device]].add(device)
        for other, moved in elsewhere.items():
            self._take_along(other, moved, states)
            head = head._replace(hours_made=min(head.hours_made or 2**63, self._heads[other].hours_made))
        return LearnedSlice(number, head, states)

    def save(self, learned: LearnedSlice, devices: Collection[str], hours_made: int, newest_hour: int) -> None:
        """Store what is learned by now of the devices of a slice, but for what is forgotten, and of those that have
        left it and are nowhere else yet. Raises OperatorError where another run has stored it since."""
        wanted = {
            device
            for state in learned.states.values()
            for device, _ in state.keys
            if device in devices or self._where.get(device, learned.number) == learned.number
        }
        rows = {name: _kept(state, wanted, newest_hour) for name, state in learned.states.items()}
        held = [name for name in rows if len(rows[name])]
        states = [learned.states[name].to_bytes(rows[name]) for name in held]
        kept = sorted({learned.states[name].keys[row].device_id for name in held for row in rows[name].tolist()})
        row = (learned.number, learned.head.version + 1, hours_made, kept, held, states)
        self._store(learned.head.version, (*row, _seal(row)))

    def _read(self, number: int) -> dict[str, bytes]:
        """The states of a slice as they are stored, by quantity."""
        settings = {"strings_as_bytes": True}
        rows = self._service.call(lambda client: client.execute(_ROW, {"slice": number}, settings=settings))
        version, made, devices, quantities, states, seal = rows[0]
        names = [name.decode() for name in quantities]
        row = (number, version, made, [device.decode() for device in devices], names, states)
        if seal.decode() != _seal(row):
            raise OperatorError(
                f"what early warning has learned is damaged, in slice {number} of the table learned_state: restore the "
                f"table from a backup, or let its {len(devices)} devices learn anew for a week: "
                f"ALTER TABLE learned_state DELETE WHERE slice = {number}"
            )
        return dict(zip(names, states, strict=True))

    def _take_along(self, number: int, moved: Collection[str], states: Mapping[str, LearnedState]) -> None:
        for quantity, stored in self._read(number).items():
            other = LearnedState(quantity)
            other.add_bytes([stored])
            rows = [row for row, key in enumerate(other.keys) if key.device_id in moved]
            states[quantity].add_bytes([other.to_bytes(np.array(rows, np.int64))])

    def _store(self, before: int, row: tuple[Any, ...]) -> None:
        block = Block("learned_state", {name: [value] for name, value in zip(_NAMES, row, strict=True)}, 1)
        params = {"slice": row[0], "before": before}

        def ask(client: BlockClient) -> None:
            # It may be there already: the answer to an attempt before may have been lost.
            if client.execute(_STORED, params) != [(row[-1],)]:
                client.execute(client.substitute_params(_SAVE, params, client.connection.context), block)

        try:
            self._service.call(ask)
        except SinkTakenOver as error:
            raise OperatorError(
                "another run of `emberline hourly`, perhaps on another machine, has stored what it learned meanwhile; "
                "nothing is lost: let one of them run"
            ) from error


def _kept(state: LearnedState, devices: Collection[str], newest_hour: int) -> np.ndarray:
    """The rows of a state that are kept, int64[m]."""
    taken = state.fields["taken"]
    rows = [
        row
        for row, key in enumerate(state.keys)
        if key.device_id in devices and taken[row] > newest_hour - FORGOTTEN_HOURS
    ]
    return np.array(rows, np.int64)


def _seal(row: Sequence[Any]) -> str:
    """A checksum over a row, 32 hexadecimal digits."""
    *numbers, devices, quantities, states = row
    sealed = blake2b("\n".join([*map(str, numbers), *devices, "", *quantities]).encode(), digest_size=16)
    for state in states:
        sealed.update(b"%d:" % len(state) + state)
    return sealed.hexdigest()
