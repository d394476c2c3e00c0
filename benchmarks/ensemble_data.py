"""Stored predictions of a full-size kidney ensemble without networks: structured noise around true discs."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.stored_runs import Recipe, Stored
from kit.inference.store import levels_of, write_map
from kit.masks import rle
from train_local.data.prepared import Prepared
from train_local.ensemble.finished_runs import FinishedRun

RECIPES = {
    "unet-regnety16": (0.9, 1.0),
    "unet-regnetx32": (1.0, 1.4),
    "unetplusplus-regnety16-scse": (0.8, 2.9),
    "unet-regnety16-scse": (1.1, 1.1),
}
"""Recipe -> standard deviation of its own errors in logits, seconds per megapixel."""
VIEWS = ("identity", "hflip", "rot90", "transpose")
FOLDS = 4
_COARSE = 8
"""Errors are drawn on a grid of every 8th pixel and made smooth."""
_SHARED, _OF_VIEW = 1.2, 0.4
"""Standard deviation of the errors that all members share, and of those of a view."""
_BAND = 256


@dataclass(frozen=True)
class Size:
    """The size of the data.

    Attributes:
        slides: number of slides.
        side: pixels per side, at training scale.
        distinct: slides with maps of their own; further ones have hard links to the same files, and a truth
            of their own.
        uneven: standard deviation of the logarithm of a factor on all errors of a slide: some are harder.
        cortex: share of the columns, from the left, that discs lie in: in the cortex of a kidney.
        core: pixels per side of a window's core.
    """

    slides: int
    side: int
    distinct: int
    uneven: float = 0.0
    cortex: float = 1.0
    core: int = 1536


def write(folder: Path, size: Size) -> tuple[Prepared, list[FinishedRun]]:
    """Write slides, truth and maps; return the prepared data and the runs that held them out.

    Every slide was held out by one fold of each recipe: 4 members x 4 views, 16 maps.
    """
    ids = [f"slide{number:02d}" for number in range(size.slides)]
    fields = [_field(number, size.side, size.cortex) for number in range(size.distinct)]
    rows = [("id", "encoding")]
    (folder / "train").mkdir(parents=True, exist_ok=True)
    for number, image_id in enumerate(ids):
        mask_HW = _truth(fields[number % size.distinct], size.side, number)
        rows.append((image_id, rle.to_kaggle(rle.encode(mask_HW))))
        # Only the header is read; the pixels are a hole in the file and take no place on the disk.
        image = folder / "train" / f"{image_id}.tiff"
        tifffile.memmap(image, shape=(size.side, size.side, 3), dtype=np.uint8, photometric="rgb")
    with (folder / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    for number, field in enumerate(fields):
        for recipe, view in _passes():
            own, shown = list(RECIPES).index(recipe), VIEWS.index(view)
            path = _path(folder, recipe, view, ids[number])
            factor = harder(number, size.uneven)
            _write_map(path, field, own, shown, seed=number, side=size.side, factor=factor)
    for number, image_id in enumerate(ids[size.distinct :], size.distinct):
        for recipe, view in _passes():
            os.link(
                _path(folder, recipe, view, ids[number % size.distinct]),
                _path(folder, recipe, view, image_id),
            )
    stored = Stored(
        folder=folder,
        competition="kidney",
        kind="semantic",
        ids=ids,
        side=size.side,
        folds=FOLDS,
        inference={"core": size.core, "context": size.core // 4, "scale": 1 / 3},
    )
    runs = stored.runs(
        [Recipe(name=name, network=name, seconds=seconds) for name, (_, seconds) in RECIPES.items()],
        VIEWS,
        partial(_path, folder),
    )
    return stored.prepared(split="group", suffix=".tiff", organ="kidney", source="Hubmap"), runs


def _passes() -> Iterator[tuple[str, str]]:
    return ((recipe, view) for recipe in RECIPES for view in VIEWS)


def _path(folder: Path, recipe: str, view: str, image_id: str) -> Path:
    path = folder / "maps" / recipe / view / f"{image_id}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _field(number: int, side: int, cortex: float) -> NDArray[np.float32]:
    """Distances from the borders of discs on the coarse grid, in coarse pixels, positive inside."""
    random, coarse = np.random.default_rng(number), -(-side // _COARSE)
    mask_HW = np.zeros((coarse, coarse), np.uint8)
    for _ in range(max(3, int(cortex * side * side) // 600_000)):
        centre = (int(random.integers(int(cortex * coarse))), int(random.integers(coarse)))
        radius = int(random.uniform(0.04, 0.1) * min(coarse, 120))
        cv2.circle(mask_HW, centre, max(radius, 2), 1, -1)
    inside = cv2.distanceTransform(mask_HW, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - mask_HW, cv2.DIST_L2, 5)
    return np.asarray(inside - outside, np.float32)


def _noise(seed: list[int], side: int, smooth: float) -> NDArray[np.float32]:
    """Smooth noise of standard deviation 1 on the coarse grid."""
    noise_HW = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise_HW, (0, 0), smooth)
    return np.asarray(blurred / blurred.std(), np.float32)


def _truth(field_HW: NDArray[np.float32], side: int, number: int) -> NDArray[np.bool_]:
    """The discs with borders that an annotator drew in his own way."""
    drawn = field_HW + 0.6 * _noise([number, 1], len(field_HW), 5)
    return np.asarray(cv2.resize(drawn, (side, side)) > 0, bool)


def harder(number: int, uneven: float) -> float:
    """Return by how much all predictions of an image are worse than of others, 1 on average of logarithms."""
    return float(np.exp(uneven * np.random.default_rng([number, 5]).standard_normal()))


def _write_map(  # what a map depends on
    path: Path, field_HW: NDArray[np.float32], own: int, view: int, *, seed: int, side: int, factor: float
) -> None:
    """Write the map of recipe number `own` under view number `view`."""
    coarse = len(field_HW)
    noise_HW = _SHARED * _noise([seed, 2], coarse, 6)
    noise_HW += list(RECIPES.values())[own][0] * _noise([seed, 3, own], coarse, 4)
    noise_HW += _OF_VIEW * _noise([seed, 4, own, view], coarse, 2)
    logit_HW = 1.5 * field_HW + np.float32(factor) * noise_HW
    rows = _BAND // _COARSE
    with write_map(path, side, side, "uint16") as writer:
        for top in range(0, coarse, rows):
            part_HW = logit_HW[top : top + rows]
            height = min(_BAND, side - top * _COARSE)
            fine_HW = cv2.resize(part_HW, (coarse * _COARSE, len(part_HW) * _COARSE))[:height, :side]
            level_HW = levels_of(np.dtype(np.uint16)) / (1 + np.exp(-np.clip(fine_HW, -30, 30)))
            writer.append(np.ascontiguousarray(level_HW.astype("<u2")))
