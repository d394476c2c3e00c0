"""Named invertible transforms of an image: the eight symmetries of the square.

A view is a swap of the axes (or not), then a flip of the rows (or not), then of the columns (or not). Its
inverse is the same steps backwards. Only the last two axes move: a view can never flip channels or the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kit.errors import KitError


@dataclass(frozen=True)
class View:
    """One symmetry: swap, then flip rows, then flip columns."""

    name: str
    swap: bool
    flip_rows: bool
    flip_columns: bool


_VIEWS = (
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
    """The names of all views."""
    return tuple(view.name for view in _VIEWS)


def get(name: str) -> View:
    """The view of a name.

    Raises:
        KitError: no such view.
    """
    for view in _VIEWS:
        if view.name == name:
            return view
    raise KitError(f"unknown view {name!r}", fix=f"use one of: {', '.join(names())}")


def _flip(x: torch.Tensor, view: View) -> torch.Tensor:
    axes = ([-2] if view.flip_rows else []) + ([-1] if view.flip_columns else [])
    return x.flip(axes) if axes else x


def apply(name: str, x_NCHW: torch.Tensor) -> torch.Tensor:
    """The image as the view shows it.

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
        height: rows of the image before the view was applied.
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
