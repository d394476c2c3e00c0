"""`python -m benchmarks early-stopping`: score and cost of ensembles with and without early stopping."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import detection_data, ensemble_data, machine
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import EarlyStoppingOptions
from kit.errors import KitError
from kit.local.console import show_table
from kit.local.wording import counted
from train_local.data import prepared
from train_local.data.prepared import Prepared
from train_local.ensemble.build import Built, build_ensemble, shown
from train_local.ensemble.costs import with_estimates
from train_local.ensemble.finished_runs import FinishedRun, find_finished_runs

HEAD = (
    "predictions",
    "rung",
    "stop below a doubt of",
    "images",
    "skip below a doubt of",
    "windows",
    "unseen score",
    "without",
    "cost",
)
BLOCK = "early-stopping"
_SIDE, _DETECTIONS = 640, 40
_TINY_COUNT, _TINY_SIDE, _TINY_DETECTIONS = 8, 128, 10
_LARGE_SIDE, _LARGE_CORE, _CORTEX = 6144, 512, 0.4
_TINY_LARGE_SIDE = 1280
"""Large slides, of whose windows many hold no disc, and nothing that looks like one."""


def run(options: EarlyStoppingOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Build ensembles of drawn and of given predictions, and tell what early stopping makes of each.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.

    Raises:
        KitError: prepared data and runs do not pair up, or cannot be read.
    """
    if len(options.prepared) != len(options.runs):
        counts = f"{len(options.prepared)} and {len(options.runs)}"
        raise KitError(
            f"--prepared and --runs name {counts} folders", fix="name as many runs as prepared data"
        )
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="early-stopping-") as name:
        for what, data, runs in _predictions(options, Path(name)):
            built = build_ensemble(
                data, with_estimates(data, runs), cost="seconds", processes=options.processes
            )
            rows += _rows(what, built)
            show_table(what, HEAD[1:], [row[1:] for row in rows if row[0] == what])
    if options.write_docs:
        how = machine.made_by(command)
        write_block(docs, BLOCK, f"{table(HEAD, rows)}\n\n{how}")


def _predictions(
    options: EarlyStoppingOptions, folder: Path
) -> Iterator[tuple[str, Prepared, Sequence[FinishedRun]]]:
    """Yield what is predicted, and the finished runs that held it out: given ones, then drawn ones."""
    for data_folder, runs_folder in zip(options.prepared, options.runs, strict=True):
        data = prepared.load(data_folder)
        runs = find_finished_runs(data, runs_folder)
        yield title(data.competition, [run.member.name for run in runs]), data, runs
    side, slides, tiles, detections = _SIDE, options.slides, options.tiles, _DETECTIONS
    if options.tiny:
        side, slides, tiles, detections = _TINY_SIDE, _TINY_COUNT, _TINY_COUNT, _TINY_DETECTIONS
    size = ensemble_data.Size(slides, side, slides, uneven=options.uneven)
    yield f"{slides} drawn slides", *ensemble_data.write(folder / "maps", size)
    large = ensemble_data.Size(
        options.large,
        _TINY_LARGE_SIDE if options.tiny else _LARGE_SIDE,
        options.large,
        uneven=options.uneven,
        cortex=_CORTEX,
        core=_LARGE_CORE // 2 if options.tiny else _LARGE_CORE,
    )
    yield f"{large.slides} drawn slides of {large.side} pixels", *ensemble_data.write(folder / "large", large)
    drawn = detection_data.Tiles(tiles, tiles, views=1, detections=detections, uneven=options.uneven)
    (folder / "detections").mkdir()
    yield f"{tiles} drawn tiles", *detection_data.write(folder / "detections", drawn)


def title(competition: str, members: Sequence[str]) -> str:
    """Return what rows are called: the competition, and the recipes whose runs are its ensemble.

    Args:
        competition: of the prepared data.
        members: names of finished runs, "unet-regnety16-tiny.fold0".
    """
    recipes = dict.fromkeys(member.rpartition(".")[0] or member for member in members)
    return f"{competition}: {', '.join(recipes)}"


def _rows(what: str, built: Built) -> list[list[str]]:
    passes = [len(item.rung.passes) for item in built.ladder.rungs]
    return [
        [
            what,
            f"{one.rung + 1} ({counted(passes[one.rung], 'pass', plural='passes')})",
            "-" if one.stop is None else f"{one.stop.below:.3f}",
            "-" if one.stop is None else f"{100 * one.stop.share:.0f} %",
            "-" if one.skip is None else f"{one.skip.below:.2g}",
            "-" if one.skip is None else f"{100 * one.skip.share:.0f} %",
            shown(one.score),
            shown(one.without),
            f"{100 * one.cost:.0f} %",
        ]
        for one in built.reached
    ]
