"""Find planes that lie behind the only page of a TIFF and have no pages of their own.

ImageJ writes such files (always above 4 GiB), and tifffile does with `truncate=True`: one directory, all
planes one after another, and their number only in the description. A page of 100 x 80 8-bit pixels at byte
300 with the description "ImageJ=1.53 / images=3 / channels=3" (one per line) has planes at the bytes 300,
8300 and 16300.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

from kit.errors import KitError
from kit.images.directory import COPY_AGAIN, Directory, Page
from kit.images.extents import mended

_MOST_PLANES = 10_000
_AXES = ("channels", "slices", "frames")


def pages_of(path: Path, directory: Directory) -> list[Page]:
    """Return the pages of a file; a single page with planes behind it becomes one page per plane.

    Raises:
        KitError: the tags are cut short or make no sense, or the file ends before the planes that it
            announces.
    """
    pages = directory.pages()
    if len(pages) > 1 or pages[0].samples > 1:
        return pages
    first = mended(directory, pages[0])
    start = first.contiguous_from(0)
    size = first.height * first.width * (first.bits // 8)
    planes = _announced(first) if start is not None and size else 1
    if start is None or planes < 2:
        return [first]
    if start + planes * size > directory.size:
        raise KitError(
            f"TIFF is cut short: it has {directory.size} bytes, the last of the {planes} planes that it "
            f"announces should end at byte {start + planes * size}",
            where=path,
            fix=COPY_AGAIN,
        )
    return [
        replace(
            first,
            index=number,
            segment=(first.height, first.width),
            offsets=(start + number * size,),
            byte_counts=(size,),
        )
        for number in range(min(planes, _MOST_PLANES))
    ]


def _announced(page: Page) -> int:
    """Return how many planes the description of a page announces; 1 if it announces none."""
    if page.description.startswith("ImageJ="):
        numbers = {
            key: int(value)
            for key, value in re.findall(r"^(\w+)=(\d{1,9})\s*$", page.description, re.MULTILINE)
        }
        return max(numbers.get("images", 1), math.prod(numbers.get(axis, 1) for axis in _AXES))
    try:
        value = json.loads(page.description)
        if not value["truncated"]:
            return 1
        return math.prod(map(int, value["shape"])) // (page.height * page.width)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return 1  # no JSON, or none of tifffile
