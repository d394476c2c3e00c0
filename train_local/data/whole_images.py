"""Whole images resized to one square, as uncompressed arrays: the originals, and copies in other stains."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.artefacts import write_bytes
from kit.competitions.images_format import SUFFIXES
from kit.errors import KitError
from kit.file_names import file_name
from kit.images.image_protocols import Reading
from kit.images.reading import ColourTiffs
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar
from kit.masks import rle
from kit.predictions import SemanticMask

_STAIN_SUFFIXES = (".png", ".jpg", ".jpeg", *SUFFIXES)


@dataclass(frozen=True)
class WholeFiles:
    """Where the arrays of one image lie.

    Attributes:
        image: uint8 (side, side, 3) RGB.
        mask: uint8 (side, side), 0 or 255; the copies in other stains share that of the original.
    """

    image: Path
    mask: Path


def files_of(root: Path, side: int, image_id: str, stain: str = "") -> WholeFiles:
    """Return where the arrays of an image lie in the prepared folder.

    Args:
        root: of the prepared folder.
        side: of the arrays.
        image_id: of the image.
        stain: name of the copy; empty for the original.
    """
    folder = root / "whole" / f"{side}"
    name = file_name(image_id)
    return WholeFiles(folder / (stain or "original") / f"{name}.npy", folder / "mask" / f"{name}.npy")


def find_stains(folder: Path, ids: list[str]) -> dict[str, dict[str, Path]]:
    """Return stain -> id -> file of the copies in a folder: DIR/<stain>/<id>.png (or .tif, .jpg).

    Raises:
        KitError: there are none, or a stain lacks the copy of an image.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise KitError(
            "no stained copies are here",
            where=folder,
            fix="give --stains a folder with one folder for each stain, and <id>.png in each",
        )
    found = {}
    for stain in names:
        present = {
            path.stem: path
            for path in sorted((folder / stain).iterdir())
            if path.suffix.lower() in _STAIN_SUFFIXES
        }
        missing = [image_id for image_id in ids if image_id not in present]
        if missing:
            raise KitError(
                f"stain {stain} lacks {len(missing)} of {len(ids)} images, the first is {missing[0]}",
                where=folder / stain,
                fix="add the copies, or take the folder out",
            )
        found[stain] = {image_id: present[image_id] for image_id in ids}
    return found


def is_current(path: Path, inputs: dict[str, str]) -> bool:
    """Whether an array exists, is undamaged and was made from these inputs."""
    try:
        return bool(read_sidecar(path, kind="whole image")["inputs"] == inputs)
    except KitError:
        return False


def write_image(
    path: Path,
    source: Path,
    side: int,
    *,
    reading: Reading | None,
    inputs: dict[str, str],
    code_version: str,
) -> None:
    """Write an image as an array of `side` x `side`; it is squeezed if it is not square, as published.

    Args:
        path: of the array.
        source: the image file.
        side: rows and columns of the array.
        reading: reads the images of the competition; None for a stained copy.
        inputs: hashes that the sidecar records.
        code_version: that the sidecar records.

    Raises:
        KitError: it cannot be read, or the disk is full.
    """
    image_HWC = read_image(source, reading)
    resized = cv2.resize(image_HWC, (side, side), interpolation=_interpolation(image_HWC.shape[0], side))
    _write(path, np.asarray(resized, np.uint8), side, inputs, code_version)


def write_mask(
    path: Path, mask: SemanticMask, side: int, *, inputs: dict[str, str], code_version: str
) -> None:
    """Write a mask: a pixel is foreground where half of what it covers is.

    Raises:
        KitError: the disk is full.
    """
    full_HW = rle.decode(mask.runs, mask.height, mask.width).astype(np.uint8) * 255
    resized = cv2.resize(full_HW, (side, side), interpolation=_interpolation(mask.height, side))
    _write(path, np.where(np.asarray(resized) > 127, 255, 0).astype(np.uint8), side, inputs, code_version)


def read_image(path: Path, reading: Reading | None = None) -> NDArray[np.uint8]:
    """Return the pixels of an image, (H, W, 3).

    Args:
        path: the file.
        reading: reads the images of the competition; None for any other picture, such as a stained copy.

    Raises:
        KitError: the file is no image.
    """
    if reading is not None or path.suffix.lower() in SUFFIXES:
        with (reading or ColourTiffs()).open(path) as slide:
            return slide.read_band(0, slide.height)
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except OSError as error:
        raise KitError(f"no image: {error}", where=path, fix="put the stained copy in place again") from error


def _interpolation(height: int, side: int) -> int:
    # Area means when it shrinks; they would be blocks when it grows.
    return cv2.INTER_AREA if side <= height else cv2.INTER_LINEAR


def _write(
    path: Path, array: NDArray[np.uint8], side: int, inputs: dict[str, str], code_version: str
) -> None:
    sidecar_path(path).unlink(missing_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())
    write_sidecar(path, kind="whole image", config={"side": side}, inputs=inputs, code_version=code_version)
