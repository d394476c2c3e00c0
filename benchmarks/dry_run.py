"""Compare the forecast of a commit run's dry run with the hidden run that it stands for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import DryRunOptions
from benchmarks.tiny_submission import UNET, Form, Sizes, TinySubmission, write
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
_PLACEHOLDERS, _TRAIN = 2, 8
"""Slides of the test part and of the training part that a commit run finds."""
_SIDES = (400, 1000)
"""Least and largest side of a slide, pixels."""
_COUNTS = (6, 36, 9, 30, 12, 24, 15, 27, 18, 21)
"""Slides of the hidden test sets."""
_WITHIN = 0.15


def slides(name: str, count: int, seed: int) -> dict[str, tuple[int, int]]:
    """Draw the sizes of slides: those of all parts of a competition come from one distribution.

    Args:
        name: of the part; the slides' names begin with it.
        count: number of slides.
        seed: of the drawing.

    Returns:
        Name -> (height, width).
    """
    sides = np.random.default_rng(seed).integers(*_SIDES, (count, 2), endpoint=True)
    return {f"{name}{number:02d}": (int(sides[number][0]), int(sides[number][1])) for number in range(count)}


def run(options: DryRunOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Run predict.py twice for each size: as commit run with a forecast, and as hidden run.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.
    """
    rows, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        made = write(Path(folder) / "made", _FORM)
        commit = made.mount(
            Path(folder) / "commit", slides("placeholder", _PLACEHOLDERS, 0), train=slides("train", _TRAIN, 1)
        )
        numbers = range(options.sizes)
        for number in track(numbers, total=len(numbers), description="hidden test sets"):
            hidden = slides("slide", _COUNTS[number % len(_COUNTS)], 2 + number)
            row, ratio = _compare(made, commit, Path(folder) / str(number), hidden, options)
            rows.append(row)
            ratios.append(ratio)
    show_table(BLOCK, HEAD, rows)
    near = sum(abs(ratio - 1) <= _WITHIN for ratio in ratios)
    verdict = f"{near} of {len(ratios)} forecasts are within {100 * _WITHIN:.0f} % of the hidden run."
    print(verdict)
    if options.write_docs:
        how = machine.made_by(command)
        write_block(docs, BLOCK, f"{table(HEAD, rows)}\n\n{verdict}\n\n{how}")


def _compare(
    made: TinySubmission, commit: Path, folder: Path, hidden: Sizes, options: DryRunOptions
) -> tuple[list[str], float]:
    """Return the row of a hidden test set, and forecast / hidden run."""
    images = len(hidden)
    megapixels = sum(height * width for height, width in hidden.values()) / 1e6
    root = made.mount(folder / "input", hidden)
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
