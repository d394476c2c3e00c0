"""`python -m benchmarks ensemble`: time and memory of the ensemble step on predictions of full size."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import child, machine
from benchmarks.ensemble_data import FOLDS, RECIPES, VIEWS, Size, write
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import EnsembleOptions
from kit.errors import KitError
from kit.local.console import console, show_table
from train_local.ensemble.build import build_ensemble, shown

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
        answer = child.call("benchmarks.ensemble", request, what="the ensemble step")
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


def main() -> None:
    """Measure one ensemble step: JSON request on stdin, JSON answer as the last line of stdout."""
    request = json.load(sys.stdin)
    folder, processes = Path(request["folder"]), request["processes"]
    data, runs = write(folder, Size(request["slides"], request["side"], request["distinct"]))
    child.forget_peak()
    began, before = time.perf_counter(), _cpu_seconds()
    built = build_ensemble(data, runs, processes=processes)
    seconds, spent = time.perf_counter() - began, _cpu_seconds() - before
    # Not more than this: the largest helper is counted for each of them, at the peak of this process.
    helper = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    rungs = []
    for number, item in enumerate(built.ladder.rungs):
        values = [shown(value) for value in (item.rung.cv, item.fitted, item.static)]
        cost = f"{item.rung.passes} passes, {item.seconds:.1f} s per megapixel"
        scores = "unseen {}, fitted {}, static weighting {}".format(*values)
        rungs.append([f"rung {number}: {item.added}", f"{cost}, {scores}"])
    answer = {
        "seconds": seconds,
        "cpu_seconds": spent,
        "peak_bytes": child.peak_bytes() + processes * helper,
        "rungs": rungs,
    }
    print(json.dumps(answer))


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
