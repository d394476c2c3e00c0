"""What each fold of values should get its share of: the classes, or small and large numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kit.predictions import Prediction, Values

_PARTS = 4
"""Parts of equal size that numbers are divided into."""


def of_values(truth: Mapping[str, Prediction]) -> dict[str, str]:
    """Return the stratum of each image; {} where the truth holds no values.

    Words are their own strata. Marks of one class among several (0, 0, 1) give the class. Other numbers are
    divided into quarters by the first target: of 1, 2, 5, 9 each is in another one.

    Args:
        truth: of the labelled images.
    """
    found = {image_id: one.values for image_id, one in truth.items() if isinstance(one, Values)}
    if not found:
        return {}
    names = list(next(iter(found.values())))
    first = [values[names[0]] for values in found.values()]
    if any(isinstance(value, str) for value in first):
        return {image_id: str(values[names[0]]) for image_id, values in found.items()}
    marks = {value for values in found.values() for value in values.values()} <= {0.0, 1.0}
    if marks:
        return {
            image_id: " ".join(name for name in names if values[name]) for image_id, values in found.items()
        }
    edges = np.quantile(np.array(first, np.float64), np.linspace(0, 1, _PARTS + 1)[1:-1])
    return {
        image_id: str(int(np.searchsorted(edges, float(values[names[0]]), side="left")))
        for image_id, values in found.items()
    }
