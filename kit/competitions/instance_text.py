"""Instances in a cell, in the words of `submission.instance`: "label score mask", or a box for the mask."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from kit.competitions.instance import score_of
from kit.errors import KitError
from kit.masks import coco, rle


@dataclass(frozen=True)
class Told:
    """What a cell tells of an instance.

    Attributes:
        label: of its class; None if the cell does not tell it.
        score: in [0, 1]; 1 if the cell does not tell it.
        mask: its counts, as in `Instances`; the pixels of a box.
    """

    label: str | None
    score: float
    mask: bytes


def write(pattern: str, label: str, score: float, counts: bytes, size: tuple[int, int]) -> str:
    """Return the words of an instance.

    Args:
        pattern: such as "{label} {score} {mask}".
        label: of its class.
        score: in [0, 1].
        counts: its mask, COCO's counts.
        size: height and width of the image.
    """
    words = {"label": label, "score": f"{score:.6f}"}
    if "{mask}" in pattern:
        return pattern.format(**words, mask=coco.pack(counts))
    top, left, bottom, right = box_of(coco.runs_of(counts, *size), size[0])
    corners = {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}
    return pattern.format(**words, **corners, width=right - left, height=bottom - top)


def read(pattern: str, text: str, size: tuple[int, int], where: str) -> Iterator[Told]:
    """Yield what a cell tells of each instance.

    Args:
        pattern: such as "{label} {score} {mask}".
        text: the cell.
        size: height and width of the image.
        where: file and row, for messages.

    Raises:
        KitError: the cell is written in another way.
    """
    names, words = re.findall(r"\{(\w+)\}", pattern), text.split()
    fix = f"write '{pattern}' for each instance, separated by blanks"
    if len(words) % len(names):
        raise KitError(
            f"prediction string has {len(words)} parts, which is no multiple of {len(names)}",
            where=where,
            fix=fix,
        )
    for number in range(len(words) // len(names)):
        place = f"{where}, prediction {number + 1}"
        told = dict(zip(names, words[number * len(names) :], strict=False))
        score = score_of(told["score"], place, fix) if "score" in told else 1.0
        mask = coco.unpack(told["mask"], where=place) if "mask" in told else _box(told, size, place, fix)
        yield Told(told.get("label"), score, mask)


def box_of(runs: rle.Runs, height: int) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right edge of the pixels of a mask that is not empty."""
    # A run numbers pixels down the columns. In an image of 4 rows, the run [2, 4] covers the rows 2 and 3 of
    # column 0, and the rows 0 and 1 of column 1: a run that goes on in another column touches top and bottom.
    starts, last = runs[:, 0], runs.sum(axis=1) - 1
    crosses = bool((starts // height != last // height).any())
    top = 0 if crosses else int((starts % height).min())
    bottom = height if crosses else int((last % height).max()) + 1
    return top, int(starts[0]) // height, bottom, int(last[-1]) // height + 1


def _box(told: Mapping[str, str], size: tuple[int, int], where: str, fix: str) -> bytes:
    """Return the pixels of a box; its edges are rounded to whole pixels."""
    edges = {name: _number(text, where, fix) for name, text in told.items() if name not in ("label", "score")}
    left, top = edges["xmin"], edges["ymin"]
    right = edges["xmax"] if "xmax" in edges else left + edges["width"]
    bottom = edges["ymax"] if "ymax" in edges else top + edges["height"]
    height, width = size
    x0, x1 = (round(min(max(edge, 0), width)) for edge in (left, right))
    y0, y1 = (round(min(max(edge, 0), height)) for edge in (top, bottom))
    if not (left < right and top < bottom) or x0 >= x1 or y0 >= y1:
        raise KitError(
            f"the box from {left:g}, {top:g} to {right:g}, {bottom:g} holds no pixel of its image",
            where=where,
            fix="write x to the right and y downwards, in pixels of the original image",
        )
    starts = np.arange(x0, x1, dtype=np.int64) * height + y0
    runs = np.stack([starts, np.full_like(starts, y1 - y0)], axis=1)
    if y1 - y0 == height:  # neighbours that touch are one run
        runs = np.array([[x0 * height, (x1 - x0) * height]], np.int64)
    return coco.from_runs(runs, height, width)


def _number(text: str, where: str, fix: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise KitError(f"a corner of a box is {text[:20]!r}, no number", where=where, fix=fix)
    return value
