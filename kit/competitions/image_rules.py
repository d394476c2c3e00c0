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
from kit.images.intensity_rule import WINDOW, intensity_of

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
_FIX = "docs/images.md shows complete tables"


def require(images: Images) -> None:
    """Check what depends on more than one key, and the keys of special images.

    Raises:
        KitError: a pattern or a rule is not possible, or nobody says of which format the images are.
    """
    wanted = _parts("id", images.id)
    for key, path in (("train", images.train), ("test", images.test)):
        parts = _parts(key, path)
        if lacking := [part for part in wanted if part not in parts]:
            raise KitError(
                f"id is {images.id!r}, but {key} has no {{{lacking[0]}}} in it",
                fix=f"name the same parts in {key} and id: id = 'a_b' of 'test/a/b.png' is "
                "test = 'test/{folder}/{name}.png' with id = '{folder}_{name}'",
            )
        folder = slices_of(path)[0]
        if "{" not in folder or "{" in slices_of(path)[1]:
            raise KitError(
                f"{key} is {path!r}: behind '*' there is no named part",
                fix="write the folder of an image first: 'train/{id}/*.dcm'",
            )
        _format_of(key, path, images)
    if bool(slices_of(images.train)[1]) != bool(slices_of(images.test)[1]):
        raise KitError(
            "only one of train and test has '*', which makes an image a folder of slices",
            fix="write both in the same way",
        )
    rule = intensity_of(images.intensity)
    if rule is not None and rule.form == WINDOW and "dicom" not in formats(images):
        raise KitError(f"intensity is {WINDOW!r}, but no path ends with .dcm", fix="write another rule")
    if images.orientation == "exif" and not formats(images) & {"png", "jpeg"}:
        raise KitError("orientation is 'exif', which PNG and JPEG files have alone", fix="remove it")
    if images.slice_order != "name":
        if not slices_of(images.test)[1]:
            raise KitError("slice_order is for images that are folders of slices", fix="remove it")
        if formats(images) != {"dicom"}:
            raise KitError(
                f"slice_order is {images.slice_order!r}, which DICOM files tell alone", fix="write 'name'"
            )


def formats(images: Images) -> set[str]:
    """Return the formats that a definition names."""
    return {_format_of(key, path, images) for key, path in (("train", images.train), ("test", images.test))}


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


def _parts(key: str, text: str) -> list[str]:
    """Return the names of the parts of a text, each once."""
    names = PART.findall(text)
    rest = PART.sub("", text)
    if "" in names or "{" in rest or "}" in rest or not names:
        raise KitError(
            f"{key} is {text!r}, whose named parts cannot be read",
            fix="write each part as a name in braces: 'train/{volume}/slice_{slice}.png'",
        )
    if re.search(r"\}\{", text):
        raise KitError(
            f"{key} is {text!r}: nothing stands between two parts, so that nobody can tell them apart",
            fix="write what stands between them, such as '_'",
        )
    return list(dict.fromkeys(names))


def _format_of(key: str, path: str, images: Images) -> str:
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
