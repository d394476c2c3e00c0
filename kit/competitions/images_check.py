"""Rules of the table `[images]`, for whoever writes a definition; predict.py carries one that passed."""

from __future__ import annotations

import re

from kit.competitions.folder_paths import require_below
from kit.competitions.image_rules import PART, format_of, formats, slices_of
from kit.competitions.images_format import Images
from kit.errors import KitError
from kit.images.intensity_rule import WINDOW, intensity_of


def check_images(images: Images) -> None:
    """Check the table `[images]`.

    Raises:
        KitError: a path or a rule is not possible; names the key.
    """
    for key, pattern in (("train", images.train), ("test", images.test)):
        require_below(key, pattern)
        if "{" not in pattern:
            raise KitError(
                f"{key} is {pattern!r}, which has no {{id}} in it",
                fix="write a path with {id} for the image's id, such as 'train/{id}.tiff'",
            )
    if images.special:
        _check_special(images)


def _check_special(images: Images) -> None:
    """Check the keys of images that are more than colour TIFFs named by their ids.

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
        format_of(key, path, images)
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
