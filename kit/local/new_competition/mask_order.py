"""How masks are written in the cells of a table: found by decoding a few of them in every way.

In the right order a mask is made of few compact regions; in the wrong one it falls into stripes. Its border
says which: the number of neighbouring pixels that differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kit.errors import KitError
from kit.local.wording import counted
from kit.masks import coco, rle

_PAIRS = re.compile(r"\s*\d+ \d+( \d+ \d+)*\s*")
_BASE64 = re.compile(r"\s*[A-Za-z0-9+/]{8,}={0,2}\s*")
_MOST_MASKS = 12
_MOST_PIXELS = 64_000_000
_CLEAR = 1.3
"""Ratio of the two borders from which on the order is clear."""


@dataclass(frozen=True)
class Writing:
    """How masks are written.

    Attributes:
        encoding: "pairs" or "coco".
        order: of the pixels.
        first: number of the first one.
        why: what tells the order.
        why_first: what tells the first number.
        sure: whether the order is clear.
    """

    encoding: Literal["pairs", "coco"]
    order: Literal["columns", "rows"]
    first: int
    why: str
    why_first: str
    sure: bool


def is_mask(text: str) -> bool:
    """Return whether a cell looks like a mask."""
    return bool(_PAIRS.fullmatch(text)) or _is_coco(text)


def writing_of(cells: Sequence[tuple[str, str]], sizes: Mapping[str, tuple[int, int]]) -> Writing | None:
    """Return how masks are written, None if the cells hold none.

    Args:
        cells: id of the image and text of the mask; empty ones do not count.
        sizes: id -> height and width, as far as known.
    """
    masks = [(image, text) for image, text in cells if is_mask(text)]
    if not masks:
        return None
    if sum(_is_coco(text) for _, text in masks[:50]) * 2 > len(masks[:50]):
        return Writing("coco", "columns", 1, "cells are base64 of COCO's counts", "", sure=True)
    pairs = [(image, text) for image, text in masks if _PAIRS.fullmatch(text)]
    first, why_first = _first(pairs, sizes)
    known = [
        (text, sizes[image])
        for image, text in pairs
        if image in sizes and np.prod(sizes[image]) <= _MOST_PIXELS
    ]
    known.sort(key=lambda item: -len(item[0]))
    borders = {"columns": 0, "rows": 0}
    used = 0
    for text, (height, width) in known[:: max(1, len(known) // _MOST_MASKS)][:_MOST_MASKS]:
        found = {order: _border(text, height, width, first, order) for order in borders}
        if None not in found.values():
            used += 1
            for order, border in found.items():
                borders[order] += border or 0
    if not used:
        why = "no mask could be decoded; down the columns is usual"
        return Writing("pairs", "columns", first, why, why_first, sure=False)
    best: Literal["columns", "rows"] = "columns" if borders["columns"] <= borders["rows"] else "rows"
    other = max(borders.values()) / max(1, min(borders.values()))
    why = f"so the borders of {counted(used, 'mask')} are {other:.1f} times shorter than in the other order"
    return Writing("pairs", best, first, why, why_first, sure=other >= _CLEAR)


def _first(pairs: Sequence[tuple[str, str]], sizes: Mapping[str, tuple[int, int]]) -> tuple[int, str]:
    """Return the number of the first pixel: 0 if a run begins there, 1 if one ends at the last number."""
    for image, text in pairs:
        numbers = list(map(int, text.split()))
        if min(numbers[::2]) == 0:
            return 0, "a run begins at 0"
        if image in sizes and numbers[-2] + numbers[-1] - 1 == sizes[image][0] * sizes[image][1]:
            return 1, "a run ends at the number of pixels"
    return 1, "no run tells whether counting begins at 0 or 1; 1 is usual"


def _border(text: str, height: int, width: int, first: int, order: str) -> int | None:
    """Return how many neighbouring pixels differ, None if the text does not fit the size."""
    try:
        runs = rle.from_kaggle(text, height, width, where="", first=first, by_rows=order == "rows")
    except KitError:
        return None
    mask_HW = rle.decode(runs, height, width).astype(bool)
    return int((mask_HW[1:] != mask_HW[:-1]).sum() + (mask_HW[:, 1:] != mask_HW[:, :-1]).sum())


def _is_coco(text: str) -> bool:
    if not _BASE64.fullmatch(text):
        return False
    try:
        coco.unpack(text.strip(), where="")
    except KitError:
        return False
    return True
