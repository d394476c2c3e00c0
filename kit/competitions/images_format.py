"""The table `[images]` of a competition's definition: where its images lie, and how they are read.

Colour TIFFs that are named by their ids need nothing but this module. What everything else needs is in
`image_rules`, which predict.py carries only where a definition uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kit.competitions.folder_paths import ID
from kit.optional import optional_module

SUFFIXES = (".tif", ".tiff", ".svs", ".qptiff", ".scn", ".ndpi", ".btf", ".tf8", ".tf2", ".bif")
"""Of names of TIFFs; an image may have any name, its content decides."""
IMAGE_SUFFIXES = (*SUFFIXES, ".png", ".jpg", ".jpeg", ".dcm", ".dicom")
"""Of names of images, which ids in tables may end with."""
_MORE = (".jp2", ".webp", ".bmp", ".gif", ".mrxs", ".czi", ".npy", ".zarr")
_OTHERS = (*IMAGE_SUFFIXES[len(SUFFIXES) :], *_MORE)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Paths of the images below the competition's folder, and how their pixels become 8-bit RGB.

    `images_check` holds the rules across keys; predict.py carries a definition that passed.

    Attributes:
        train: path of the images with truth, e.g. "train/{id}.tiff". It may have several named parts, as in
            "train/{volume}/{slice}.png", and "*" where an image is a folder of slices: "train/{id}/*.dcm".
        test: path of the images to predict.
        id: how an image's id is made of the named parts, e.g. "{volume}_{slice}".
        format: "tiff", "png", "jpeg" or "dicom"; needed only where the paths' suffixes do not tell it.
        intensity: which samples become 0..255, see `kit.images.intensity_rule`; None: images have 8 bits.
        white_is_zero: whether images whose 0 is white (DICOM's MONOCHROME1) are inverted.
        orientation: whether an EXIF orientation is ignored ("as stored"; masks refer to the stored pixels) or
            the image turned ("exif").
        slice_order: of a folder's slices: by the numbers in their "name", by DICOM's "instance" number, or by
            their "position" in the patient.
    """

    train: str
    test: str
    id: str = ID
    format: Literal["", "tiff", "png", "jpeg", "dicom"] = ""
    intensity: Any = None
    white_is_zero: Literal["inverted", "as stored"] = "inverted"
    orientation: Literal["as stored", "exif"] = "as stored"
    slice_order: Literal["name", "instance", "position"] = "name"

    @property
    def rules(self) -> Any:
        """Return the module `image_rules`, which only scripts of special images carry."""
        return optional_module(__package__, "image_rules")

    @property
    def special(self) -> bool:
        """Whether they are anything but colour TIFFs that are named by their ids."""
        paths = [path.replace(ID, "").lower() for path in (self.train, self.test)]
        plain = self == Images(train=self.train, test=self.test)
        return not plain or any("{" in path or "*" in path or path.endswith(_OTHERS) for path in paths)
