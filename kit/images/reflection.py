"""What an image shows beyond its border: itself, mirrored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def reflected(start: int, stop: int, size: int) -> NDArray[np.int64]:
    """Where along an axis the pixels at positions start..stop come from, most of them possibly outside.

    Mirrored at the centres of the border pixels, which are not repeated (numpy.pad's "reflect"), as often as
    needed: a window may be much larger than the image. An axis of one pixel repeats it.

    Args:
        start: first position, may be negative.
        stop: end, exclusive; may lie beyond the image.
        size: pixels of the axis, at least 1.

    Returns:
        (stop - start,) positions within 0..size.
    """
    positions = np.arange(start, stop, dtype=np.int64)
    if size == 1:
        return np.zeros_like(positions)
    period = 2 * (size - 1)
    positions %= period
    return np.minimum(positions, period - positions)
