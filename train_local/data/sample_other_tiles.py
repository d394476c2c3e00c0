"""Tiles for the datasets 2 (less certain labels) and 3 (no labels) of the Vasculature competition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEIGHT, _WIDTH = 256, 320
_PER_IMAGE = 2
_LEAST_PIXELS = 20
"""A nucleus that the tile's edge cuts down to fewer pixels is left out."""
_APART = 100_000
"""Where these tiles begin in their WSIs: far from those of dataset 1."""
_SLIDE = "CMU-1-Small-Region"
_UNLABELLED = {6: (512, 1280), 7: (1792, 2560)}
"""`source_wsi` -> rows of the slide that its tiles are taken from."""
_COLUMNS = (960, 1280)


@dataclass(frozen=True)
class OtherTile:
    """A tile of dataset 2 or 3.

    Attributes:
        id: in the sample.
        dataset: 2 or 3.
        source_wsi: of the tile.
        i: column of its corner in the WSI.
        j: row of its corner.
        image: (H, W, 3).
        labels: (H, W), 0 or the number of a nucleus; None without labels.
    """

    id: str
    dataset: int
    source_wsi: int
    i: int
    j: int
    image: NDArray[np.uint8]
    labels: NDArray[np.uint16] | None


def make(nuclei: Path, slide: Path) -> list[OtherTile]:
    """Return all tiles, sorted by dataset and id.

    Args:
        nuclei: holds `gray_images/<id>.png` and `gray_labels/<id>.png`.
        slide: holds an Aperio slide without labels.
    """
    return sorted([*_gray(nuclei), *_slide(slide)], key=lambda tile: (tile.dataset, tile.id))


def _gray(source: Path) -> Iterator[OtherTile]:
    """Of each grey image the two places, on a grid of tiles, with the most nuclei."""
    from PIL import Image

    paths = sorted((source / "gray_images").glob("*.png"))
    for number, path in enumerate(paths):
        with Image.open(path) as image, Image.open(source / "gray_labels" / path.name) as labels:
            image_HW, labels_HW = np.array(image), np.array(labels, np.uint16)
        height, width = image_HW.shape
        places = [
            (top, left)
            for top in range(0, height - _HEIGHT + 1, _HEIGHT)
            for left in range(0, width - _WIDTH + 1, _WIDTH)
        ]
        cut = {place: _whole_enough(_area(labels_HW, *place)) for place in places}
        best = sorted(places, key=lambda place: (-len(np.unique(cut[place])), place))[:_PER_IMAGE]
        for part, (top, left) in enumerate(sorted(best)):
            image_HWC = np.repeat(_area(image_HW, top, left)[:, :, None], 3, axis=2)
            wsi = 3 if number < len(paths) // 2 else 4
            # Source images lie one after another, half an image apart.
            column = _APART + number * (width + width // 2) + left
            yield OtherTile(f"{path.stem[:10]}g{part}", 2, wsi, column, top, image_HWC, cut[top, left])


def _slide(source: Path) -> Iterator[OtherTile]:
    import tifffile

    with tifffile.TiffFile(source / f"{_SLIDE}.svs") as tiff:
        image_HWC: NDArray[np.uint8] = tiff.pages[0].asarray()
    for wsi, (first, last) in _UNLABELLED.items():
        for top in range(first, last - _HEIGHT, _HEIGHT):
            for left in _COLUMNS:
                tile = np.ascontiguousarray(_area(image_HWC, top, left))
                yield OtherTile(f"cmu1{top:04}{left:04}", 3, wsi, left, top, tile, None)


def _area(array: NDArray[Any], top: int, left: int) -> NDArray[Any]:
    return array[top : top + _HEIGHT, left : left + _WIDTH]


def _whole_enough(labels_HW: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Remove what is too small, and number the nuclei that remain from 1."""
    values, counts = np.unique(labels_HW, return_counts=True)
    kept = values[(counts >= _LEAST_PIXELS) & (values > 0)]
    renumbered = np.zeros(int(values.max()) + 1, np.uint16)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    return renumbered[labels_HW]
