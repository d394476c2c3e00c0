"""Whole images in the layout of the Body competition; the names of three organs stand for three looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.masks import rle
from train_local.data.sample_kidney import chunky_tiff, half, read_level, read_mask, table
from train_local.data.sample_vasculature import parts_of_images, read_png, stain_of

_TRAIN, _TEST = 5, 1
"""Images of each organ; from 5 on, a published fold (a fifth of an organ, rounded down) holds out one."""
_ORGANS = {"purple on purple": "kidney", "purple on white": "spleen"}
"""Look of nuclei tiles -> the organ it stands for."""
_REGIONS = {
    "prostate": (
        ("1008", 0, 0),
        ("1008", 0, 640),
        ("1008", 640, 320),
        ("1019", 0, 0),
        ("1019", 640, 640),
        ("1015", 200, 900),
    )
}
"""Organ -> squares of tumour regions at half resolution (region, top, left); the last one is held out."""
_SIDE = 640
_PIXEL_SIZE = 0.4
"""That of the competition's training images. The sources do not tell theirs."""
_COLUMNS = ("id", "organ", "data_source", "img_height", "img_width", "pixel_size", "tissue_thickness")


@dataclass(frozen=True)
class _Labelled:
    """One image with its mask."""

    id: str
    organ: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    def row(self) -> list[object]:
        """Its cells of `_COLUMNS`."""
        return [self.id, self.organ, "HPA", *self.mask.shape, _PIXEL_SIZE, 4]

    def rle(self) -> str:
        """Its truth."""
        return rle.to_kaggle(rle.encode(self.mask))


def make(regions: Path, nuclei: Path) -> dict[str, bytes]:
    """Return all files of the sample.

    Args:
        regions: holds `<n>.tif` (pyramid) and `<n>_mask.png` (1 bit, full resolution).
        nuclei: holds `images/<id>.png` and `labels/<id>.png` (16 bit, 1..N one nucleus each).

    Returns:
        File name -> content.
    """
    of_organ = {**_of_nuclei(nuclei), **_of_regions(regions)}
    train: list[_Labelled] = []
    test: list[_Labelled] = []
    for number, (organ, pairs) in enumerate(sorted(of_organ.items())):
        for place, (image_HWC, mask_HW) in enumerate(pairs):
            # 10001 to 10006 are the first organ's, 10101 to 10106 the second's.
            item = _Labelled(str(10001 + 100 * number + place), organ, image_HWC, mask_HW)
            (train if place < _TRAIN else test).append(item)
    files = {
        f"{part}_images/{item.id}.tiff": chunky_tiff(item.image)
        for part, items in (("train", train), ("test", test))
        for item in items
    }
    files["train.csv"] = table(
        (*_COLUMNS, "rle", "age", "sex"), [[*item.row(), item.rle(), "", ""] for item in train]
    )
    files["test.csv"] = table(_COLUMNS, [item.row() for item in test])
    files["sample_submission.csv"] = table(("id", "rle"), [(item.id, "") for item in test])
    files["solution.csv"] = table(("id", "rle"), [(item.id, item.rle()) for item in test])
    return files


_Pair = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def _of_regions(source: Path) -> dict[str, list[_Pair]]:
    """Squares of tumour regions; the held-out one is of a region of its own."""
    made = {}
    for organ, squares in _REGIONS.items():
        pairs = []
        for region, top, left in squares:
            area = (slice(top, top + _SIDE), slice(left, left + _SIDE))
            mask_HW = half(read_mask(source / f"{region}_mask.png"))
            pairs.append((read_level(source / f"{region}.tif")[area], mask_HW[area]))
        made[organ] = pairs
    return made


def _of_nuclei(source: Path) -> dict[str, list[_Pair]]:
    """Images of 640 x 512, each put together of four tiles; every nucleus is foreground."""
    images = {path.stem: read_png(path) for path in sorted((source / "images").glob("*.png"))}
    made: dict[str, list[_Pair]] = {organ: [] for organ in _ORGANS.values()}
    for parts in parts_of_images(images):
        organ = _ORGANS.get(stain_of([images[key] for key in parts]))
        if organ is None or len(parts) < 4 or len(made[organ]) == _TRAIN + _TEST:
            continue
        labels = {key: read_png(source / "labels" / f"{key}.png") for key in parts}
        made[organ].append((_joined(images, parts), _joined(labels, parts) > 0))
    return made


def _joined(
    tiles: Mapping[str, NDArray[np.uint8]], parts: Mapping[str, tuple[int, int]]
) -> NDArray[np.uint8]:
    """The image of four tiles."""
    at = {place: tiles[key] for key, place in parts.items()}
    return np.concatenate([np.concatenate([at[row, 0], at[row, 1]], axis=1) for row in (0, 1)])
