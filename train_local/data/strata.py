"""What each fold of values should get its share of: the classes, or small and large numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kit.predictions import Prediction, Values

_PARTS = 4
"""Parts of equal size that numbers are divided into."""


@dataclass(frozen=True)
class Strata:
    """What folds are stratified by.

    Attributes:
        by: "class", "quarters of age" or the name of a target of words; "" where there are no values.
        of: id -> stratum.
    """

    by: str
    of: dict[str, str]


def of_values(truth: Mapping[str, Prediction]) -> Strata:
    """Return the stratum of each image; none where the truth holds no values.

    Words are their own strata. Marks of one class among several (0, 0, 1) give the class. Other numbers are
    divided into quarters by the first target: of 1, 2, 5, 9 each is in another one.

    Args:
        truth: of the labelled images.
    """
    found = {image_id: one.values for image_id, one in truth.items() if isinstance(one, Values)}
    if not found:
        return Strata("", {})
    names = list(next(iter(found.values())))
    first = [values[names[0]] for values in found.values()]
    if any(isinstance(value, str) for value in first):
        return Strata(names[0], {image_id: str(values[names[0]]) for image_id, values in found.items()})
    marks = {value for values in found.values() for value in values.values()} <= {0.0, 1.0}
    if marks:
        classes = {
            image_id: " ".join(name for name in names if values[name]) for image_id, values in found.items()
        }
        return Strata("class", classes)
    edges = np.quantile(np.array(first, np.float64), np.linspace(0, 1, _PARTS + 1)[1:-1])
    quarters = {
        image_id: str(int(np.searchsorted(edges, float(values[names[0]]), side="left")))
        for image_id, values in found.items()
    }
    return Strata(f"quarters of {names[0]}", quarters)
