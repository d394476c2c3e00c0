"""`python -m benchmarks ensemble`: time and memory of the ensemble step on predictions of full size."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import child, machine
from benchmarks.ensemble_data import FOLDS, RECIPES, VIEWS, Size
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import EnsembleOptions
from kit.errors import KitError
from kit.local.console import console, show_table

HEAD = ("what", "value")
BLOCK = "ensemble"
_TINY = Size(slides=6, side=640, distinct=6)


def run(options: EnsembleOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Write maps, tune an ensemble from them in a process of its own, and print time, memory and scores.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.

    Raises:
        KitError: the disk is too small, or the step failed.
    """
    size = (
        _TINY if options.tiny else Size(options.slides, options.side, min(options.distinct, options.slides))
    )
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="ensemble-bench-") as name:
        folder = Path(name)
        needed = size.distinct * len(RECIPES) * len(VIEWS) * size.side**2 * 2
        if shutil.disk_usage(folder).free < 1.1 * needed:
            raise KitError(
                f"the maps need {needed / 1e9:.0f} GB",
                where=folder,
                fix="choose another --folder, or less --distinct",
            )
        console().print(f"write {needed / 1e9:.1f} GB of maps to {folder}", markup=False)
        request = {
            "folder": name,
            "slides": size.slides,
            "side": size.side,
            "distinct": size.distinct,
            "processes": options.processes,
        }
        answer = child.call("benchmarks.ensemble_step", request, what="the ensemble step")
    read = 2 * size.slides * len(RECIPES) * len(VIEWS) * size.side**2 * 2
    rows = [
        [
            "slides",
            f"{size.slides} of {size.side} x {size.side} pixels, {size.distinct} of them distinct files",
        ],
        [
            "members x views",
            f"{len(RECIPES) * FOLDS} x {len(VIEWS)}; a slide has the maps of {len(RECIPES)} x {len(VIEWS)}",
        ],
        ["read, every map twice", f"{read / 1e9:.1f} GB"],
        ["processes", f"{options.processes}"],
        ["seconds", f"{answer['seconds']:.0f}"],
        ["seconds of CPU", f"{answer['cpu_seconds']:.0f}"],
        ["peak memory of all processes", f"{answer['peak_bytes'] / 1e6:.0f} MB"],
        *answer["rungs"],
    ]
    show_table(BLOCK, HEAD, rows)
    if options.write_docs:
        how = f"`python -m benchmarks {' '.join(command)}` on {machine.describe()}"
        write_block(docs, BLOCK, f"{table(HEAD, rows)}\n\n{how}")
