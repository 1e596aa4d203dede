"""Results of benchmarks: kept as JSON lines, told as tables, drawn as plots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

from benchmarks import page_right
from benchmarks.machine import Measured
from benchmarks.page_right import PageTable, yes

FOLDER: Final = Path(__file__).with_name("results")
ORDER: Final = (
    "rightness",
    "response",
    "throughput",
    "attacks",
    "orders",
    "peers",
    "stages",
    "scale",
    "history",
    "early_warning",
    "hourly",
    "soak",
)
_INK: Final = "#c2410c"
_PALE: Final = "#94a3b8"


def keep(result: Measured) -> None:
    """Append it to the results of its benchmark."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{result['benchmark']}.jsonl").open("ab") as file:
        file.write(orjson.dumps(result) + b"\n")


def newest() -> dict[str, Measured]:
    """The last result of each benchmark that has one."""
    return {name: results[-1] for name in ORDER if (results := _all(name))}


def _all(name: str) -> list[Measured]:
    file = FOLDER / f"{name}.jsonl"
    return [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def write() -> list[Path]:
    """Write the page and its plots; the files."""
    results = newest()
    plots = [plot for name, draw in _PLOTS.items() if name in results for plot in [draw(results[name])]]
    text = [
        "# Results",
        "",
        "Made by `python -m benchmarks page` from the last line of each file here. What the numbers mean and do not",
        "mean is in [the README of the benchmarks](../README.md).",
    ]
    for name, result in results.items():
        text += ["", f"## {name}", "", *table(result), "", *_where(result)]
        text += _MORE[name](result) if name in _MORE else []
        text += ["", f"![{name}]({name}.png)"] if name in _PLOTS else []
    page = FOLDER / "README.md"
    page.write_text("\n".join(text) + "\n", encoding="utf-8")
    return [page, *plots]


def table(result: Measured) -> list[str]:
    """A result as lines of a Markdown table."""
    return list(_lines(*_TABLES[result["benchmark"]](result)))


def _lines(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    told = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *told, strict=True)]
    yield "| " + " | ".join(name.ljust(width) for name, width in zip(head, widths, strict=True)) + " |"
    yield "|" + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)) + "|"
    for row in told:
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "| " + " | ".join(cells) + " |"


def _where(result: Measured) -> list[str]:
    machine, versions = result.get("machine"), result.get("versions", {})
    if not isinstance(machine, dict):
        return []
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    processor = f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB"
    pace = f", a report parsed in {machine['pace_us']} us" if "pace_us" in machine else ""
    when = f"`{result['command']}`, {result['at']}, commit {result['commit']}; " if "at" in result else ""
    return [f"{when}{processor}; load average at the end {machine['load_average'][0]}{pace}; {told}."]


_WRONG: Final = ("reports_lost", "reports_duplicated", "alarms_missed", "alarms_false")


def _response(result: Measured) -> PageTable:
    head = (
        "reports/s",
        "incident",
        "alarm p50 ms",
        "p99",
        "p99.9",
        "max",
        "of it from the broker p50 ms",
        "p99",
        "ClickHouse p50 ms",
        "p99",
        "max",
        "alarms",
        "sender behind ms",
        "all there",
        "in time",
    )
    return head, (
        (
            case["rate"],
            case["incident"],
            *(round(case[f"response_ms_{one}"]) for one in ("p50", "p99", "p999", "max")),
            *(round(case[f"from_ingest_ms_{one}"]) for one in ("p50", "p99")),
            *(round(case[f"clickhouse_visible_ms_{one}"]) for one in ("p50", "p99", "max")),
            case["responses"],
            case["sender_behind_ms_max"],
            yes(not any(case[one] for one in _WRONG)),
            yes(not case["alarms_late"]),
        )
        for case in result["cases"]
    )


