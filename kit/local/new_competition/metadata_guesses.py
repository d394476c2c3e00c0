"""Guess `[metadata]`: which columns of the table with the truth tell sizes, organs and groups."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from kit.local.new_competition.guesses import Draft
from kit.local.new_competition.table_roles import Role, is_number

_SIDES = {
    "height": ("height", "img_height", "image_height", "rows"),
    "width": ("width", "img_width", "image_width", "columns"),
}
_TOLD = {
    "organ": ("organ",),
    "source": ("data_source", "source"),
    "pixel_size": ("pixel_size", "um_per_pixel"),
}
_GROUPS = re.compile(
    r"(patient|subject|case|study|participant)(_?(id|name))?|studyinstanceuid", re.IGNORECASE
)


def sides(columns: Iterable[str]) -> dict[str, str]:
    """Return which of some columns tell height and width, by these keys, as far as they do."""
    small = {name.lower(): name for name in columns}
    found = {key: next((small[name] for name in names if name in small), "") for key, names in _SIDES.items()}
    return {key: name for key, name in found.items() if name}


def fill(draft: Draft, truth: Role, used: Collection[str] = (), *, whole: bool = True) -> None:
    """Fill in `[metadata]`.

    Args:
        draft: gets the keys.
        truth: the table with the truth.
        used: columns that tell something else, such as the width of a box.
        whole: whether each image has a row; else only its size is compared.
    """
    table = truth.table
    small = {name.lower(): name for name in table.columns if name not in used}
    found: dict[str, tuple[str, str]] = {}
    if len(size := sides(small.values())) == 2:
        found |= {key: (name, "so is the column called") for key, name in size.items()}
    for key, names in _TOLD.items() if whole else ():
        name = next((small[name] for name in names if name in small), "")
        if name and (key != "pixel_size" or any(map(is_number, table.cells(name)[:50]))):
            found[key] = (name, "so is the column called")
    for name in small.values() if whole else ():
        if _GROUPS.fullmatch(name) and name != truth.id and _shared(truth, name):
            found["group"] = (name, "images of one stay in one fold")
    if found:
        draft.put("metadata.train", table.path, "it tells more of the images")
        draft.put("metadata.id", truth.id, "as in the truth")
        for key, (name, why) in found.items():
            draft.put(f"metadata.columns.{key}", name, why)


def _shared(truth: Role, column: str) -> bool:
    """Return whether several images have the same cell in a column, and each image has one."""
    pairs = set(zip(truth.table.rows[truth.id], truth.table.rows[column], strict=True))
    images, groups = {image for image, _ in pairs}, {group for _, group in pairs}
    return len(pairs) == len(images) > len(groups) > 1
