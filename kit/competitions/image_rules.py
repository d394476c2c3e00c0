"""What a definition says of images beyond "colour TIFFs that are named by their ids". Standard library only.

predict.py carries this module, and those that it names, only where the definition uses them (`modules`).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from kit.competitions.folder_paths import ID
from kit.competitions.images_format import IMAGE_SUFFIXES, SUFFIXES, Images
from kit.competitions.path_parts import PartsPattern
from kit.errors import KitError
from kit.images.any_reading import AnyReading
from kit.images.intensity_rule import intensity_of

PART = re.compile(r"\{(\w*)\}")
"""A named part of a path."""
_FORMATS = {
    "tiff": SUFFIXES,
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "dicom": (".dcm", ".dicom"),
}
_IMAGES = "kit.images"
_READERS = {"tiff": "tiff_by_rule", "png": "png_jpeg", "jpeg": "png_jpeg", "dicom": "dicom"}
"""Format -> module of `kit.images` that reads it."""


def formats(images: Images) -> set[str]:
    """Return the formats that a definition names."""
    return {format_of(key, path, images) for key, path in (("train", images.train), ("test", images.test))}


def reading_of(images: Images) -> AnyReading:
    """Return what reads the images of a definition."""
    return AnyReading(
        formats=tuple(sorted(formats(images))),
        intensity=intensity_of(images.intensity),
        white_is_zero=images.white_is_zero,
        orientation=images.orientation,
        slices=slices_of(images.test)[1],
        slice_order=images.slice_order,
    )


def pattern_of(images: Images, path: str) -> PartsPattern:
    """Return where files lie whose path has the named parts of `images`, such as its own `train`."""
    folder, slices = slices_of(path)
    suffixes = IMAGE_SUFFIXES if not images.format else _FORMATS[images.format]
    return PartsPattern(folder, () if slices or images.format == "dicom" else suffixes, images.id, slices)


def slices_of(path: str) -> tuple[str, str]:
    """Return the path of an image, and below it that of its slices; empty if the image is one file.

    >>> slices_of("train/{id}/*.dcm")
    ('train/{id}', '*.dcm')
    """
    parts = PurePosixPath(path).parts
    cut = next((place for place, part in enumerate(parts) if "*" in part), len(parts))
    return "/".join(parts[:cut]), "/".join(parts[cut:])


def modules(images: Images) -> list[str]:
    """Return the modules that predict.py needs for these images."""
    if not images.special:
        return []
    found = {f"{_IMAGES}.{_READERS[name]}" for name in formats(images)}
    if slices_of(images.test)[1]:
        found.add(f"{_IMAGES}.volume")
    if images.slice_order != "name":
        found.add(f"{_IMAGES}.dicom_header")
    return [__name__, *sorted(found)]


def distributions(images: Images) -> tuple[str, ...]:
    """Return what has to be installed to read these images, beside what every competition needs."""
    return ("pydicom",) if images.special and "dicom" in formats(images) else ()


def format_of(key: str, path: str, images: Images) -> str:
    """Return the format of the files of a path: what the definition says, else what the suffix tells."""
    if images.format:
        return images.format
    name = PurePosixPath(path).name.lower()
    told = [form for form, suffixes in _FORMATS.items() if name.endswith(suffixes)]
    if told:
        return told[0]
    if "." in PART.sub("", name):
        raise KitError(
            f"{key} is {path!r}, but images have to be TIFF, PNG, JPEG or DICOM files",
            fix="convert them, for example with Pillow: Image.open(a).convert('RGB').save(b); the test "
            "images on Kaggle have to be of such a format as they are",
        )
    if images.id == ID and images.intensity is None and path.endswith(ID):
        return "tiff"
    raise KitError(
        f"{key} is {path!r}, which does not tell the format of its files",
        fix='write it: format = "tiff", "png", "jpeg" or "dicom"',
    )