def _throughput(result: Measured) -> PageTable:
    head = ("workers", "form", "partitions", "role", "reports/s", "reports/CPU s", "MB a worker", "right")
    return head, (
        (
            " + ".join(f"{count} {role}" for role, count in case["crew"].items()),
            case["form"],
            case["partitions"],
            role,
            one["reports_per_second"] or "-",
            one["reports_per_cpu_second"] or "-",
            round(one["peak_mb"]),
            yes(case["ok"]),
        )
        for case in result["cases"]
        for role, one in case["roles"].items()
    )


def _peers(result: Measured) -> PageTable:
    head = (
        "rival",
        "reports/CPU s",
        "least",
        "most",
        "second half",
        "emberline is so many times as fast",
        "equal output",
    )
    return head, (
        (
            name,
            *(_of(one["reports_per_cpu_second"], which) for which in ("median", "min", "max")),
            _of(one["second_half_reports_per_cpu_second"], "median"),
            _of(one["emberline_reports_per_cpu_second_ratio"], "median"),
            _equal([ran[name] for ran in result["rounds"]]),
        )
        for name, one in result["summary"].items()
    )


def _equal(runs: Sequence[dict[str, Any]]) -> str:
    """Whether what was written is equal in all rounds; a ceiling writes nothing."""
    if any("failed" in run for run in runs):
        return "failed"
    return yes(all(run["equal"] for run in runs)) if "equal" in runs[0] else "-"


def _longest_peers() -> Measured:
    """The newest of them."""
    return max(reversed(_all("peers")), key=lambda one: int(one["reports"]))


def _warm_peers(result: Measured) -> list[str]:
    """The longest run, where it is another."""
    longest = _longest_peers()
    if longest["reports"] <= result["reports"]:
        return []
    told = f"{longest['reports']:,} reports, by whose second half a JVM has compiled what it runs:"
    return ["", told, "", *table(longest), "", *_where(longest)]


def _of(spread: dict[str, float] | None, which: str) -> Any:
    return "-" if spread is None else round(spread[which], 2) if spread[which] < 1_000 else round(spread[which])


def _attacks(result: Measured) -> PageTable:
    head = (
        "attack",
        "alarm of a neighbour p50 ms",
        "max",
        "in the same partition p50 ms",
        "max",
        "missed",
        "detect CPU s",
        "MB",
        "sink CPU s",
        "MB",
        "KB in",
        "KB of rejects",
        "of status",
        "of alarms",
        "workers ended",
        "all done after s",
    )
    return head, (
        (
            case["attack"],
            *(
                _given(case["neighbours"][place][f"delay_ms_{one}"])
                for place in ("other", "same")
                for one in ("p50", "max")
            ),
            sum(one["missed"] for one in case["neighbours"].values()),
            *(_given(case["workers"][role][one]) for role in ("detect", "sink") for one in ("cpu_seconds", "peak_mb")),
            f"{case['bytes_sent'] / 1_000:,.0f}",
            *(f"{written / 1_000:,.0f}" for written in case["bytes_written"].values()),
            sum(one["ended"] for one in case["workers"].values()),
            "never" if case["caught_up_s"] is None else case["caught_up_s"],
        )
        for case in result["cases"]
    )


def _given(figure: float | None) -> Any:
    return "-" if figure is None else figure


def _stages(result: Measured) -> PageTable:
    head = ("stage", "rows a chunk", "row", "us of CPU a row", "rows/s by the clock", "most B held a row")
    names = ("stage", "chunk", "of", "us_per_row", "rows_per_second", "bytes_per_row")
    return head, ([one[name] or "as fetched" for name in names] for one in result["stages"])


def _orders(result: Measured) -> PageTable:
    head = ("", "s", "reset p50 ms", "p99", "max", "resets", "alarm p50 ms", "p99", "max", "alarms", "worker CPU s")
    return head, (
        (
            one["phase"],
            one["seconds"],
            *(
                cell
                for what in ("reset", "alarm")
                for cell in (*(one[f"{what}_ms"].get(name, "") for name in ("p50", "p99", "max")), one[f"{what}s"])
            ),
            one["worker_cpu_s"],
        )
        for one in result["phases"]
    )


