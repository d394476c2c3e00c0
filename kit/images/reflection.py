"""Mirror an image beyond its borders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def reflected(start: int, stop: int, size: int) -> NDArray[np.int64]:
    """Return the pixels of an axis that a window start..stop shows, mirrored outside 0..size.

    The mirrors are the centres of the border pixels, which are not repeated (numpy.pad's "reflect"). A window
    may be much larger than the image: it is mirrored again and again. An axis of one pixel repeats it.

    >>> reflected(-2, 9, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]

    Args:
        start: first position, may be negative.
        stop: end, exclusive; may lie beyond the image.
        size: pixels of the axis, at least 1.

    Returns:
        (stop - start,) positions in 0..size.
    """
    positions = np.arange(start, stop, dtype=np.int64)
    if size == 1:
        return np.zeros_like(positions)
    period = 2 * (size - 1)
    positions %= period
    return np.minimum(positions, period - positions)
