"""First and last foreground along an axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spans(covered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the first True and the place after the last one of each row (n, 2); zeros without any.

    >>> spans(np.array([[False, True, False, True, False], [False] * 5])).tolist()
    [[1, 4], [0, 0]]

    Args:
        covered: (n, length).
    """
    first = covered.argmax(axis=1)
    after = covered.shape[1] - covered[:, ::-1].argmax(axis=1)
    return np.where(covered.any(axis=1, keepdims=True), np.stack([first, after], axis=1), 0)