def _orders_more(result: Measured) -> list[str]:
    """What registered devices take of a worker that starts."""
    head = ("registered devices", "ready s", "of it restoring", "memory MB", "at most", "checkpoint MB", "B a device")
    rows = (
        (
            one["registered"],
            one["ready_s"],
            one["restore_s"],
            *(round(one[name] / 2**20, 1) for name in ("resident_bytes", "peak_bytes", "checkpoint_bytes")),
            one.get("bytes_per_device", ""),
        )
        for one in result["starts"]
    )
    return ["", *_lines(head, rows)]


def _scale(result: Measured) -> PageTable:
    head = (
        "",
        "decode us/report",
        "detect us/report",
        "memory B/device",
        "checkpoint B/device",
        "write s",
        "restore s",
    )
    cost: tuple[str, ...] = ("decode_us_per_report", "detect_us_per_report")
    kept = ("memory_bytes_per_device", "checkpoint_bytes_per_device", "checkpoint_s", "restore_s")
    devices = [[f"{one['devices']} devices", *(one[name] for name in cost + kept)] for one in result["cases"]]
    sizes = [
        [f"{one['components']} components, {one['bytes_per_report']} B", *(one[name] for name in cost), *4 * ("",)]
        for one in result["reports"]
    ]
    rates = [
        [f"{one['devices']} devices, {one['rate']} reports/s", *(one[name] for name in cost), *4 * ("",)]
        for one in result["rates"]
    ]
    orders = [
        [f"{one['devices']} devices, {one['order']}", *(one[name] for name in cost), *4 * ("",)]
        for one in result["orders"]
    ]
    read = result["restored"]
    size = round(read["bytes"] / read["devices"])
    restored = [f"{read['devices']} devices through Kafka", "", "", "", size, read["write_s"], read["restore_s"]]
    return head, [*devices, *rates, *sizes, *orders, restored]


def _history(result: Measured) -> PageTable:
    questions = list(result["cases"][0]["question_ms"])
    head = ("reports", "B on disk/report", "sink rows/s", *(f"{question}, ms" for question in questions))
    names = ("rows", "bytes_per_report", "sink_rows_per_second")
    return head, (
        [*(case[name] for name in names), *(case["question_ms"][one] for one in questions)] for case in result["cases"]
    )


def _soak(result: Measured) -> PageTable:
    told = f"{result['minutes']:g} min, {result['devices']} devices, {result['rate']:g} reports/s"
    rows = ((name, f"{rise:+.1%}") for name, rise in result["rise_share"].items())
    return (told, "rise over the last three quarters"), rows


_TABLES: Final[dict[str, Callable[[Measured], PageTable]]] = {
    "response": _response,
    "throughput": _throughput,
    "attacks": _attacks,
    "orders": _orders,
    "peers": _peers,
    "stages": _stages,
    "scale": _scale,
    "history": _history,
    "early_warning": page_right.early_warning,
    "hourly": page_right.hourly,
    "rightness": page_right.rightness,
    "soak": _soak,
}


def _attacks_before(result: Measured) -> list[str]:
    """The newest of another commit's workers, to compare with."""
    others = [one for one in _all("attacks") if one["of"] != result["of"] and not one["smoke"]]
    if not others:
        return []
    before = others[-1]
    return ["", f"The same against the workers of commit {before['of']}:", "", *table(before), "", *_where(before)]


def _profiles(result: Measured) -> list[str]:
    """The functions of the stages that were profiled."""
    lines = []
    for stage, functions in result["profiles"].items():
        rows = [(one["function"], f"{one['own_share']:.1%}", f"{one['share']:.1%}") for one in functions]
        head = (f"{stage}: function", "own time", "with what it calls")
        lines += ["", *_lines(head, rows)]
    return lines


