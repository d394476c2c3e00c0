"""`python -m benchmarks workers`: what a second worker gains, what the supervisor costs, slow mounts, memory.

The rendered predict.py runs with one worker and with two. Beside it the same passes and rows are made in one
process without a supervisor.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tifffile

from benchmarks import child, machine, workers_decisions, workers_memory
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import WorkerOptions
from benchmarks.rounds import in_turns, median_ratio
from benchmarks.tiny_submission import UNET, Form, slide_HWC, write
from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.wording import counted
from kit.streams import STREAMS
from submission.rehearse import Settings, rehearse

PLAIN, PAIR = "one process, no supervisor", "two processes, no supervisor"
ONE, TWO = "predict.py, 1 worker", "predict.py, 2 workers"
HEAD = (
    "way",
    "seconds",
    "loading and importing, all workers",
    "idle between tasks",
    "x one process",
    "x half as many",
    "the same with loading",
)
MOUNT_HEAD = (
    "stored as",
    "MB",
    "ours MB/s",
    "seconds of CPU",
    f"{STREAMS} streams, read only, MB/s",
    "as many streams as cores, read only, MB/s",
)
BUDGET_HEAD = ("sample", "budget s", "score", "rung", "rung that fits", "seconds used")
BLOCKS = {
    "speed": "workers",
    "mount": "workers-mount",
    "budgets": "workers-budgets",
    "memory": "workers-memory",
    "decisions": "workers-decisions",
}
BUDGETS = (8, 15, 30, 60, 300)
_TINY_BUDGETS = (60,)
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


_FULL, _TINY = Size(members=2, images=12, side=1024), Size(members=2, images=2, side=256)


def run(options: WorkerOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure one part, print its table, and keep it in the docs if the options say so.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.

    Raises:
        KitError: a run failed, or did not do all of its rungs.
    """
    parts: Mapping[str, Callable[[WorkerOptions], str]] = {
        "speed": _speed,
        "mount": _mount,
        "budgets": _budgets,
        "memory": lambda options: workers_memory.measure(tiny=options.tiny),
        "decisions": lambda options: workers_decisions.measure(tiny=options.tiny),
    }
    text = parts[options.part](options)
    text += f"\n\n{machine.made_by(command)}"
    print(text)
    if options.write_docs:
        write_block(docs, BLOCKS[options.part], text)


