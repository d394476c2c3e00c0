"""Named invertible transforms of an image: the eight symmetries of the square, at any input resolution.

A view is a swap of the axes (or not), then a flip of the rows (or not), then of the columns (or not). Its
inverse is the same steps backwards. Only the last two axes move: a view can never flip channels or the batch.

`hflip@0.8` shows the flipped image to the network at 0.8 times its usual resolution. The engines ask for the
scale when they make the network's input; `apply` and `invert` move pixels and nothing else.

`identity+hflip` is a set: several views that one pass over an image runs and averages, for one stored result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from kit.errors import KitError

_LARGEST_SCALE = 16.0
"""Far above any use: a slip of the pen shall not ask for terabytes."""


@dataclass(frozen=True)
class View:
    """One symmetry (swap, then flip rows, then flip columns) at one resolution.

    Attributes:
        name: as it is written.
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
    """The names of all symmetries; each may be followed by `@` and a scale."""
    return tuple(view.name for view in _SYMMETRIES)


def get(name: str) -> View:
    """The view of a name: `hflip`, or `hflip@0.8`.

    Raises:
        KitError: no such symmetry, or a scale that is no positive number up to 16.
    """
    symmetry, at, scale = name.partition("@")
    for view in _SYMMETRIES:
        if view.name == symmetry:
            return replace(view, name=name, scale=_scale(name, scale) if at else 1.0)
    raise KitError(f"unknown view {name!r}", fix=f"use one of: {', '.join(names())}; with a scale: hflip@0.8")


def get_set(name: str) -> tuple[View, ...]:
    """The views of a set, in the order they are written: `identity+hflip+rot90@0.8`; of one view, that one.

    Raises:
        KitError: a part is no view, or two parts are the same view.
    """
    found = tuple(get(part) for part in name.split("+"))
    if len({replace(view, name="") for view in found}) < len(found):
        raise KitError(f"view set {name!r} holds a view twice", fix="name each view once")
    return found


def work(name: str) -> float:
    """Pixels that the network sees in a set, relative to those of one view at scale 1: what a pass costs."""
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
    """The image as the view shows it, at the resolution it has.

    Args:
        name: of the view.
        x_NCHW: any tensor whose last two axes are rows and columns.
    """
    view = get(name)
    return _flip(x_NCHW.transpose(-1, -2) if view.swap else x_NCHW, view)


def invert(name: str, map_NCHW: torch.Tensor) -> torch.Tensor:
    """A map or masks of the viewed image back in the image's own frame: `invert(v, apply(v, x)) == x`."""
    view = get(name)
    unflipped = _flip(map_NCHW, view)
    return unflipped.transpose(-1, -2) if view.swap else unflipped


def invert_boxes(name: str, boxes: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Boxes found under the view, back in the image's own frame.

    Args:
        name: of the view.
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the viewed image.
        height: rows of the image before the view was applied, at the resolution of the boxes.
        width: its columns.

    Returns:
        (n, 4) x1, y1, x2, y2, again with x1 <= x2 and y1 <= y2.
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
