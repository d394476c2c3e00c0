"""One uncompressed array for each slide at training resolution, so that any crop is a short read.

The arrays are written by bands: a slide of any size needs the memory of a few hundred of its rows.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.artefacts import atomic_file, write_bytes
from kit.errors import KitError
from kit.file_names import file_name
from kit.images.image_protocols import Reading
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar
from kit.predictions import SemanticMask
from train_local.data.mask_bands import MaskBands
from train_local.data.objects import Objects
from train_local.recipes.settings import Data

BAND = 128
"""Rows of the array that are made at a time."""
_LAYOUT = 2
"""Of the files; arrays of another one are written again."""
BLOCK = 32
"""Side, in pixels of the array, of the squares whose grey values are summed to find blank tiles."""


@dataclass(frozen=True)
class SlideFiles:
    """Where one slide's arrays lie.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        mask: uint8 (H, W): covered part of each pixel, 255 is all of it.
        places: npz with `objects` float32 (N, 6): y0, x0, y1, x1, centre y, centre x of each connected
            object; `grey` float64 (rows, columns, 4): count, sum, sum of squares and number below 10 of the
            grey values in each BLOCK square; and `cover` float64 (rows, columns, 2): sum of squares of all
            channel values, and covered pixels.
    """

    image: Path
    mask: Path
    places: Path


def files_of(root: Path, reduction: int, image_id: str) -> SlideFiles:
    """Return where the arrays of a slide lie in the prepared folder."""
    place = root / "slides" / f"x{reduction}" / file_name(image_id)
    return SlideFiles(
        *(place.with_name(place.name + end) for end in (".image.npy", ".mask.npy", ".places.npz"))
    )


def reduction_of(scale: float) -> int:
    """Return how many source pixels, along one side, make one training pixel: 3 for a scale of 1/3.

    Raises:
        KitError: the scale is not one over an integer.
    """
    # 0.333 is taken as 1/3 (0.1 % off); 0.3 is refused, because it lies between 1/3 and 1/4.
    reduction = max(round(1 / scale), 1) if scale > 0 else 0
    if not reduction or abs(1 / reduction - scale) > 2e-3 * scale:
        raise KitError(
            f"training resolution {scale:g} is not one over an integer",
            where="scale",
            fix="use 1, 1/2, 1/3, ... so that every training pixel is the mean of n x n source pixels",
        )
    return reduction


def stored_reduction(data: Data) -> int:
    """Return the reduction at which the slides of a recipe are stored.

    Balanced tiles are cut at full resolution and resized one by one, to any size.

    Raises:
        KitError: as `reduction_of`.
    """
    return 1 if data.sampling == "balanced" else reduction_of(data.scale)


def _shrink(band: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """Means of `reduction` x `reduction` squares; 10 rows at 1/4 are mirrored to 12 first and give 3."""
    height, width = band.shape[:2]
    # -10 % 4 is 2: what is missing to the next multiple.
    pad = (-height % reduction, -width % reduction)
    if any(pad):
        band = cv2.copyMakeBorder(band, 0, pad[0], 0, pad[1], cv2.BORDER_REFLECT)
    size = (band.shape[1] // reduction, band.shape[0] // reduction)
    return np.asarray(cv2.resize(band, size, interpolation=cv2.INTER_AREA), np.uint8)


@contextlib.contextmanager
def _new_array(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Yield a memory-mapped uint8 array; its file appears when the block ends without an error."""
    advice = f"free {int(np.prod(shape)) >> 20} MiB on that disk or choose another --out"
    with atomic_file(path, fix=advice) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        # The file is only as long as the array so far, without blocks on the disk. If the disk were full when
        # a page is written, the process would die of a bus error; asking for the blocks now raises instead.
        with temporary.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, temporary.stat().st_size)
        yield array
        array.flush()


