"""What a pass costs in the search: its network's floating point operations, or the seconds measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from kit.inference.views import work
from kit.local.forward_check import flops_per_megapixel
from train_local.data.prepared import Prepared
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.trial import RecipeView, runs_of

Cost = Literal["flops", "seconds"]
UNITS: dict[Cost, str] = {"flops": "TFLOP per megapixel", "seconds": "s per megapixel"}

_LEAST = 1e-9
"""Gains are divided by costs, and a network may have nothing that counts."""

CostOf = Callable[[RecipeView], float]
"""The cost of one fold's pass of a recipe view, per megapixel."""


def costs(prepared: Prepared, runs: Sequence[FinishedRun], cost: Cost) -> CostOf:
    """Return the function that tells what the passes of some runs cost.

    Seconds differ between equal trainings, by what else the machine did, and a search that divides gains by
    them finds another ladder each time. FLOPs do not differ: equal runs give equal ladders.

    A model that computes outside torch has none that anybody counted. It costs what the others would do in
    its seconds: beside a network of 2 TFLOP in 4 seconds, a model that takes 1 second costs 0.5 TFLOP.

    Args:
        prepared: what the runs were trained on; networks that see images at once see one of median size.
        runs: the finished runs.
        cost: which of the two.
    """
    if cost == "seconds":
        # Members of a recipe differ in what the machine did beside them, not in what they compute.
        return lambda item: max(_LEAST, *(run.seconds(item.view) for run in runs_of(item, runs)))
    size = median_size(prepared)

    def counted(run: FinishedRun, view: str) -> float:
        return flops_per_megapixel(run.member, view, size) / 1e12

    pairs = [(counted(run, run.views[0]), run.seconds(run.views[0])) for run in runs]
    rates = [flops / seconds for flops, seconds in pairs if flops and seconds]
    rate = statistics.median(rates) if rates else 1.0

    def cost_of(item: RecipeView) -> float:
        run = runs_of(item, runs)[0]
        return max(_LEAST, counted(run, item.view) or rate * run.seconds(item.view))

    return cost_of


def median_size(prepared: Prepared) -> tuple[int, int]:
    """Return the median height and the median width of all labelled images."""
    images = prepared.images.values()
    return (
        int(statistics.median_low(image.height for image in images)),
        int(statistics.median_low(image.width for image in images)),
    )


def with_estimates(prepared: Prepared, runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Estimate the seconds that were not measured: of other views of the run, else of a run on all images.

    A view costs by the pixels that the network sees: hflip@0.5 a quarter of identity. A run that predicted
    nothing costs by its FLOPs, as much for each as the other runs took: beside one of 2 TFLOP and 1
    second per megapixel, a network of 6 TFLOP is expected to take 3 seconds. One without FLOPs is expected to
    take as long as the others, and without any measured run, each costs 1 second.
    """
    size = median_size(prepared)
    measured = [[seconds / work(view) for view, seconds in run.seconds_per_megapixel.items()] for run in runs]
    if all(measured) or not any(measured):
        return [
            replace(run, speed=statistics.median(of_run)) if of_run else run
            for run, of_run in zip(runs, measured, strict=True)
        ]
    flops = [flops_per_megapixel(run.member, "identity", size) for run in runs]
    rate = statistics.median(
        statistics.median(of_run) / max(own, 1.0)
        for of_run, own in zip(measured, flops, strict=True)
        if of_run
    )
    usual = statistics.median(statistics.median(of_run) for of_run in measured if of_run)
    return [
        replace(run, speed=statistics.median(of_run) if of_run else rate * own or usual)
        for run, of_run, own in zip(runs, measured, flops, strict=True)
    ]
