"""Every figure that the project claims, made again: `nox -s bench` without an argument.

Each command writes its own tables, one after another, so that none disturbs the next one's times. It takes a
day or so on two cores; a machine with a GPU measures the recipes' steps as well. What cannot be made here is
told at the end with the reason, and the old figures stay with their date.

A command gets a copy of its page in which its blocks are empty. What it has written there goes into the real
page. So a block counts as renewed only if the command has written it, even where the figures are the same.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.markdown import DOCS, block, write_block
from benchmarks.options import PARTS, EverythingOptions
from kit.errors import KitError

_SAMPLES = ("vasculature", "kidney")
_EMPTY = "Not written yet."
_ONE_ROUND = ("--tiny", "--rounds", "1")


@dataclass(frozen=True)
class Figures:
    """One command and what it writes.

    Attributes:
        document: the page in docs/.
        blocks: names of its blocks, <!-- name --> to <!-- end of name -->.
        command: arguments of Python.
        full: further arguments that say the size of the documents' figures.
        tiny: those of the smallest form, in their place.
        files: further files that it writes beside the page.
        lacking: returns what is missing for it, "" if nothing is.
    """

    document: str
    blocks: tuple[str, ...]
    command: tuple[str, ...]
    full: tuple[str, ...] = ()
    tiny: tuple[str, ...] = ("--tiny",)
    files: tuple[str, ...] = ()
    lacking: Callable[[EverythingOptions], str] = lambda _: ""

    @property
    def name(self) -> str:
        """The page and its blocks, as they are told."""
        return f"{self.document}: {', '.join(self.blocks)}"


def _native(options: EverythingOptions) -> str:
    return "" if options.native_mmcv else "no --native-mmcv DIR: the compiled operators are the peer"


def _gpu(_: EverythingOptions) -> str:
    import torch

    return "" if torch.cuda.is_available() else "no GPU is at hand"


def _demo(_: EverythingOptions) -> str:
    files = [Path("dist", "demo", name, "scores.json") for name in _SAMPLES]
    there = all(path.is_file() for path in files)
    return "" if there else "dist/demo/ holds no finished demo: run `nox -s demo` first"


def figures(options: EverythingOptions) -> tuple[Figures, ...]:
    """Return all commands that write figures, in the order in which they run."""
    bench = ("-m", "benchmarks")
    models = (*bench, "models", "--part")
    compiled = ("--native-mmcv", str(options.native_mmcv))
    few = (*_ONE_ROUND, "--seconds", "0.1", "--size", "64")
    samples = [Path("dist", "demo", name) for name in _SAMPLES]
    rendered = ("--predict", *(str(path / "predict.py") for path in samples))
    bundles = ("--bundle", *(str(path / "bundle") for path in samples))
    data = ("--data", *(str(Path("sample", name)) for name in _SAMPLES))
    prepared = ("--prepared", *(str(Path("work", "demo", name)) for name in _SAMPLES))
    runs = ("--runs", *(str(Path("runs", "demo", name)) for name in _SAMPLES))
    page, registry = "benchmarks.md", "models.md"
    return (
        Figures(registry, ("registry", "packages"), (*bench, "parameters"), tiny=()),
        Figures(registry, ("matrix",), (*bench, "matrix"), tiny=("--", "-k", "segformer-b0")),
        Figures(page, ("size",), (*bench, "size"), tiny=()),
        Figures(page, ("bundle",), (*bench, "bundle"), tiny=()),
        Figures(page, ("set-up",), (*bench, "set-up"), tiny=_ONE_ROUND),
        Figures(
            page, ("networks",), (*models, "networks"), tiny=(*few, "--only", "segformer-b0", "detectors-r50")
        ),
        Figures(page, ("swin",), (*models, "swin"), ("--rounds", "3"), few),
        Figures(page, ("detectors",), (*models, "detectors", *compiled), ("--rounds", "3"), few, (), _native),
        Figures(page, ("recipes",), (*bench, "models", "--device", "cuda"), (), few, (), _gpu),
        *(Figures(page, (part,), (*bench, "inference", "--part", part), tiny=_ONE_ROUND) for part in PARTS),
        Figures(page, ("loop",), (*bench, "training", "--part", "loop"), ("--rounds", "31"), _ONE_ROUND),
        Figures(page, ("augmentation",), (*bench, "training", "--part", "augmentation"), tiny=_ONE_ROUND),
        Figures(page, ("ensemble",), (*bench, "ensemble"), ("--distinct", "2")),
        Figures(
            page, ("ensemble-detections",), (*bench, "ensemble", "--part", "detections"), ("--tiles", "32")
        ),
        Figures(
            page,
            ("early-stopping",),
            (*bench, "early-stopping", *prepared, *runs),
            ("--tiles", "24"),
            lacking=_demo,
        ),
        Figures(
            page,
            ("budget",),
            (*bench, "budget", "--jobs", "2"),
            ("--worlds", "2000"),
            ("--worlds", "4"),
            ("budget.svg",),
        ),
        Figures(page, ("dry-run",), (*bench, "dry-run"), (), ("--sizes", "1", "--seconds", "4")),
        Figures(page, ("workers",), (*bench, "workers", "--part", "speed"), ("--rounds", "4"), _ONE_ROUND),
        *(
            Figures(page, (f"workers-{part}",), (*bench, "workers", "--part", part), tiny=_ONE_ROUND)
            for part in ("mount", "memory", "decisions")
        ),
        Figures(
            page,
            ("workers-budgets",),
            (*bench, "workers", "--part", "budgets", *rendered, *bundles, *data),
            lacking=_demo,
        ),
        Figures(page, ("demo",), (*bench, "demo"), tiny=(), lacking=_demo),
        Figures("own-model.md", ("examples",), (*bench, "examples")),
        Figures(
            "upload.md",
            ("faults",),
            ("-m", "tests.kaggle_server", "--seed", "0"),
            ("--schedules", "300"),
            ("--schedules", "6"),
        ),
        Figures(
            "rehearse.md",
            ("faults",),
            ("-m", "tests.faults", "--seed", "1000"),
            ("--runs", "300"),
            ("--runs", "2"),
        ),
    )


def run(options: EverythingOptions) -> int:
    """Run the commands one after another; a failure does not end the others.

    Returns:
        0 if all figures were made, 1 if one was not; what is missing on this machine is told and no failure.

    Raises:
        KitError: no table has a name of --only, the tiny form has no folder of its own, or that folder is
            not empty.
    """
    chosen = _chosen(options)
    pages = None if options.dry_run else _pages(options)
    told: list[str] = []
    failed = False
    for item in chosen:
        if why := item.lacking(options):
            told.append(f"left out   {item.name}: {why}")
            continue
        print(f"\n{' '.join(_words(item, options))}", flush=True)
        began = time.monotonic()
        outcome = "would run" if options.dry_run else _make(item, options, pages)
        failed |= outcome == "FAILED"
        told.append(f"{outcome:10} {item.name} in {time.monotonic() - began:.0f} s")
        if not options.dry_run:
            print(told[-1], flush=True)
    print("\n" + "\n".join(told))
    if pages is not None:
        print(f"the pages are in {pages}")
    return int(failed)


def _chosen(options: EverythingOptions) -> list[Figures]:
    """Return the commands that write the tables of --only, or all of them."""
    known = figures(options)
    names = {one for item in known for one in item.blocks}
    if unknown := set(options.only) - names:
        fix = f"there are {', '.join(sorted(names))}"
        raise KitError(f"no table is called {min(unknown)!r}", where="--only", fix=fix)
    return [item for item in known if not options.only or set(options.only) & set(item.blocks)]


def _pages(options: EverythingOptions) -> Path | None:
    """Return the folder of the pages to write into; None: the figures are shown only."""
    if options.docs is None:
        return options.page("").absolute() if options.write_docs else None
    if options.docs.exists() and any(options.docs.iterdir()):
        raise KitError("a copy of docs/ is made there, and the folder is not empty", where=options.docs)
    options.docs.mkdir(parents=True, exist_ok=True)
    for path in [*DOCS.glob("*.md"), *DOCS.glob("*.svg")]:
        shutil.copyfile(path, options.docs / path.name)
    return options.docs.absolute()


def _words(item: Figures, options: EverythingOptions, *, docs: Path | None = None) -> list[str]:
    """Return the arguments of Python, for the pages in a folder."""
    kept = ["--write-docs"] if options.write_docs or options.docs is not None else []
    where = [] if docs is None else ["--docs", str(docs)]
    return [*item.command, *kept, *where, *(item.tiny if options.tiny else item.full)]


def _make(item: Figures, options: EverythingOptions, pages: Path | None) -> str:
    """Run a command and take what it has written into the pages; return what became of its blocks."""
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as name:
        staged = None if pages is None else Path(name)
        if pages is not None and staged is not None:
            shutil.copyfile(pages / item.document, staged / item.document)
            for one in item.blocks:
                write_block(staged / item.document, one, _EMPTY)
        done = subprocess.run([sys.executable, *_words(item, options, docs=staged)], check=False)
        if pages is None or staged is None:
            return "FAILED" if done.returncode else "made"
        written = {one: block(staged / item.document, one) for one in item.blocks}
        renewed = {one: text for one, text in written.items() if text not in ("", _EMPTY)}
        for one, text in renewed.items():
            write_block(pages / item.document, one, text)
        files = [staged / file for file in item.files]
        for path in files:
            if path.is_file():
                shutil.copyfile(path, pages / path.name)
        complete = len(renewed) == len(written) and all(path.is_file() for path in files)
        return "renewed" if complete and done.returncode == 0 else "FAILED"


def blocks(options: EverythingOptions) -> Sequence[tuple[str, str]]:
    """Return (page, block) of all figures."""
    return [(item.document, one) for item in figures(options) for one in item.blocks]
