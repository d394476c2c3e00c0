"""Compare the forecast of a commit run's dry run with the hidden run that it stands for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import DryRunOptions
from benchmarks.tiny_submission import UNET, Form, TinySubmission, write
from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.console import show_table, track

BLOCK = "dry-run"
HEAD = (
    "hidden test set",
    "forecast s",
    "hidden run s",
    "forecast / hidden run",
    "rung forecast",
    "rung reached",
    "loads",
)
_FORM = Form(
    members=2,
    views=("identity", "hflip", "vflip"),
    rungs=range(1, 7),
    network=UNET,
    inference={"core": 192, "context": 32, "scale": 1.0, "batch_size": 2},
    reserve_seconds=10.0,
    slowdown=1.6,
)
_PLACEHOLDERS = {"first": (500, 700), "second": (800, 900)}
_SHAPES = (0.8, 1.0, 1.2)
"""Sides of the hidden slides, as parts of their mean."""
_WITHIN = 0.15


def hidden_sizes(count: int) -> list[tuple[int, int]]:
    """Return the number of slides and their mean side in pixels, for each hidden test set."""
    # From 6 slides of 1000 pixels to 24 of 400: more and smaller ones. The number of megapixels changes, too.
    sides = (1000, 900, 850, 800, 700, 650, 600, 550, 500, 450)
    images = (6, 12, 9, 18, 15, 30, 24, 12, 36, 24)
    return [(images[number % len(images)], sides[number % len(sides)]) for number in range(count)]


def run(options: DryRunOptions, command: Sequence[str]) -> None:
    """Run predict.py twice for each size: as commit run with a forecast, and as hidden run.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
    """
    rows, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        made = write(Path(folder) / "made", _FORM)
        commit = made.mount(Path(folder) / "commit", _PLACEHOLDERS)
        sizes = hidden_sizes(options.sizes)
        for number, hidden in track(list(enumerate(sizes)), total=len(sizes), description="hidden test sets"):
            row, ratio = _compare(made, commit, Path(folder) / str(number), hidden, options)
            rows.append(row)
            ratios.append(ratio)
    show_table(BLOCK, HEAD, rows)
    near = sum(abs(ratio - 1) <= _WITHIN for ratio in ratios)
    verdict = f"{near} of {len(ratios)} forecasts are within {100 * _WITHIN:.0f} % of the hidden run."
    print(verdict)
    if options.write_docs:
        how = f"`python -m benchmarks {' '.join(command)}` on {machine.describe()}"
        write_block(DOCS / "benchmarks.md", BLOCK, f"{table(HEAD, rows)}\n\n{verdict}\n\n{how}")


def _compare(
    made: TinySubmission, commit: Path, folder: Path, hidden: tuple[int, int], options: DryRunOptions
) -> tuple[list[str], float]:
    """Return the row of a hidden test set, and forecast / hidden run."""
    images, side = hidden
    sides = [int(side * _SHAPES[image % len(_SHAPES)]) for image in range(images)]
    megapixels = sum(one * one for one in sides) / 1e6
    root = made.mount(folder / "input", {f"slide{image:02d}": (one, one) for image, one in enumerate(sides)})
    size = ("--hidden-images", str(images), "--hidden-megapixels", str(megapixels))
    loads = [os.getloadavg()[0]]
    first = _report(made.script, commit, folder / "commit", options, size, hidden=False)
    loads.append(os.getloadavg()[0])
    second = _report(made.script, root, folder / "hidden", options, (), hidden=True)
    loads.append(os.getloadavg()[0])
    told, seconds = first["hidden_run"], second["wall_seconds"]
    if "run_seconds" not in told:
        raise KitError(f"the dry run made no forecast: {told}", where=folder)
    done = [rung["index"] + 1 for rung in second["rungs"] if rung["state"] == "done"]
    ratio = told["run_seconds"] / seconds
    row = [
        f"{images} slides, {megapixels:.1f} megapixels",
        f"{told['run_seconds']:.1f}",
        f"{seconds:.1f}",
        f"{ratio:.3f}",
        str(told["rung"] + 1),
        str(max(done, default=0)),
        " ".join(f"{load:.1f}" for load in loads),
    ]
    return row, ratio


def _report(
    script: Path,
    root: Path,
    output: Path,
    options: DryRunOptions,
    more: Sequence[str],
    *,
    hidden: bool,
) -> Mapping[str, Any]:
    """Run predict.py and return its report."""
    output.mkdir(parents=True)
    environment = {**os.environ, "KAGGLE_KERNEL_RUN_TYPE": "Batch"}
    if hidden:
        environment["KAGGLE_IS_COMPETITION_RERUN"] = "1"
    own = ("--input", root, "--output", output, "--device", "cpu", "--budget", options.budget)
    measuring = ("--workers", options.workers, "--dry-run", options.seconds)
    command = [sys.executable, script, *own, *measuring, *more]
    done = subprocess.run(
        [*map(str, command)],
        env=environment,
        cwd=output,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise KitError(f"predict.py ended with the code {done.returncode}: {done.stdout}", where=script)
    report: Mapping[str, Any] = read_json(output / "report.json")
    return report