def _speed(options: WorkerOptions) -> str:
    size = _TINY if options.tiny else _FULL
    found: defaultdict[str, list[Mapping[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="workers-bench-") as name:
        folder = Path(name)
        script = _write(folder, size)

        def plain(way: str, processes: int) -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out, ThreadPoolExecutor(processes) as pool:
                # Each of two processes has every second slide. What they gain is what the cores allow.
                requests = [
                    {"folder": name, "out": out, "first": first, "step": processes}
                    for first in range(processes)
                ]
                step = partial(child.call, "benchmarks.workers_step", what="the work without a supervisor")
                seconds = max(answer["plain"] for answer in pool.map(step, requests))
            found[way].append({"seconds": seconds, "loads": 0.0, "idle": 0.0})

        def supervised(way: str, workers: int) -> None:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                found[way].append(phase(_report(script, folder / "input", Path(out), workers)))

        ways: dict[str, Callable[[], object]] = {
            PLAIN: partial(plain, PLAIN, 1),
            PAIR: partial(plain, PAIR, 2),
            ONE: partial(supervised, ONE, 1),
            TWO: partial(supervised, TWO, 2),
        }
        in_turns(ways, options.rounds, warm_up=not options.tiny)
    kept = {way: rounds[-options.rounds :] for way, rounds in found.items()}  # without the one that warms up
    note = (
        f"{size.images} slides of {size.side} x {size.side} pixels, {size.members} members x {len(VIEWS)} "
        f"views, 2 rungs; {counted(options.rounds, 'round')}. From the first task to the last; all ratios "
        "but the last leave out loading and importing. Two processes without a supervisor gain what the "
        "cores allow."
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
        inference={"core": 512, "context": 64, "scale": 1.0, "batch_size": 4},
        seconds_per_megapixel=0.1,
    )
    images = {f"slide{number}": (size.side, size.side) for number in range(size.images)}
    made = write(folder, form)
    made.mount(folder / "input", images, write_slide=_write_noise)
    return made.script


def _write_noise(path: Path, seed: int, size: tuple[int, int]) -> None:
    tifffile.imwrite(path, slide_HWC(seed, size, noise=True), photometric="rgb", compression="lzw")


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
    half = {PAIR: PLAIN, TWO: ONE}.get(way)
    seconds, pure = _seconds(way, kept)
    idle = statistics.median(one["idle"] / (_workers(way) * one["seconds"]) for one in kept[way])
    supervised = way in (ONE, TWO)
    return [
        way,
        f"{statistics.median(seconds):.2f}",
        f"{statistics.median(one['loads'] for one in kept[way]):.2f}" if supervised else "",
        f"{idle:.1%}" if supervised else "",
        f"{median_ratio(pure, _seconds(PLAIN, kept)[1]):.3f}",
        "" if half is None else f"{median_ratio(_seconds(half, kept)[1], pure):.2f} as fast",
        "" if half is None or not supervised else f"{median_ratio(_seconds(half, kept)[0], seconds):.2f}",
    ]


def _workers(way: str) -> int:
    return 2 if way in (PAIR, TWO) else 1


def _seconds(way: str, kept: Mapping[str, Sequence[Mapping[str, float]]]) -> tuple[list[float], list[float]]:
    """Return the seconds of each round, with and without loading and importing."""
    seconds = [one["seconds"] for one in kept[way]]
    return seconds, [one["seconds"] - one["loads"] / _workers(way) for one in kept[way]]


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
    counts = {len(options.predict), len(options.bundle), len(options.data)}
    if counts == {0} or len(counts) > 1:
        raise KitError(
            "the part budgets needs rendered ensembles, the bundle of each, and data with a truth for each",
            fix="name --predict dist/NAME/predict.py --bundle dist/NAME/bundle --data sample/NAME",
        )
    rows, budgets = [], _TINY_BUDGETS if options.tiny else BUDGETS
    for predict, bundle, data in zip(options.predict, options.bundle, options.data, strict=True):
        found = {budget: _rehearsed(predict, bundle, data, budget) for budget in reversed(budgets)}
        longest = found[max(budgets)][1]
        for budget in budgets:
            score, report = found[budget]
            rungs, fitting = len(report["rungs"]), done_by(longest, report["deadline"])
            row = [data.name, f"{budget}", "none" if score is None else f"{score:.4f}"]
            row += [f"{done_by(report)} of {rungs}", f"{fitting} of {rungs}"]
            rows.append([*row, f"{report['wall_seconds']:.1f}"])
    note = (
        "The rung that fits is the highest one that the run with the largest budget had done before tasks "
        "have to end in this one."
    )
    return f"{table(BUDGET_HEAD, rows)}\n\n{note}"


def _rehearsed(predict: Path, bundle: Path, data: Path, budget: float) -> tuple[float | None, dict[str, Any]]:
    """Return the score of a rehearsal and its report.json."""
    with tempfile.TemporaryDirectory(prefix="workers-bench-") as folder:
        settings = Settings(predict=predict, bundle=bundle, data=data, budget=budget, out=Path(folder))
        score = rehearse(settings)["score"]
        return None if score is None else score["value"], read_json(Path(folder) / "report.json")


def done_by(report: Mapping[str, Any], seconds: float = math.inf) -> int:
    """Return how many rungs were done at a moment, up to the highest one; 0 if there was none.

    Args:
        report: report.json of a run.
        seconds: since the start of the run.
    """
    done = (event for event in report["events"] if event["name"] == "rung" and not event["part"])
    return max((event["rung"] + 1 for event in done if event["seconds"] <= seconds), default=0)
