"""Many worlds in a few figures: tables of the ways, and the worlds in which ours did worst."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from benchmarks.budget.comparison import Compared
from benchmarks.budget.ways import OURS, WAYS

HEAD = (
    "way",
    "late",
    "mean",
    "5th percentile",
    "worst",
    "used",
    "empty",
)
GROUP_HEAD = ("worlds", "number", *(way.name for way in WAYS))
WORST_HEAD = ("world", "ratio", "fits", "kind", "ours", "best choice")
_WORST = 20
_GROUPS: tuple[tuple[str, Callable[[Compared], bool]], ...] = (
    ("Dice", lambda world: world.kind == "semantic"),
    ("AP", lambda world: world.kind == "instance"),
    ("early stopping", lambda world: world.stops),
    ("15-40 % fits", lambda world: world.share < 0.4),
    ("40-100 % fits", lambda world: 0.4 <= world.share < 1.0),
    ("100-250 % fits", lambda world: world.share >= 1.0),
)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which a part of all values lies, the lower one where it lies between two."""
    return sorted(values)[int(part * len(values))]


def rows(worlds: Sequence[Compared]) -> list[list[str]]:
    """Return the rows of the table: one per way."""
    found = []
    for number, way in enumerate(WAYS):
        ratios = [world.ratio(number) for world in worlds]
        results = [world.results[number] for world in worlds]
        found.append(
            [
                way.name,
                f"{sum(result.late for result in results)}",
                f"{statistics.mean(ratios):.4f}",
                f"{percentile(ratios, 0.05):.4f}",
                f"{min(ratios):.4f}",
                f"{100 * statistics.mean(result.used for result in results):.0f} %",
                f"{sum(not result.predicted for result in results)}",
            ]
        )
    return found


def group_rows(worlds: Sequence[Compared]) -> list[list[str]]:
    """Return mean and 5th percentile of each way in the kinds of worlds."""
    found = []
    for name, belongs in _GROUPS:
        group = [world for world in worlds if belongs(world)]
        if not group:
            continue
        cells = []
        for number in range(len(WAYS)):
            ratios = [world.ratio(number) for world in group]
            cells.append(f"{statistics.mean(ratios):.4f}, {percentile(ratios, 0.05):.4f}")
        found.append([name, f"{len(group)}", *cells])
    return found


def ours() -> int:
    """Return the place of the policy in use among the ways."""
    return next(number for number, way in enumerate(WAYS) if way.name == OURS)


def worst_rows(worlds: Sequence[Compared]) -> list[list[str]]:
    """Return the worlds in which the policy in use did worst: what it ended with, and what was best."""
    way = ours()
    return [
        [
            f"{world.number}",
            f"{world.ratio(way):.4f}",
            f"{100 * world.share:.0f} %",
            world.kind,
            f"{world.results[way].file}; {100 * world.results[way].used:.0f} % used",
            world.choice,
        ]
        for world in sorted(worlds, key=lambda world: world.ratio(way))[:_WORST]
    ]
