"""What a backfill is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from common.errors import OperatorError
from common.settings import Settings
from common.times import duration_ms, moment
from detectors.limits import LimitTable, load_limits
from schemas.limit_sections import LimitsError

DEVICES_MOST: Final = 1_000
"""Ids and prefixes in one condition; more make a query that nobody can read [ours]."""


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices: ids, and prefixes (written with a `*` behind). All where both are empty."""

    ids: Sequence[str] = ()
    prefixes: Sequence[str] = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `ID,PREFIX*`. Raises OperatorError."""
        parts = [part.strip() for part in text.split(",")] if text else []
        for part in parts:
            if not part.removesuffix("*") or "*" in part[:-1]:
                raise OperatorError(f"--devices {text!r}: {part!r} is neither an id nor a prefix such as LY-*")
        if len(parts) > DEVICES_MOST:
            raise OperatorError(f"--devices names {len(parts)}; at most {DEVICES_MOST} are taken, a prefix holds more")
        return cls(
            tuple(part for part in parts if not part.endswith("*")),
            tuple(part[:-1] for part in parts if part.endswith("*")),
        )

    def where(self) -> tuple[str, dict[str, Any]]:
        """As a condition on `device_id`, and its parameters."""
        conditions = ["device_id IN %(ids)s"] if self.ids else []
        conditions += [f"startsWith(device_id, %(prefix{number})s)" for number in range(len(self.prefixes))]
        asked: dict[str, Any] = {f"prefix{number}": prefix for number, prefix in enumerate(self.prefixes)}
        if self.ids:
            asked["ids"] = tuple(self.ids)
        return f"({' OR '.join(conditions) or '1'})", asked


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request. The period is by arrival: `from_ts` is in it, `to_ts` is not."""

    from_ts: int
    to_ts: int
    warm_up_ms: int
    devices_text: str
    devices: DeviceFilter
    limits: LimitTable
    limits_file: str

    @classmethod
    def of(
        cls,
        settings: Settings,
        begin: str | None,
        end: str | None,
        limits: Path | None,
        devices: str,
        warm_up: str,
    ) -> Self:
        """Read the options. Raises OperatorError for what cannot be."""
        if begin is None or end is None:
            raise OperatorError("give --from and --to, the period to detect over, or --list for earlier runs")
        from_ts, to_ts = moment(begin, "--from"), moment(end, "--to")
        if from_ts >= to_ts:
            raise OperatorError("--from must lie before --to")
        path = settings.limits_path if limits is None else limits
        try:
            table = load_limits(path)
        except LimitsError as error:
            raise OperatorError(str(error)) from error
        return cls(
            from_ts=from_ts,
            to_ts=to_ts,
            warm_up_ms=duration_ms(warm_up, "--warm-up"),
            devices_text=devices,
            devices=DeviceFilter.of(devices),
            limits=table,
            limits_file="" if path is None else str(path),
        )

    @property
    def begin_ts(self) -> int:
        """Where reading begins."""
        return max(0, self.from_ts - self.warm_up_ms)

    @property
    def limits_hash(self) -> str:
        """SHA-256 of the limits in force: the same for two files that come to the same."""
        return sha256(self.limits.digest).hexdigest()
