"""`python -m benchmarks workers`: what a second worker gains, what the supervisor costs, and slow mounts.

The rendered predict.py runs with one worker and with two. Beside it the same passes and rows are made in one
process without a supervisor.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tifffile

from benchmarks import child, machine
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import WorkerOptions
from benchmarks.rounds import in_turns, median_ratio
from benchmarks.tiny_submission import UNET, Form, slide_HWC, write
from kit.errors import KitError
from kit.streams import STREAMS
from submission.rehearse import Settings, rehearse

PLAIN, ONE, TWO = "one process, no supervisor", "predict.py, 1 worker", "predict.py, 2 workers"
HEAD = (
    "way",
    "seconds",
    "loading and importing, all workers",
    "idle between tasks",
    "x no supervisor",
    "x 1 worker",
)
MOUNT_HEAD = (
    "stored as",
    "MB",
    "ours MB/s",
    "seconds of CPU",
    f"{STREAMS} streams, read only, MB/s",
    "as many streams as cores, read only, MB/s",
)
BUDGET_HEAD = ("budget s", "score", "rung", "seconds used")
BLOCKS = {"speed": "workers", "mount": "workers-mount", "budgets": "workers-budgets"}
BUDGETS = (8, 15, 30, 60, 300)
_WAYS: Mapping[str, Mapping[str, Any]] = {
    "raw strips": {"rowsperstrip": 64},
    "raw tiles of 512": {"tile": (512, 512)},
    "deflate, tiles of 512": {"tile": (512, 512), "compression": "deflate"},
    "LZW with differences, strips of 64 rows": {
        "rowsperstrip": 64,
        "compression": "lzw",
        "predictor": True,
    },
}
VIEWS = ("identity", "hflip")


@dataclass(frozen=True)
class Size:
    """How large the work is.

    Attributes:
        members: tiny networks; each predicts under `VIEWS`.
        images: slides.
        side: of a slide, pixels.
    """

    members: int
    images: int
    side: int


_FULL, _TINY = Size(members=4, images=8, side=1536), Size(members=2, images=2, side=256)


def run(options: WorkerOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure one part, print its table, and keep it in the docs if the options say so.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.

    Raises:
        KitError: a run failed, or did not do all of its rungs.
    """
    text = {"speed": _speed, "mount": _mount, "budgets": _budgets}[options.part](options)
    text += f"\n\n`python -m benchmarks {' '.join(command)}` on {machine.describe()}"
    print(text)
    if options.write_docs:
        write_block(docs, BLOCKS[options.part], text)