_MORE: Final[dict[str, Callable[[Measured], list[str]]]] = {
    "attacks": _attacks_before,
    "orders": _orders_more,
    "peers": _warm_peers,
    "stages": _profiles,
}


def _draw_response(result: Measured) -> Path:
    cases = [case for case in result["cases"] if case["incident"] == "none"]

    def draw(axes: Any) -> None:
        rates = sorted({case["rate"] for case in cases})
        for name, style in (("p50", "--o"), ("p99", "-o")):
            for what, figure, colour in (
                ("alarm", f"response_ms_{name}", _INK),
                ("row in ClickHouse", f"clickhouse_visible_ms_{name}", _PALE),
            ):
                told = [median(case[figure] for case in cases if case["rate"] == rate) for rate in rates]
                axes.plot(rates, told, style, color=colour, label=f"{what} {name}")
        axes.set(xscale="log", yscale="log", xlabel="reports a second", ylabel="ms from the scheduled time")
        axes.minorticks_off()
        axes.set_xticks(rates, [f"{rate:,}" for rate in rates])
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.legend(frameon=False)

    return _plot("response", "Response by rate", draw)


def _draw_peers(result: Measured) -> Path:
    longest = _longest_peers()
    warm = _medians(longest, "second_half_reports_per_cpu_second")
    held = _medians(result, "reports_per_cpu_second") | {f"{name}, warm": value for name, value in warm.items()}
    told = f"{result['reports']:,} reports, median of the rounds; warm: second half of {longest['reports']:,}"
    what = f"reports a CPU second ({told})"
    ours = ("emberline", "emberline, warm")
    return _plot("peers", "The same detection beside its peers", _bars(held, ours, "{:,.0f}", what))


def _medians(result: Measured, figure: str) -> dict[str, float]:
    """By rival, of those that detect and have the figure."""
    held = {name: one[figure] for name, one in result["summary"].items() if not name.startswith("ceiling")}
    return {name: spread["median"] for name, spread in held.items() if spread}


def _draw_scale(result: Measured) -> Path:
    cases = result["cases"]

    def draw(axes: Any) -> None:
        devices = [case["devices"] for case in cases]
        axes.plot(devices, [case["detect_us_per_report"] for case in cases], "-o", color=_INK, label="detect")
        axes.plot(devices, [case["decode_us_per_report"] for case in cases], "-o", color=_PALE, label="decode")
        axes.set(xscale="log", xlabel="devices", ylabel="us a report")
        axes.minorticks_off()
        axes.set_xticks(devices, [f"{number:,}" for number in devices])
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)

    return _plot("scale", "Cost of a report by the number of devices", draw)


def _draw_stages(result: Measured) -> Path:
    # Each with its largest chunk, as where a worker is behind. Devices and events are few beside reports.
    held = {one["stage"]: one["us_per_row"] for one in result["stages"] if one["of"] in ("record", "report")}
    ours = ("fetch", "decode", "detect")
    return _plot("stages", "Where the time of a report goes", _bars(held, ours, "{:.1f}", "us of CPU a report"))


def _bars(held: dict[str, float], inked: Sequence[str], form: str, what: str) -> Callable[[Any], None]:
    """A bar a name, the first on top."""

    def draw(axes: Any) -> None:
        names = list(held)[::-1]
        colours = [_INK if name in inked else _PALE for name in names]
        bars = axes.barh(names, [held[name] for name in names], color=colours)
        axes.bar_label(bars, [form.format(held[name]) for name in names], padding=4)
        axes.set(xlabel=what)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.15)

    return draw


def _plot(name: str, title: str, draw: Callable[[Any], None]) -> Path:
    # Imported here: only who makes the page needs it.
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    path = FOLDER / f"{name}.png"
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    return path


_PLOTS: Final[dict[str, Callable[[Measured], Path]]] = {
    "response": _draw_response,
    "peers": _draw_peers,
    "stages": _draw_stages,
    "scale": _draw_scale,
}
