"""Every figure that the project claims, made again: `nox -s bench` without an argument.

Each command writes its own tables, one after another, so that none disturbs the next one's times. It takes a
day or so on two cores; a machine with a GPU measures the recipes' steps as well. What cannot be made here is
told at the end with the reason, and the old figures stay with their date.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.options import EverythingOptions

_SAMPLES = ("vasculature", "kidney")


@dataclass(frozen=True)
class Figures:
    """One command and what it writes.

    Attributes:
        document: the page in docs/.
        blocks: names of its blocks, <!-- name --> to <!-- end of name -->.
        command: arguments of Python.
        lacking: returns what is missing for it, "" if nothing is.
    """

    document: str
    blocks: tuple[str, ...]
    command: tuple[str, ...]
    lacking: Callable[[EverythingOptions], str] = lambda _: ""


def _native(options: EverythingOptions) -> str:
    return "" if options.native_mmcv else "no --native-mmcv DIR: the compiled operators are the peer"


def _gpu(_: EverythingOptions) -> str:
    import torch

    return "" if torch.cuda.is_available() else "no GPU is at hand"


def _demo(_: EverythingOptions) -> str:
    there = all(Path("dist", "demo", name, "predict.py").is_file() for name in _SAMPLES)
    return "" if there else "dist/demo/ holds no rendered samples: run `nox -s demo` first"


def figures(options: EverythingOptions) -> tuple[Figures, ...]:
    """Return all commands that write figures, in the order in which they run."""
    bench = ("-m", "benchmarks")
    compiled = ("--native-mmcv", str(options.native_mmcv))
    samples = [Path("dist", "demo", name) for name in _SAMPLES]
    rendered = ("--predict", *(str(path / "predict.py") for path in samples))
    bundles = ("--bundle", *(str(path / "bundle") for path in samples))
    data = ("--data", *(str(Path("sample", name)) for name in _SAMPLES))
    page = "benchmarks.md"
    models = "models.md"
    return (
        Figures(models, ("registry", "packages"), (*bench, "parameters")),
        Figures(models, ("matrix",), (*bench, "matrix")),
        Figures(page, ("size",), (*bench, "size")),
        Figures(page, ("bundle",), (*bench, "bundle")),
        Figures(page, ("set-up",), (*bench, "set-up")),
        Figures(page, ("networks",), (*bench, "models", "--part", "networks", "--rounds", "3")),
        Figures(page, ("swin",), (*bench, "models", "--part", "swin", "--rounds", "3")),
        Figures(
            page,
            ("detectors",),
            (*bench, "models", "--part", "detectors", "--rounds", "3", *compiled),
            _native,
        ),
        Figures(page, ("recipes",), (*bench, "models", "--device", "cuda"), _gpu),
        *(
            Figures(page, (part,), (*bench, "inference", "--part", part))
            for part in ("slide", "published", "reading", "tissue", "rle", "fusion", "ap")
        ),
        Figures(page, ("loop",), (*bench, "training", "--part", "loop", "--rounds", "31")),
        Figures(page, ("augmentation",), (*bench, "training", "--part", "augmentation")),
        Figures(page, ("ensemble",), (*bench, "ensemble", "--distinct", "2")),
        Figures(page, ("ensemble-detections",), (*bench, "ensemble", "--part", "detections")),
        Figures(page, ("early-stopping",), (*bench, "early-stopping", "--tiles", "24")),
        Figures(page, ("budget",), (*bench, "budget", "--worlds", "2000", "--jobs", "2")),
        Figures(page, ("dry-run",), (*bench, "dry-run")),
        Figures(page, ("workers",), (*bench, "workers", "--part", "speed", "--rounds", "4")),
        *(
            Figures(page, (f"workers-{part}",), (*bench, "workers", "--part", part))
            for part in ("mount", "memory", "decisions")
        ),
        Figures(
            page,
            ("workers-budgets",),
            (*bench, "workers", "--part", "budgets", *rendered, *bundles, *data),
            _demo,
        ),
        Figures("upload.md", ("faults",), ("-m", "tests.kaggle_server", "--schedules", "300", "--seed", "0")),
        Figures("rehearse.md", ("faults",), ("-m", "tests.faults", "--runs", "300", "--seed", "1000")),
    )


def run(options: EverythingOptions) -> int:
    """Run the commands one after another; a failure does not end the others.

    Returns:
        0 if all figures were made, 1 if one failed; what is missing on this machine is told and no failure.
    """
    told: list[str] = []
    failed = False
    for item in figures(options):
        name = f"{item.document}: {', '.join(item.blocks)}"
        if why := item.lacking(options):
            told.append(f"left out   {name}: {why}")
            continue
        command = [sys.executable, *item.command, *(["--write-docs"] if options.write_docs else [])]
        print(f"\n{' '.join(command[1:])}", flush=True)
        began = time.monotonic()
        code = 0 if options.dry_run else subprocess.run(command, check=False).returncode
        failed |= code != 0
        told.append(f"{'made' if code == 0 else 'FAILED':10} {name} in {time.monotonic() - began:.0f} s")
    print("\n" + "\n".join(told))
    return int(failed)


def blocks(options: EverythingOptions) -> Sequence[tuple[str, str]]:
    """Return (page, block) of all figures."""
    return [(item.document, block) for item in figures(options) for block in item.blocks]
