"""Draw what a run had in memory, and how much each process took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from kit.local.pages.charts import ALARM, NARROW, WIDE, colours, for_both
from kit.local.wording import amount

_GB = 1e9


@dataclass(frozen=True)
class ProcessMemory:
    """What one process had at most.

    Attributes:
        name: "supervisor" or "worker 0".
        peak: bytes of main memory.
        gpu: bytes of its GPU; None if it ran no pass on one.
    """

    name: str
    peak: int
    gpu: int | None


def memory_chart(run: Mapping[str, Any]) -> str | None:
    """Draw the memory of all processes together over the seconds of a run, below that of the machine.

    Args:
        run: content of report.json.

    Returns:
        The chart, wide and narrow; None of a run that noted less than two points.
    """
    points = run.get("memory", [])
    if len(points) < 2:
        return None
    total = run.get("memory_total")
    most = max(size for _, size in points)
    label = f"memory of all processes over time, {amount(most)} at most"
    return for_both(lambda narrow: _draw(points, total, narrow=narrow), label)


def _draw(points: Sequence[tuple[float, float]], total: float | None, *, narrow: bool) -> Figure:
    seconds, sizes = zip(*points, strict=True)
    figure = Figure(figsize=(NARROW if narrow else WIDE, 2.4), layout="constrained")
    axes = figure.add_subplot()
    (colour,) = colours(1)
    gigabytes = [size / _GB for size in sizes]
    axes.fill_between(seconds, gigabytes, color=colour, alpha=0.15, linewidth=0)
    axes.plot(seconds, gigabytes, color=colour, linewidth=1.3)
    # A machine with far more would press the curve to the ground; the text above it names the size.
    if total and total < 3 * max(sizes):
        axes.axhline(total / _GB, color=ALARM, linewidth=1.2)
        told = f" {amount(total)} of the machine"
        axes.text(0, total / _GB, told, fontsize=8, color=ALARM, va="bottom")
    axes.set(
        xlabel="seconds since the process started",
        ylabel="GB",
        xlim=(0, seconds[-1]),
        ylim=(0, 1.15 * max(axes.dataLim.y1, total / _GB if total and total < 3 * max(sizes) else 0.0)),
    )
    return figure


def processes(run: Mapping[str, Any]) -> list[ProcessMemory]:
    """Return what each process of a run had in memory at most, in the order in which they were started.

    Args:
        run: content of report.json.
    """
    gpu: dict[str, int] = {}
    for task in run.get("tasks", []):
        if "gpu_bytes" in task:
            name = f"worker {task['worker']}"
            gpu[name] = max(task["gpu_bytes"], gpu.get(name, 0))
    # The file has its keys sorted: "worker 10" stands there before "worker 2".
    peaks: Mapping[str, int] = run.get("memory_peaks", {})
    ordered = sorted(peaks, key=lambda name: (name != "supervisor", len(name), name))
    return [ProcessMemory(name, peaks[name], gpu.get(name)) for name in ordered]
