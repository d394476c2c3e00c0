"""How often which class was predicted in the place of which: the confusion of a classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from kit.predictions import Prediction, Values

_MOST = 20
"""Classes of the table; a page has no room for more."""


@dataclass(frozen=True)
class Confusion:
    """Counts of images.

    Attributes:
        names: of the classes, the most frequent ones, in alphabetical order.
        rows: true class -> images that were predicted as each of `names`.
        left_out: images with another class, in the truth or predicted.
    """

    names: list[str]
    rows: list[tuple[str, list[int]]]
    left_out: int


def confusion(images: Mapping[str, tuple[Prediction | None, Prediction]]) -> Confusion | None:
    """Return the confusion of images with one class each; None for other kinds of predictions.

    The class of an image is its only word, or the target of several whose truth alone is 1: then the largest
    predicted number names the predicted class.

    Args:
        images: id -> truth and prediction.
    """
    # Targets cat, dog, bird with truth 0, 1, 0 and prediction 0.5, 0.3, 0.2: a dog taken for a cat.
    counts: Counter[tuple[str, str]] = Counter()
    for truth, prediction in images.values():
        if not isinstance(truth, Values) or not isinstance(prediction, Values):
            return None
        classes = _class_of(truth), _largest(prediction)
        if classes[0] is None or classes[1] is None:
            return None
        counts[classes[0], classes[1]] += 1
    frequent: Counter[str] = Counter()
    for pair, count in counts.items():
        for name in pair:
            frequent[name] += count
    names = sorted(name for name, _ in frequent.most_common(_MOST))
    rows = [(true, [counts[true, found] for found in names]) for true in names]
    shown = sum(sum(row) for _, row in rows)
    return Confusion(names, rows, sum(counts.values()) - shown) if names else None


def _class_of(truth: Values) -> str | None:
    """Return the true class; None if the values are not one class."""
    if len(truth.values) == 1:
        (value,) = truth.values.values()
        return value if isinstance(value, str) else None
    numbers = [value for value in truth.values.values() if isinstance(value, float | int)]
    if len(numbers) < len(truth.values) or sorted(numbers)[-2:] != [0, 1]:
        return None
    return _largest(truth)


def _largest(values: Values) -> str | None:
    """Return the only word, or the name of the largest number."""
    if len(values.values) == 1:
        (value,) = values.values.values()
        return value if isinstance(value, str) else None
    numbers = {name: value for name, value in values.values.items() if isinstance(value, float | int)}
    return max(numbers, key=numbers.__getitem__) if numbers else None
