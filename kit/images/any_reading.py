"""Reads the images of a competition whose definition says more of them than "colour TIFFs"."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kit.artefacts import open_regular, read_at
from kit.errors import KitError
from kit.images.header import unreadable
from kit.images.intensity_rule import Intensity
from kit.images.reading import Facts
from kit.optional import optional_module

if TYPE_CHECKING:
    from kit.images.image_protocols import OpenImage

_MODULES = {"tiff": "tiff_by_rule", "png": "png_jpeg", "jpeg": "png_jpeg", "dicom": "dicom"}
_HEAD = 132
"""Bytes that tell a file's format: DICOM's name stands behind 128 bytes of anything."""
_NAMES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"II": "tiff", b"MM": "tiff"}
_OTHERS = {b"BM": "BMP", b"GIF8": "GIF", b"RIFF": "WebP", b"\x00\x00\x00\x0cjP": "JPEG 2000", b"PK": "zip"}


@dataclass(frozen=True)
class AnyReading:
    """Reads the images of a definition; the content of a file tells its format, not its name.

    Attributes:
        formats: that the definition names.
        intensity: which samples become 0 and 255; None: images have 8 bits.
        white_is_zero: whether images whose 0 is white are "inverted".
        orientation: "as stored", or turned as "exif" says.
        slices: glob of the files of an image that is a folder of slices; empty where it is a file.
        slice_order: of a folder's slices.
    """

    formats: tuple[str, ...]
    intensity: Intensity | None = None
    white_is_zero: Literal["inverted", "as stored"] = "inverted"
    orientation: Literal["as stored", "exif"] = "as stored"
    slices: str = ""
    slice_order: Literal["name", "instance", "position"] = "name"

    def facts(self, path: Path) -> Facts:
        """Return what a file's header tells; of a folder of slices, that of its middle slice."""
        if not self.slices:
            facts: Facts = self._module(path).facts(path, self)
            return facts
        files = self.files(path)
        middle = self.facts_of_slice(files[len(files) // 2])
        return Facts(middle.height, middle.width, (*middle.notes, f"it has {len(files)} slices"))

    def facts_of_slice(self, path: Path) -> Facts:
        """Return what the header of one slice tells."""
        facts: Facts = self._module(path).facts(path, self)
        return facts

    def open(self, path: Path, *, scratch: Path | None = None) -> OpenImage:
        """Open an image; a folder of slices becomes a `kit.images.volume.Volume`."""
        if self.slices:
            volume: OpenImage = optional_module(__package__, "volume").Volume(self, path, scratch=scratch)
            return volume
        return self.open_slice(path, scratch=scratch)

    def open_slice(self, path: Path, *, scratch: Path | None = None) -> OpenImage:
        """Open one file."""
        opened: OpenImage = self._module(path).open_image(path, self, scratch=scratch)
        return opened

    def files(self, folder: Path) -> list[Path]:
        """Return the slices of an image in their order.

        Raises:
            KitError: the folder is missing or has no slice, or the slices do not tell their order.
        """
        if not folder.is_dir():
            raise KitError("image is missing", where=folder, fix="check the folder and the id")
        found = [
            path for path in folder.glob(self.slices) if path.is_file() and not path.name.startswith(".")
        ]
        if not found:
            raise KitError(f"the image has no slice {self.slices}", where=folder, fix="unpack the data again")
        found.sort(key=lambda path: _natural(path.relative_to(folder).as_posix()))
        if self.slice_order == "name":
            return found
        order: list[Path] = optional_module(__package__, "dicom_header").ordered(found, self.slice_order)
        return order

    def _module(self, path: Path) -> Any:
        """Return the module that reads a file."""
        form = _format_of(path, "dicom" in self.formats)
        name = _MODULES[form]
        if name not in {_MODULES[known] for known in self.formats}:
            raise KitError(
                f"image is a {form.upper()} file, but the definition says {_listed(self.formats)}",
                where=path,
                fix=f'write format = "{form}" under [images], or convert the file',
            )
        return optional_module(__package__, name)


def _format_of(path: Path, may_be_bare: bool) -> str:
    """Return the format of a file's content."""
    try:
        handle = open_regular(path)
        try:
            head, size = read_at(handle, _HEAD, 0), os.fstat(handle).st_size
        finally:
            os.close(handle)
    except OSError as error:
        raise unreadable(path, error) from error
    if not size:
        fix = "copy or download the file again and compare its size with the original"
        raise KitError("image is empty (0 bytes)", where=path, fix=fix)
    for start, form in _NAMES.items():
        if head.startswith(start) and not (form == "tiff" and head[2:4] not in _TIFF_VERSIONS):
            return form
    if head[128:132] == b"DICM" or may_be_bare:
        return "dicom"
    other = next((name for start, name in _OTHERS.items() if head.startswith(start)), "")
    raise KitError(
        f"image is a {other} file" if other else "image is no TIFF, PNG, JPEG or DICOM file",
        where=path,
        fix="convert it" if other else "copy or download the file again; it may be damaged or a web page",
    )


_TIFF_VERSIONS = (b"*\0", b"\0*", b"+\0", b"\0+")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts slice_2 before slice_10."""
    words = re.split(r"(\d+)", name)
    return [(1, int(word), "") if place % 2 else (0, 0, word) for place, word in enumerate(words)]


def _listed(formats: tuple[str, ...]) -> str:
    return " and ".join(form.upper() for form in formats)
