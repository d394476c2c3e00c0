"""Stained nuclei tiles in the layout of the Vasculature competition: every nucleus stands for a vessel."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train_local.data import sample_other_tiles
from train_local.data.sample_kidney import table
from train_local.data.seams import Position, source_images

_ROWS, _COLUMNS = 2, 2
"""The tiles are quarters of images of 640 x 512."""
_SEAM_LIMIT = 2.2
"""Real continuations lie below 1.4; where two halves might belong together they are kept on one side."""
_HELD_OUT = 0.25
_QUALITY = 90
STAINS = {"purple on purple": 1, "purple on white": 2, "pink and purple": 3}
"""Look -> the `source_wsi` it stands for."""


@dataclass(frozen=True)
class _Tile:
    source_id: str
    source_wsi: int
    row: int
    column: int
    held_out: bool

    @property
    def id(self) -> str:
        """The id, shortened to the length of the competition's ids."""
        return self.source_id[:12]


def make(source: Path, slide: Path) -> dict[str, bytes]:
    """Return all files of the sample.

    Args:
        source: holds `images/<id>.png` and `labels/<id>.png` (16 bit, 1..N one nucleus each), and
            `gray_images` and `gray_labels` of the same form.
        slide: holds a slide without labels.

    Returns:
        File name -> content.
    """
    images = {path.stem: read_png(path) for path in sorted((source / "images").glob("*.png"))}
    tiles = plan(images)
    others = sample_other_tiles.make(source, slide)
    if len({tile.id for tile in tiles} | {tile.id for tile in others}) != len(tiles) + len(others):
        raise ValueError("shortened ids are not unique")
    polygons = {tile.id: _polygons(read_png(source / "labels" / f"{tile.source_id}.png")) for tile in tiles}
    files = {
        f"{'test' if tile.held_out else 'train'}/{tile.id}.tif": _tiff(images[tile.source_id])
        for tile in tiles
    }
    files |= {f"train/{tile.id}.tif": _tiff(tile.image) for tile in others}
    train = [tile for tile in tiles if not tile.held_out]
    test = [tile for tile in tiles if tile.held_out]
    more = {tile.id: _polygons(tile.labels) for tile in others if tile.labels is not None}
    files["polygons.jsonl"] = _jsonl({tile.id: polygons[tile.id] for tile in train} | more)
    files["solution.jsonl"] = _jsonl({tile.id: polygons[tile.id] for tile in test})
    files["tile_meta.csv"] = table(
        ("id", "source_wsi", "dataset", "i", "j"),
        [(tile.id, tile.source_wsi, 1, tile.column, tile.row) for tile in train]
        + [(tile.id, tile.source_wsi, tile.dataset, tile.i, tile.j) for tile in others],
    )
    columns = ("source_wsi", "age", "sex", "race", "height", "weight", "bmi")
    files["wsi_meta.csv"] = table(columns, [(wsi, *[""] * 6) for wsi in (1, 2, 3, 4)])
    files["sample_submission.csv"] = table(
        ("id", "height", "width", "prediction_string"),
        [(tile.id, *images[tile.source_id].shape[:2], "") for tile in test],
    )
    return files


def plan(images: Mapping[str, NDArray[np.uint8]]) -> list[_Tile]:
    """Return stain group, place and side of every tile; quarters of one image are always on one side.

    In each stain group a quarter of the source images (rounded) is held out: those whose ids have the lowest
    hashes. It is a random choice that anyone can repeat.

    Args:
        images: source id -> image_HWC.
    """
    # First find which tiles are quarters of one image, then group the images by stain, then hold out some
    # images of each group: so quarters of one image share a stain group and a side.
    groups: dict[str, list[dict[str, Position]]] = {stain: [] for stain in STAINS}
    for parts in parts_of_images(images):
        groups[stain_of([images[key] for key in parts])].append(parts)
    tiles = []
    for stain, members in groups.items():
        members.sort(key=lambda parts: hashlib.sha256(min(parts).encode()).hexdigest())
        held_out = int(_HELD_OUT * len(members) + 0.5)
        for index, parts in enumerate(members):
            for key, (row, column) in parts.items():
                height, width = images[key].shape[:2]
                # One blank tile between source images: neighbours in i and j are neighbours in tissue.
                left = (index * (_COLUMNS + 1) + column) * width
                tiles.append(_Tile(key, STAINS[stain], row * height, left, index < held_out))
    return sorted(tiles, key=lambda tile: tile.id)


def parts_of_images(images: Mapping[str, NDArray[np.uint8]]) -> list[dict[str, Position]]:
    """Return which tiles are quarters of one image, and where they lie in it; some images lack a quarter."""
    return source_images(images, rows=_ROWS, columns=_COLUMNS, limit=_SEAM_LIMIT)


def stain_of(tiles: Sequence[NDArray[np.uint8]]) -> str:
    """Return the look of one source image: by its mean colour, then by its brightest tenth."""
    pixels = np.concatenate([tile_HWC.reshape(-1, 3) for tile_HWC in tiles]).astype(np.float64)
    red, _, blue = pixels.mean(axis=0)
    if red > blue:
        return "pink and purple"
    # Backgrounds lie below 185 (purple) and above 209 (white).
    return "purple on white" if np.percentile(pixels.mean(axis=1), 90) > 200 else "purple on purple"


def read_png(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of a PNG; labels have 16 bits."""
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image)


def _tiff(image_HWC: NDArray[np.uint8]) -> bytes:
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        image_HWC,
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": _QUALITY},
        metadata=None,
        software=False,
    )
    return stream.getvalue()


def _polygons(label_HW: NDArray[Any]) -> list[list[list[int]]]:
    """One closed outline for each nucleus (its largest part), through the centres of its border pixels."""
    import cv2

    rings = []
    for value in range(1, int(label_HW.max()) + 1):
        mask_HW = (label_HW == value).astype(np.uint8)
        # A label may consist of several parts; the competition has one ring for each nucleus.
        contours, _ = cv2.findContours(mask_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        largest = max(contours, key=cv2.contourArea)
        rings.append(largest[:, 0, :].tolist())
    return rings


def _jsonl(polygons: Mapping[str, list[list[list[int]]]]) -> bytes:
    lines = [
        {"id": key, "annotations": [{"type": "blood_vessel", "coordinates": [ring]} for ring in rings]}
        for key, rings in polygons.items()
    ]
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
