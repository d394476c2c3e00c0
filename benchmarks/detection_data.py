"""Stored detections of a full-size vasculature ensemble without networks: true ellipses, missed and imagined.

Some vessels are hard and missed by most recipes, some things look like vessels to all recipes, and each view
has errors of its own. So further recipes and views gain less and less, as real ones do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.ensemble_data import harder
from benchmarks.stored_runs import Recipe, Stored
from kit.inference.store import CodedDetections, save_detections
from kit.masks import coco
from train_local.data.prepared import Prepared
from train_local.ensemble.finished_runs import FinishedRun

RECIPES = {
    "detectors-r50": (0.35, 1.0, "detectors-r50"),
    "detectors-x101": (0.30, 1.3, "detectors-x101"),
    "cbnetv2-swin-b": (0.27, 3.0, "cbnetv2-swin-b"),
    "vit-adapter-l-adamw": (0.28, 4.0, "vit-adapter-l"),
    "vit-adapter-l-sgd": (0.30, 4.0, "vit-adapter-l"),
}
"""Recipe -> share of vessels it misses, seconds per megapixel, network."""
VIEWS = ("identity", "hflip", "vflip", "rot180")
FOLDS = 5
SIDE = 512

Ellipse = NDArray[np.float64]
"""Centre x, y and half axes x, y, pixels."""


@dataclass(frozen=True)
class Tiles:
    """The size of the data.

    Attributes:
        count: number of tiles.
        distinct: tiles with detections of their own; further ones have hard links to the same files.
        views: of each recipe, the first of `VIEWS`.
        detections: of each recipe under each view in each tile; published: 100.
        uneven: standard deviation of the logarithm of a factor on what is missed and imagined in a tile.
    """

    count: int
    distinct: int
    views: int = len(VIEWS)
    detections: int = 100
    uneven: float = 0.0


def write(folder: Path, size: Tiles) -> tuple[Prepared, list[FinishedRun]]:
    """Write tiles, truth and detections; return the prepared data and the runs that held the tiles out.

    Every tile was held out by one fold of each recipe: 5 members x 4 views, 20 files.
    """
    ids = [f"tile{number:04d}" for number in range(size.count)]
    (folder / "train").mkdir(parents=True)
    pixels = folder / "train" / f"{ids[0]}.tif"
    tifffile.imwrite(pixels, np.zeros((SIDE, SIDE, 3), np.uint8), photometric="rgb")
    lines = []
    for number, image_id in enumerate(ids):
        if number < size.distinct:
            true = _write_tile(folder, image_id, number, size)
            lines.append(_polygons(true))
        else:
            for path in _files(folder, ids[number % size.distinct], size):
                os.link(path, path.with_name(f"{image_id}.npz"))
        if number:
            os.link(pixels, folder / "train" / f"{image_id}.tif")
    text = [
        json.dumps({"id": image_id, "annotations": lines[number % size.distinct]})
        for number, image_id in enumerate(ids)
    ]
    (folder / "polygons.jsonl").write_text("\n".join(text) + "\n")
    stored = Stored(
        folder=folder,
        competition="vasculature",
        kind="instance",
        ids=ids,
        side=SIDE,
        folds=FOLDS,
        inference={"size": 2 * SIDE},
    )
    runs = stored.runs(
        [
            Recipe(name=name, network=network, seconds=seconds)
            for name, (_, seconds, network) in RECIPES.items()
        ],
        VIEWS[: size.views],
        lambda recipe, view, image_id: folder / "found" / recipe / view / f"{image_id}.npz",
    )
    return stored.prepared(split="stratified", suffix=".tif"), runs


def _files(folder: Path, image_id: str, size: Tiles) -> list[Path]:
    views = VIEWS[: size.views]
    return [folder / "found" / recipe / view / f"{image_id}.npz" for recipe in RECIPES for view in views]


def _write_tile(folder: Path, image_id: str, number: int, size: Tiles) -> list[Ellipse]:
    """Write the detections of a tile; return its vessels."""
    random = np.random.default_rng(number)
    true = [_ellipse(random) for _ in range(int(random.integers(4, 20)))]
    hard = random.random(len(true))
    factor = harder(number, size.uneven)
    alike = [_ellipse(random) for _ in range(round(size.detections / 4 * min(factor, 3)))]
    paths = iter(_files(folder, image_id, size))
    for place, (miss, *_) in enumerate(RECIPES.values()):
        luck = np.random.default_rng([number, place]).random(len(true))
        seen = (hard + luck) / 2 > miss * factor
        for view in range(size.views):
            own = np.random.default_rng([number, place, view])
            found = [
                (_moved(one, own), own.beta(4, 2))
                for one, there in zip(true, seen, strict=True)
                if there or own.random() < 0.2
            ]
            found += [(_moved(one, own), own.beta(1.2, 6)) for one in alike]
            while len(found) < size.detections:
                found.append((_ellipse(own), 0.001 + 0.9 * own.beta(0.4, 12)))
            path = next(paths)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_detections(path, _coded(sorted(found, key=lambda item: -item[1])))
    return true


def _ellipse(random: np.random.Generator) -> Ellipse:
    return np.concatenate([random.uniform(30, SIDE - 30, 2), random.uniform(6, 28, 2)])


def _moved(one: Ellipse, random: np.random.Generator) -> Ellipse:
    error = random.normal(0, 0.08, 4)
    x, y, width, height = one * [1, 1, 1 + error[2], 1 + error[3]]
    return np.array([x + 20 * error[0], y + 20 * error[1], width, height])


def _coded(found: Sequence[tuple[Ellipse, float]]) -> CodedDetections:
    boxes = [[x - a, y - b, x + a, y + b] for (x, y, a, b), _ in found]
    scores = np.array([score for _, score in found])
    masks = [coco.from_runs(_runs_of(one), SIDE, SIDE) for one, _ in found]
    return CodedDetections(SIDE, SIDE, np.clip(np.array(boxes), 0, SIDE), scores, masks)


def _runs_of(one: Ellipse) -> NDArray[np.int64]:
    """Return start and length of each column of an ellipse, column-major; at least one pixel."""
    x, y, a, b = one
    columns = np.arange(max(int(np.ceil(x - a)), 0), min(int(x + a), SIDE - 1) + 1)
    half = b * np.sqrt(np.maximum(1 - ((columns - x) / a) ** 2, 0))
    top = np.clip(np.round(y - half), 0, SIDE - 1).astype(np.int64)
    bottom = np.clip(np.round(y + half), top + 1, SIDE).astype(np.int64)
    return np.stack([columns * SIDE + top, bottom - top], axis=1)


def _polygons(true: Sequence[Ellipse]) -> list[dict[str, object]]:
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = [
        np.stack([x + a * np.cos(turns), y + b * np.sin(turns)], axis=1).round().astype(int)
        for x, y, a, b in true
    ]
    return [{"type": "blood_vessel", "coordinates": [ring.tolist()]} for ring in rings]
