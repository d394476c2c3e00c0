"""`python -m benchmarks ensemble`: time and memory of the ensemble step on predictions of full size."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import child, detection_data, machine
from benchmarks.detection_data import Tiles
from benchmarks.ensemble_data import FOLDS, RECIPES, VIEWS, Size
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import EnsembleOptions
from kit.errors import KitError
from kit.local.console import console, show_table
from kit.local.wording import amount

HEAD = ("what", "value")
BLOCKS = {"maps": "ensemble", "detections": "ensemble-detections"}
_TINY = Size(slides=3, side=320, distinct=2)
_TINY_TILES = Tiles(count=4, distinct=2, views=1, detections=20)


def run(options: EnsembleOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Write predictions, tune an ensemble from them in a process of its own, and print time, memory, scores.

    Args:
        options: of the command line.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.

    Raises:
        KitError: the disk is too small, or the step failed.
    """
    maps = Size(options.slides, options.side, min(options.distinct, options.slides))
    tiles = Tiles(options.tiles, min(100, options.tiles))
    if options.tiny:
        maps, tiles = _TINY, _TINY_TILES
    size = maps if options.part == "maps" else tiles
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="ensemble-bench-") as name:
        if options.part == "maps":
            _require_disk(Path(name), maps)
        request = {"folder": name, "part": options.part, "processes": options.processes, **vars(size)}
        answer = child.call("benchmarks.ensemble_step", request, what="the ensemble step")
    rows = [
        *(_of_maps(maps) if options.part == "maps" else _of_tiles(tiles)),
        ["processes", f"{options.processes}"],
        ["seconds", f"{answer['seconds']:.0f}"],
        ["seconds of CPU", f"{answer['cpu_seconds']:.0f}"],
        ["peak memory of all processes", amount(answer["peak_bytes"])],
        *answer["rungs"],
    ]
    show_table(BLOCKS[options.part], HEAD, rows)
    if options.write_docs:
        how = machine.made_by(command)
        write_block(docs, BLOCKS[options.part], f"{table(HEAD, rows)}\n\n{how}")


def _require_disk(folder: Path, size: Size) -> None:
    needed = size.distinct * len(RECIPES) * len(VIEWS) * size.side**2 * 2
    if shutil.disk_usage(folder).free < 1.1 * needed:
        raise KitError(
            f"the maps need {amount(needed)}",
            where=folder,
            fix="choose another --folder, or less --distinct",
        )
    console().print(f"write {amount(needed)} of maps to {folder}", markup=False)


def _of_maps(size: Size) -> list[list[str]]:
    read = 2 * size.slides * len(RECIPES) * len(VIEWS) * size.side**2 * 2
    return [
        [
            "slides",
            f"{size.slides} of {size.side} x {size.side} pixels, {size.distinct} of them distinct files",
        ],
        [
            "members x views",
            f"{len(RECIPES) * FOLDS} x {len(VIEWS)}; a slide has the maps of {len(RECIPES)} x {len(VIEWS)}",
        ],
        ["read, every map twice", amount(read)],
    ]


def _of_tiles(size: Tiles) -> list[list[str]]:
    recipes, views = len(detection_data.RECIPES), size.views
    return [
        ["tiles", f"{size.count} of 512 x 512 pixels, {size.distinct} of them distinct files"],
        [
            "members x views",
            f"{recipes * detection_data.FOLDS} x {views}; a tile has the detections of {recipes} x {views}",
        ],
    ]
