"""`python -m benchmarks budget`: the policy in use beside simple rules and the best choice with hindsight."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from benchmarks.budget import picture, summary, trace
from benchmarks.budget.comparison import Compared, compare
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import BudgetOptions
from kit.errors import KitError
from kit.local.console import show_table, track

BLOCK = "budget"
_AT_ONCE = 4
"""Worlds that a process gets at a time."""


def run(options: BudgetOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Run all ways in all worlds and print how near they came to the best choice; or show one world.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block; the picture is written beside it.

    Raises:
        KitError: --trace without --world.
    """
    if options.world is not None:
        for line in trace.facts(options.seed, options.world, nested=options.nested):
            print(line)
        if options.trace:
            for line in trace.decisions(options.seed, options.world, nested=options.nested):
                print(line)
        return
    if options.trace:
        raise KitError("--trace shows one world", where="--trace", fix="say which: --world N")
    worlds = compare_all(options.worlds, options.seed, options.jobs, nested=options.nested)
    rows, groups = summary.rows(worlds), summary.group_rows(worlds)
    show_table("ours in its worst worlds", summary.WORST_HEAD, summary.worst_rows(worlds))
    show_table("mean and 5th percentile of score / best", summary.GROUP_HEAD, groups)
    show_table(BLOCK, summary.HEAD, rows)
    if options.write_docs:
        from benchmarks import machine  # imports torch

        image = docs.with_name("budget.svg")
        picture.draw(worlds, image)
        how = f"{options.worlds} worlds, seed {options.seed}; {machine.made_by(command)}"
        parts = (
            table(summary.HEAD, rows),
            "Mean and 5th percentile of score / best by kinds of worlds:",
            table(summary.GROUP_HEAD, groups),
            f"![Part of the worlds below a ratio, for each way]({image.name})",
            how,
        )
        write_block(docs, BLOCK, "\n\n".join(parts))


def compare_all(worlds: int, seed: int, jobs: int | None, *, nested: bool) -> list[Compared]:
    """Return all ways in the worlds 0 to `worlds` - 1.

    Args:
        worlds: number of worlds.
        seed: of all worlds.
        jobs: processes; None: one for each CPU.
        nested: the ensembles have the rungs of a greedy ladder only.
    """
    jobs = min(jobs or len(os.sched_getaffinity(0)), worlds)
    one, numbers = partial(compare, seed=seed, nested=nested), range(worlds)
    if jobs == 1:
        return list(track(map(one, numbers), total=worlds, description="worlds"))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        found = pool.map(one, numbers, chunksize=_AT_ONCE)
        return list(track(found, total=worlds, description="worlds"))
