"""Three large tissue regions in the layout of the Kidney competition and the three TIFF layouts it had."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.masks import rle

TRAIN = ("1008", "1019")
TEST = ("1015",)
_LEVEL = 1
"""Page of the source pyramid: half resolution."""
_TILE = 256


def make(source: Path) -> dict[str, bytes]:
    """Return all files of the sample.

    Args:
        source: holds `<n>.tif` (pyramid) and `<n>_mask.png` (1 bit, full resolution).

    Returns:
        File name -> content.
    """
    files: dict[str, bytes] = {}
    encodings: dict[str, str] = {}
    sizes: list[tuple[str, int, int]] = []
    for number in (*TRAIN, *TEST):
        image_HWC = read_level(source / f"{number}.tif")
        # The image is page 1 of the pyramid, which is half as wide and high as the mask.
        mask_HW = half(read_mask(source / f"{number}_mask.png"))
        if mask_HW.shape != image_HWC.shape[:2]:
            raise ValueError(f"{number}: image {image_HWC.shape} and mask {mask_HW.shape} differ in size")
        split = "train" if number in TRAIN else "test"
        files[f"{split}/{number}.tiff"] = _WRITERS[number](image_HWC)
        encodings[number] = rle.to_kaggle(rle.encode(mask_HW))
        sizes.append((f"{number}.tiff", image_HWC.shape[1], image_HWC.shape[0]))
    files["train.csv"] = table(("id", "encoding"), [(number, encodings[number]) for number in TRAIN])
    files["solution.csv"] = table(("id", "encoding"), [(number, encodings[number]) for number in TEST])
    files["sample_submission.csv"] = table(("id", "predicted"), [(number, "") for number in TEST])
    header = ("image_file", "width_pixels", "height_pixels")
    files["HuBMAP-20-dataset_information.csv"] = table(header, sizes)
    return files


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Return the content of a CSV file."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    return stream.getvalue().encode()


def read_level(path: Path) -> NDArray[np.uint8]:
    """Return a region at half resolution, (H, W, 3)."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        image_HWC: NDArray[np.uint8] = tiff.pages[_LEVEL].asarray()
    return image_HWC


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Return a 1-bit PNG, (H, W)."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("1"), bool)


def half(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Half resolution: foreground where at least two of the four pixels are."""
    height, width = mask_HW.shape
    foreground_HW: NDArray[np.intp] = mask_HW.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3))
    return foreground_HW >= 2


def _tiff(array: NDArray[np.uint8], quality: int, **options: Any) -> bytes:
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        array,
        tile=(_TILE, _TILE),
        compression="jpeg",
        compressionargs={"level": quality},
        software=False,
        **options,
    )
    return stream.getvalue()


def chunky_tiff(image_HWC: NDArray[np.uint8]) -> bytes:
    """Height x width x 3 in one page, tiled: what most TIFFs look like."""
    return _tiff(image_HWC, 85, photometric="rgb", metadata=None)


def _planar(image_HWC: NDArray[np.uint8]) -> bytes:
    """1 x 1 x 3 x height x width: separate colour planes in one page and two leading axes of length one."""
    planes = np.ascontiguousarray(image_HWC.transpose(2, 0, 1))[None, None]
    return _tiff(planes, 75, photometric="rgb", planarconfig="separate")


def _pages(image_HWC: NDArray[np.uint8]) -> bytes:
    """Three single-band pages, which GDAL shows as three subdatasets."""
    planes = np.ascontiguousarray(image_HWC.transpose(2, 0, 1))
    return _tiff(planes, 75, photometric="minisblack")


_WRITERS = {"1008": chunky_tiff, "1019": _planar, "1015": _pages}
"""Colour planes compressed one by one take more space, hence their lower quality."""