def _speed(options: WorkerOptions) -> str:
    size = _TINY if options.tiny else _FULL
    found: defaultdict[str, list[Mapping[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="workers-bench-") as name:
        folder = Path(name)
        script = _write(folder, size)

        def plain() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                request = {"folder": name, "out": out}
                answer = child.call("benchmarks.workers_step", request, what="the work without a supervisor")
            found[PLAIN].append({"seconds": answer["plain"], "loads": 0.0, "idle": 0.0})

        def supervised(way: str, workers: int) -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                found[way].append(phase(_report(script, folder / "input", Path(out), workers)))

        ways: dict[str, Callable[[], object]] = {
            PLAIN: plain,
            ONE: partial(supervised, ONE, 1),
            TWO: partial(supervised, TWO, 2),
        }
        in_turns(ways, options.rounds)
    kept = {way: rounds[1:] for way, rounds in found.items()}  # the first one warms up
    note = (
        f"{size.images} slides of {size.side} x {size.side} pixels, {size.members} members x {len(VIEWS)} "
        f"views, 2 rungs; {options.rounds} rounds. From the first task to the last; the ratio to the work "
        "without a supervisor leaves out loading and importing."
    )
    return f"{table(HEAD, [_row(way, kept) for way in kept])}\n\n{note}"


def _write(folder: Path, size: Size) -> Path:
    """Write ensemble, predict.py and, as `folder`/input, the mount; return the script."""
    passes = size.members * len(VIEWS)
    form = Form(
        members=size.members,
        views=VIEWS,
        rungs=(1, passes),
        network=UNET,
        inference={"core": 512, "context": 64, "scale": 0.5, "batch_size": 4},
        seconds_per_megapixel=0.1,
    )
    images = {f"slide{number}": (size.side, size.side) for number in range(size.images)}
    made = write(folder, form)
    made.mount(folder / "input", images, noise=True, compression="lzw")
    return made.script


def phase(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of a run's tasks, those of them that went to loads, and those between tasks.

    Args:
        report: report.json of a run.
    """
    by_worker: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for task in report["tasks"]:
        by_worker[task["worker"]].append(task)
    # A worker with tasks from 10 to 12 s and from 12.1 to 15 s was idle for 0.1 s. What the last worker does
    # alone at the end is no idle time of the other: nothing is left for it.
    idle = sum(
        max(0.0, later["begin"] - earlier["end"])
        for tasks in by_worker.values()
        for earlier, later in itertools.pairwise(tasks)
    )
    ends, begins = [task["end"] for task in report["tasks"]], [task["begin"] for task in report["tasks"]]
    loads = sum(task.get("load", 0.0) + task.get("imports", 0.0) for task in report["tasks"])
    return {"seconds": max(ends) - min(begins), "loads": loads, "idle": idle}


def _row(way: str, kept: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    workers = 2 if way == TWO else 1
    seconds = [one["seconds"] for one in kept[way]]
    pure = [one["seconds"] - one["loads"] / workers for one in kept[way]]
    idle = statistics.median(one["idle"] / (workers * one["seconds"]) for one in kept[way])
    faster = median_ratio([one["seconds"] for one in kept[ONE]], seconds)
    return [
        way,
        f"{statistics.median(seconds):.2f}",
        "" if way == PLAIN else f"{statistics.median(one['loads'] for one in kept[way]):.2f}",
        "" if way == PLAIN else f"{idle:.1%}",
        f"{median_ratio(pure, [one['seconds'] for one in kept[PLAIN]]):.3f}",
        "" if way == PLAIN else f"{faster:.2f} as fast",
    ]


def _report(script: Path, mount: Path, out: Path, workers: int) -> dict[str, Any]:
    options = ("--input", mount, "--output", out, "--device", "cpu", "--budget", 3600, "--workers", workers)
    done = subprocess.run(
        [sys.executable, str(script), *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        cwd=out,
    )
    if done.returncode:
        raise KitError(f"predict.py ended with code {done.returncode}: {done.stdout[-400:]}", where=script)
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    if any(rung["state"] != "done" for rung in report["rungs"]):
        raise KitError("predict.py did not do all rungs", where=script)
    return report


def _mount(options: WorkerOptions) -> str:
    rows, side, cores = [], 512 if options.tiny else 6144, len(os.sched_getaffinity(0))
    for name, stored in _WAYS.items():
        with tempfile.TemporaryDirectory(prefix="workers-bench-") as folder:
            slide = Path(folder) / "slide.tif"
            tifffile.imwrite(slide, slide_HWC(0, (side, side), noise=True), photometric="rgb", **stored)
            request = {
                "folder": folder,
                "megabytes_per_s": options.stream,
                "streams": STREAMS,
                "few": cores,
            }
            found = [
                child.call("benchmarks.workers_step", request, what="reading a slide")
                for _ in range(options.rounds)
            ]
            megabytes = slide.stat().st_size / 1e6
        seconds = {part: statistics.median(one[part] for one in found) for part in found[0]}
        ours, many, few = (f"{megabytes / seconds[way]:.0f}" for way in ("slide", "streams", "few"))
        rows.append([name, f"{megabytes:.0f}", ours, f"{seconds['cpu']:.2f}", many, few])
    note = (
        f"A slide of {side} x {side} pixels where a stream gives {options.stream:g} MB/s, and {cores} cores. "
        "Ours decodes as well: it cannot end before its seconds of CPU, divided by the free cores."
    )
    return f"{table(MOUNT_HEAD, rows)}\n\n{note}"


def _budgets(options: WorkerOptions) -> str:
    if options.predict is None or options.bundle is None or options.data is None:
        raise KitError(
            "the part budgets needs a rendered ensemble with its bundle, and data with a truth",
            fix="name --predict dist/NAME/predict.py --bundle dist/NAME/bundle --data sample/NAME",
        )
    rows = []
    for budget in BUDGETS:
        with tempfile.TemporaryDirectory(prefix="workers-bench-") as folder:
            out = Path(folder)
            settings = Settings(
                predict=options.predict, bundle=options.bundle, data=options.data, budget=budget, out=out
            )
            score = rehearse(settings)["score"]
            report = json.loads((out / "report.json").read_text())
        done = [number for number, rung in enumerate(report["rungs"], 1) if rung["state"] == "done"]
        shown = "none" if score is None else f"{score['value']:.4f}"
        rows.append([f"{budget}", shown, f"{max(done, default=0)} of {len(report['rungs'])}"])
        rows[-1].append(f"{report['wall_seconds']:.1f}")
    return table(BUDGET_HEAD, rows)
