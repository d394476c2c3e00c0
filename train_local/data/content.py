"""What an image file holds: its hash, and which files show the same picture under two ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kit.artefacts import sha256_bytes, sha256_file, sha256_json
from kit.errors import KitError
from kit.images.image_protocols import Reading
from train_local.data.folds import Fold

_ROWS = 64


@dataclass(frozen=True)
class Content:
    """Of one image file.

    Attributes:
        path: the file.
        sha256: of its bytes.
        height: rows.
        width: columns.
        pixels: hash of its size and its middle rows: equal for two files of one picture, however compressed
            (without loss).
    """

    path: Path
    sha256: str
    height: int
    width: int
    pixels: str


def content_of(path: Path, reading: Reading) -> Content:
    """Read a file.

    Raises:
        KitError: its pixels cannot be decoded.
    """
    with reading.open(path) as slide:
        middle = slide.height // 2
        band_HWC = slide.read_band(max(middle - _ROWS // 2, 0), min(middle + _ROWS // 2, slide.height))
        height, width = slide.height, slide.width
    pixels = sha256_bytes(f"{height}x{width}:".encode() + band_HWC.tobytes())
    return Content(path, hash_of(path), height, width, pixels)


def content_or_fault(path: Path, reading: Reading) -> Content | str:
    """Read a file that training can do without; return what is wrong with one that cannot be read."""
    try:
        return content_of(path, reading)
    except KitError as error:
        return str(error)


def hash_of(path: Path) -> str:
    """Return the hash of a file's bytes, or of all files in a folder of slices.

    Raises:
        KitError: it cannot be read.
    """
    try:
        if path.is_dir():  # of slices: their names and hashes
            files = sorted(file for file in path.rglob("*") if file.is_file())
            return sha256_json([[file.relative_to(path).as_posix(), sha256_file(file)] for file in files])
        return sha256_file(path)
    except OSError as error:
        raise KitError(
            f"cannot read it: {error.strerror or error}", where=path, fix="check the disk that it is on"
        ) from error


def duplicates(contents: Mapping[str, Content], reading: Reading) -> list[tuple[str, ...]]:
    """Return the ids of every picture that is there more than once."""
    alike: dict[str, list[str]] = defaultdict(list)
    for image_id, content in contents.items():
        alike[content.pixels].append(image_id)
    found: list[list[str]] = []
    for ids in alike.values():
        # Equal middle rows may be glass in both: only pictures that agree in all rows count.
        pictures: list[list[str]] = []
        for image_id in ids:
            equal = (known for known in pictures if _equal(contents[known[0]], contents[image_id], reading))
            known = next(equal, None)
            if known is None:
                pictures.append([image_id])
            else:
                known.append(image_id)
        found += pictures
    return [tuple(ids) for ids in found if len(ids) > 1]


def _equal(one: Content, other: Content, reading: Reading) -> bool:
    if one.sha256 == other.sha256:
        return True
    with reading.open(one.path) as first, reading.open(other.path) as second:
        return all(
            np.array_equal(first.read_band(y, end), second.read_band(y, end))
            for y in range(0, first.height, _ROWS)
            for end in (min(y + _ROWS, first.height),)
        )


def check_duplicates(found: Sequence[tuple[str, ...]], folds: Sequence[Fold], where: Path) -> list[str]:
    """Return an alarm for each picture with two ids.

    Raises:
        KitError: a fold trains on a picture that it validates under another id.
    """
    for ids in found:
        for fold in folds:
            train, valid = set(ids) & set(fold.train), set(ids) & set(fold.valid)
            if train and valid:
                raise KitError(
                    f"images {min(train)} and {min(valid)} show the same picture, and fold {fold.index} "
                    "trains on one and validates the other",
                    where=where,
                    fix="remove one of them from the table of the training images, or use --split group with "
                    "both in one group",
                )
    return [f"alarm: images {' and '.join(ids)} show the same picture" for ids in found]
