"""A long run under steady load: the memory, file descriptors and threads of the workers, which must stay flat.

Samples go to `soak.jsonl` and the graph to `soak.svg` in the data directory. A figure is flat if its trend over the
last three quarters of the run is a rise of no more than 5 %; the first quarter is for warming up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from benchmarks.processes import status_of
from cli.send import Sender
from cli.simulate import SentReports, send_fleet
from cli.stack import Stack, running_stack
from common.settings import Settings
from common.times import now_ms
from fleet import Fleet, FleetConfig

SAMPLE_INTERVAL_S: Final = 5.0
FLAT_SHARE: Final = 0.05
FIGURES: Final = ("memory_mb", "descriptors", "threads")
COLOURS: Final = {"detect": "#0969da", "sink": "#cf222e"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One worker at one moment."""

    elapsed_s: float
    role: str
    memory_mb: float
    descriptors: int
    threads: int


def run(minutes: float, devices: int, rate: float, kafka: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the stack under a fleet and say whether the workers' figures stay flat; one JSON object."""
    settings = Settings.from_environment()
    samples = asyncio.run(_soak(settings, minutes, devices, rate, kafka, say))
    folder = Path(settings.data_dir)
    (folder / "soak.jsonl").write_bytes(b"\n".join(orjson.dumps(asdict(sample)) for sample in samples))
    (folder / "soak.svg").write_text(graph(samples), encoding="utf-8")
    say(f"samples and graph in {folder}")
    rises = {f"{role} {figure}": trend(samples, role, figure) for role in COLOURS for figure in FIGURES}
    return {
        "benchmark": "soak",
        "minutes": minutes,
        "devices": devices,
        "rate": rate,
        "rise_share": {name: round(rise, 4) for name, rise in rises.items()},
        "flat": all(rise <= FLAT_SHARE for rise in rises.values()),
    }


async def _soak(
    settings: Settings, minutes: float, devices: int, rate: float, kafka: int, say: Callable[[str], None]
) -> list[Sample]:
    samples: list[Sample] = []
    async with running_stack(settings, say, any_port=True, kafka=kafka) as stack:
        config = FleetConfig(devices=devices, rate=rate, seconds=minutes * 60, start_ts=now_ms() + 500)
        sent = SentReports()
        watching = asyncio.ensure_future(_watch(stack, samples, sent, say))
        async with Sender(stack.settings) as sender:
            sending = asyncio.ensure_future(send_fleet(Fleet(config), sender, sent))
            done, _ = await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        watching.cancel()
    return samples


async def _watch(stack: Stack, samples: list[Sample], sent: SentReports, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        stack.check()
        found = [_sample(worker.role, worker.process.pid, time.monotonic() - began) for worker in stack.workers]
        samples += found
        if len(samples) // len(found) % 12 == 1:
            told = "  ".join(f"{one.role} {one.memory_mb:.0f} MB {one.descriptors} fds" for one in found)
            say(f"{found[0].elapsed_s / 60:6.1f} min  {sent.reports:>10} reports  {told}")
        await asyncio.sleep(SAMPLE_INTERVAL_S)


def _sample(role: str, pid: int, elapsed_s: float) -> Sample:
    process = Path("/proc") / str(pid)
    status = status_of(pid)
    return Sample(
        elapsed_s=round(elapsed_s, 1),
        role=role,
        memory_mb=status["VmRSS"] / 1_024,
        descriptors=len(list((process / "fd").iterdir())),
        threads=status["Threads"],
    )


def trend(samples: list[Sample], role: str, figure: str) -> float:
    """By how much of itself a figure rises in the last three quarters of the run; 0 where there is too little to say.

    The slope is Theil and Sen's, the median of those between all pairs of samples: a leak is in most of them, the one
    step of an allocator that has met its first burst is not.
    """
    held = [(sample.elapsed_s, float(getattr(sample, figure))) for sample in samples if sample.role == role]
    times, values = np.array(held[len(held) // 4 :]).reshape(-1, 2).T
    earlier, later = np.triu_indices(len(times), 1)
    if not len(earlier):
        return 0.0
    slope = np.median((values[later] - values[earlier]) / (times[later] - times[earlier]))
    return float(slope * (times[-1] - times[0]) / np.median(values))


def graph(samples: list[Sample]) -> str:
    """An SVG: one panel a figure, one line a worker."""
    width, height, gap = 760, 150, 60
    panels = [
        f'<g transform="translate(70,{30 + number * (height + gap)})">{_panel(samples, figure, width, height)}</g>'
        for number, figure in enumerate(FIGURES)
    ]
    total = len(FIGURES) * (height + gap) + 30
    style = "font:13px sans-serif;background:#ffffff"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{total}" style="{style}">{"".join(panels)}</svg>'
    )


def _panel(samples: list[Sample], figure: str, width: int, height: int) -> str:
    longest = max(sample.elapsed_s for sample in samples) or 1.0
    highest = max(float(getattr(sample, figure)) for sample in samples) * 1.1 or 1.0
    lines = "".join(_line(samples, role, figure, width / longest, height / highest, height) for role in COLOURS)
    return (
        f'<rect width="{width}" height="{height}" fill="#ffffff" stroke="#d0d7de"/>{lines}'
        f'<text x="0" y="-8">{figure}: {", ".join(_legend())}</text><text x="-60" y="12">{highest:.0f}</text>'
        f'<text x="-60" y="{height}">0</text><text x="{width - 60}" y="{height + 18}">{longest / 60:.0f} min</text>'
    )


def _line(samples: list[Sample], role: str, figure: str, x: float, y: float, height: int) -> str:
    points = " ".join(
        f"{sample.elapsed_s * x:.1f},{height - float(getattr(sample, figure)) * y:.1f}"
        for sample in samples
        if sample.role == role
    )
    return f'<polyline points="{points}" fill="none" stroke="{COLOURS[role]}" stroke-width="1.5"/>'


def _legend() -> Iterator[str]:
    for role, colour in COLOURS.items():
        yield f'<tspan fill="{colour}">{role} worker</tspan>'