def _block_sums(layers_HWN: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of each BLOCK square of a band, (rows, columns, N).

    `reduceat` sums from each given place to the next: with the places 0, 32 and 64, the 80 columns of an
    array become three sums, over 32, 32 and 16 columns.
    """
    rows = np.add.reduceat(layers_HWN, np.arange(0, layers_HWN.shape[0], BLOCK), axis=0)
    return np.asarray(np.add.reduceat(rows, np.arange(0, layers_HWN.shape[1], BLOCK), axis=1))


def _grey_sums(band_HWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Count, sum, sum of squares and dark pixels of each BLOCK square of a band, (rows, columns, 4)."""
    grey_HW = band_HWC.mean(axis=2, dtype=np.float64)
    layers = np.stack([np.ones_like(grey_HW), grey_HW, grey_HW**2, (grey_HW < 10).astype(np.float64)], axis=2)
    return _block_sums(layers)


def _cover_sums(band_HWC: NDArray[np.uint8], mask_HW: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Sum of squares of all channel values, and covered pixels, of each BLOCK square, (rows, columns, 2)."""
    squares_HW = (band_HWC.astype(np.float64) ** 2).sum(axis=2)
    return _block_sums(np.stack([squares_HW, mask_HW / 255], axis=2))


def is_current(files: SlideFiles, inputs: dict[str, str]) -> bool:
    """Whether the arrays exist, are undamaged and were made from these inputs."""
    try:
        sidecars = [read_sidecar(path, kind="slide") for path in (files.image, files.mask, files.places)]
    except KitError:
        return False
    return all(
        sidecar["inputs"] == inputs and sidecar["config"].get("layout") == _LAYOUT for sidecar in sidecars
    )


def write(
    files: SlideFiles,
    source: Path,
    mask: SemanticMask,
    reduction: int,
    *,
    reading: Reading,
    inputs: dict[str, str],
    code_version: str,
) -> None:
    """Write the arrays of one slide.

    Args:
        files: where the arrays are written.
        source: the image file.
        mask: its truth, of the image's size.
        reduction: source pixels, along one side, in one training pixel.
        reading: reads the image.
        inputs: hashes the sidecars record.
        code_version: version that the sidecars record.

    Raises:
        KitError: the image cannot be read, the truth has another size, or the disk is full.
    """
    for path in (files.image, files.mask, files.places):
        sidecar_path(path).unlink(missing_ok=True)
    with reading.open(source) as slide:
        if (slide.height, slide.width) != (mask.height, mask.width):
            raise KitError(
                f"truth is for {mask.height} x {mask.width} pixels, "
                f"the image has {slide.height} x {slide.width}",
                where=source,
                fix="put the image the table describes back in place",
            )
        bands = MaskBands(mask)
        height, width = -(-slide.height // reduction), -(-slide.width // reduction)
        grey, cover = [], []
        objects = Objects(width)
        # One pass over the slide: each band is read once, reduced, and written to both arrays. A band of 128
        # training rows at 1/3 is 384 source rows.
        with (
            _new_array(files.image, (height, width, 3)) as image_HWC,
            _new_array(files.mask, (height, width)) as mask_HW,
        ):
            for row in range(0, height, BAND):
                y0, y1 = row * reduction, min((row + BAND) * reduction, slide.height)
                small_HWC = _shrink(slide.read_band(y0, y1), reduction)
                image_HWC[row : row + BAND] = small_HWC
                covered_HW = _shrink(bands.band(y0, y1), reduction)
                mask_HW[row : row + BAND] = covered_HW
                objects.add(row, covered_HW > 127)
                grey.append(_grey_sums(small_HWC))
                cover.append(_cover_sums(small_HWC, covered_HW))
    places: dict[str, NDArray[Any]] = {
        "objects": objects.found(),
        "grey": np.concatenate(grey),
        "cover": np.concatenate(cover),
    }
    _write_places(files.places, places)
    # The JSONs come last: `is_current` needs all three.
    for path in (files.image, files.mask, files.places):
        write_sidecar(
            path,
            kind="slide",
            config={"reduction": reduction, "layout": _LAYOUT},
            inputs=inputs,
            code_version=code_version,
        )


def _write_places(path: Path, places: dict[str, NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **places)
    write_bytes(path, buffer.getvalue())
