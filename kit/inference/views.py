"""Views of test-time augmentation: the eight symmetries of the square, at any input resolution.

A view swaps the axes or not, then flips the rows or not, then the columns or not. The inverse does the same
steps backwards. Only the last two axes of an array move, never channels or the batch.

`hflip@0.8` shows the flipped image to the network at 0.8 times the resolution of the settings. The engines
use the scale when they make the network's input; `apply` and `invert` only move pixels.

`identity+hflip` is a set: one pass runs several views, and their mean is one stored result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

if TYPE_CHECKING:
    import torch

_LARGEST_SCALE = 16.0
"""Far above any use: a typing error must not ask for terabytes."""


@dataclass(frozen=True)
class View:
    """One symmetry (swap, then flip rows, then flip columns) at one resolution.

    Attributes:
        name: as written in recipes, e.g. "hflip@0.8".
        swap: rows become columns.
        flip_rows: top becomes bottom, after the swap.
        flip_columns: left becomes right, after the swap.
        scale: factor on the resolution of the network's input.
    """

    name: str
    swap: bool
    flip_rows: bool
    flip_columns: bool
    scale: float = 1.0


# 1 2 3   hflip  3 2 1   vflip  4 5 6   transpose  1 4   rot90  3 6   (swap, then flip rows)
# 4 5 6          6 5 4          1 2 3              2 5          2 5
#                                                  3 6          1 4
_SYMMETRIES = (
    View("identity", swap=False, flip_rows=False, flip_columns=False),
    View("hflip", swap=False, flip_rows=False, flip_columns=True),
    View("vflip", swap=False, flip_rows=True, flip_columns=False),
    View("rot180", swap=False, flip_rows=True, flip_columns=True),
    View("transpose", swap=True, flip_rows=False, flip_columns=False),
    View("rot90", swap=True, flip_rows=True, flip_columns=False),  # counter-clockwise, as numpy.rot90
    View("rot270", swap=True, flip_rows=False, flip_columns=True),
    View("transverse", swap=True, flip_rows=True, flip_columns=True),
)


def names() -> tuple[str, ...]:
    """Return the names of all symmetries; `@` and a scale may follow each."""
    return tuple(view.name for view in _SYMMETRIES)


def get(name: str) -> View:
    """Return the view of a name, e.g. `hflip` or `hflip@0.8`.

    Raises:
        KitError: there is no such symmetry, or the scale is no positive number up to 16.
    """
    symmetry, at, scale = name.partition("@")
    for view in _SYMMETRIES:
        if view.name == symmetry:
            return replace(view, name=name, scale=_scale(name, scale) if at else 1.0)
    raise KitError(f"unknown view {name!r}", fix=f"use one of: {', '.join(names())}; with a scale: hflip@0.8")


def get_set(name: str) -> tuple[View, ...]:
    """Return the views of a set in their order, e.g. of `identity+hflip+rot90@0.8` or of one view.

    Raises:
        KitError: a part is no view, or two parts are the same view.
    """
    found = tuple(get(part) for part in name.split("+"))
    if len({replace(view, name="") for view in found}) < len(found):
        raise KitError(f"view set {name!r} holds a view twice", fix="name each view once")
    return found


def work(name: str) -> float:
    """Return the cost of a pass: pixels that the network sees in a set, relative to one view at scale 1.

    >>> work("identity+hflip@0.5")
    1.25
    """
    return sum(view.scale**2 for view in get_set(name))


def _scale(name: str, text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale <= _LARGEST_SCALE:
        raise KitError(
            f"view {name!r}: {text!r} is no scale",
            fix=f"write a positive number up to {_LARGEST_SCALE:g} after the @: hflip@0.8",
        )
    return scale


def _flip(x: torch.Tensor, view: View) -> torch.Tensor:
    axes = ([-2] if view.flip_rows else []) + ([-1] if view.flip_columns else [])
    return x.flip(axes) if axes else x


def apply(name: str, x_NCHW: torch.Tensor) -> torch.Tensor:
    """Return the image as the view shows it, at its own resolution.

    >>> import torch
    >>> apply("rot90", torch.tensor([[1, 2, 3], [4, 5, 6]])).tolist()
    [[3, 6], [2, 5], [1, 4]]

    Args:
        name: name of the view.
        x_NCHW: any tensor whose last two axes are rows and columns.
    """
    view = get(name)
    return _flip(x_NCHW.transpose(-1, -2) if view.swap else x_NCHW, view)


def invert(name: str, map_NCHW: torch.Tensor) -> torch.Tensor:
    """Return a map or masks of the viewed image in the image's own frame: `invert(v, apply(v, x)) == x`."""
    view = get(name)
    unflipped = _flip(map_NCHW, view)
    return unflipped.transpose(-1, -2) if view.swap else unflipped


def invert_boxes(name: str, boxes: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Return boxes found under a view in the image's own frame.

    An image of 10 x 20 pixels (rows x columns) under hflip: x = 2..5 of the view is x = 15..18 of the image.

    >>> invert_boxes("hflip", np.array([[2.0, 1, 5, 4]]), 10, 20).tolist()
    [[15.0, 1.0, 18.0, 4.0]]

    Args:
        name: name of the view.
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the viewed image.
        height: rows of the image before the view was applied, at the resolution of the boxes.
        width: columns of that image.

    Returns:
        (n, 4) x1, y1, x2, y2 with x1 <= x2 and y1 <= y2.
    """
    view = get(name)
    x1, y1, x2, y2 = (boxes[:, column] for column in range(4))
    shown_height, shown_width = (width, height) if view.swap else (height, width)
    if view.flip_rows:
        y1, y2 = shown_height - y2, shown_height - y1
    if view.flip_columns:
        x1, x2 = shown_width - x2, shown_width - x1
    if view.swap:
        x1, y1, x2, y2 = y1, x1, y2, x2
    return np.stack([x1, y1, x2, y2], axis=1)
