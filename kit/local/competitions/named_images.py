"""Find the image that a file name in some table means."""

from __future__ import annotations

from pathlib import PurePosixPath

from kit.competitions.folder_paths import ID
from kit.competitions.path_parts import PartsPattern
from kit.competitions.path_pattern import PathPattern, form_of


def id_of(pattern: PathPattern, name: str) -> str | None:
    """Return the id that a file name means, None if it fits no image.

    The suffix may differ, and so may the folders in front of the last part with `{id}`.

    Args:
        pattern: where the images lie, e.g. "train/{id}.tif".
        name: as a table or COCO file has it, e.g. "images/a.png".
    """
    path, text = PurePosixPath(name.replace("\\", "/")), PurePosixPath(pattern.text)
    if isinstance(pattern, PartsPattern):
        return pattern.id_of(name)
    if not pattern.text.endswith(ID):
        if not path.name:
            return None
        path, text = path.with_suffix(""), text.with_suffix("")
    given, wanted = path.parts, text.parts
    # For "train/{id}.tif" the tail is "{id}": "a.png", "train/a.tif" and "/slides/a.tif" all mean "a".
    # For "{id}/image.tif" it is "{id}/image": "x/a/image.png" means "a", and "image.tif" nothing.
    tail = wanted[max(place for place, part in enumerate(wanted) if ID in part) :]
    match = form_of("/".join(tail)).fullmatch("/".join(given[-len(tail) :]))
    return match[1] if match else None
