"""Releases that uv chose and pip refuses, as one error: mostly for an upper bound of their Requires-Python.

uv looks at the lower bound alone (`>=3.6` of `>=3.6,<3.13`), and pip at both. An older release often has no
upper bound only because it is old, so it is not taken unasked; the error has the line that takes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bundle.pip_download import NoWheelError
from kit.errors import KitError


def refused(lacking: Sequence[NoWheelError], images: Sequence[str]) -> KitError:
    """Return the error for releases that pip takes for some images only.

    Args:
        lacking: one for each image and release that is refused there.
        images: names of all images.
    """
    nowhere = {error.target.name for error in lacking}
    works = [name for name in images if name not in nowhere]
    releases = dict.fromkeys((error.name, error.version) for error in lacking)
    told, lines = [], []
    for name, version in releases:
        errors = [error for error in lacking if (error.name, error.version) == (name, version)]
        there = ", ".join(error.target.name for error in errors)
        why = f" (its Requires-Python is {errors[0].refuses!r})" if errors[0].refuses else ""
        told.append(f"{name} {version} has no wheel for {there}{why}")
        lines += [
            f'{name}=={error.others[0]} ; python_version == "{error.target.minor}"'
            for error in errors
            if error.others
        ]
    fixes = []
    if lines:
        fixes.append(f"add the newest that fits to the file, {' and '.join(map(repr, dict.fromkeys(lines)))}")
    if works:
        options = " ".join(f"--target {name}" for name in works)
        fixes.append(f"leave out the images without it: {options}")
    fixes.append("ask for another release")
    good = f"; it works on {', '.join(works)}" if works else ""
    return KitError(f"pip refuses what uv chose: {'; '.join(told)}{good}", fix="; or ".join(fixes))
