"""What is shown of a labelled image and its prediction."""

from __future__ import annotations

import math

from kit.competitions.competition import Competition
from kit.local.wording import counted
from kit.masks import rle
from kit.predictions import ClassMasks, Instances, Prediction, SemanticMask, Values

_MOST_VALUES = 6
"""Values of an image that stand below its picture."""


def confident(prediction: Prediction, truth: Prediction) -> Prediction:
    """Return as many instances as the truth has, those with the highest scores.

    A submission may hold a hundred more with low scores, which would hide everything in the picture.
    """
    if not isinstance(prediction, Instances) or not isinstance(truth, Instances):
        return prediction
    kept = slice(len(truth.masks))
    size = prediction.height, prediction.width
    return Instances(*size, prediction.scores[kept], prediction.masks[kept], labels=prediction.labels[kept])


def count_caption(prediction: Prediction) -> str:
    """Return what stands below a picture of an image whose truth nobody knows: how much was predicted."""
    if isinstance(prediction, SemanticMask):
        return f"foreground {rle.area(prediction.runs) * 100 / (prediction.height * prediction.width):.1f} %"
    if isinstance(prediction, ClassMasks):
        found = [name for name, runs in prediction.masks.items() if len(runs)]
        return f"predicted: {', '.join(found) or 'nothing'}"
    if isinstance(prediction, Values):
        most = dict(list(prediction.values.items())[:_MOST_VALUES])
        return ", ".join(f"{name} {_short(value)}" for name, value in most.items())
    return counted(len(prediction.masks), "predicted instance")


def compared(truth: Values, prediction: Values) -> str:
    """Return the values of an image beside the true ones, those that differ most first.

    >>> compared(Values({"a": 1.0, "b": "x"}), Values({"a": 0.25, "b": "y"}))
    'b is x, predicted y; a is 1, predicted 0.25'
    """

    def apart(name: str) -> float:
        true, found = truth.values[name], prediction.values[name]
        if isinstance(true, str) or isinstance(found, str):
            return math.inf if str(true) != str(found) else 0.0
        return abs(true - found)

    order = sorted(truth.values, key=apart, reverse=True)
    told = [
        f"{name} is {_short(truth.values[name])}, predicted {_short(prediction.values[name])}"
        for name in order[:_MOST_VALUES]
    ]
    more = len(order) - len(told)
    return "; ".join([*told, counted(more, "more value")] if more else told)


def _short(value: float | str) -> str:
    return value[:60] if isinstance(value, str) else f"{value:.3g}"


def caption(competition: Competition, truth: Prediction, prediction: Prediction, value: float) -> str:
    """Return what stands below a picture: the score of this image alone, and how much there is in both."""
    if isinstance(truth, SemanticMask) and isinstance(prediction, SemanticMask):
        percent = 100 / (truth.height * truth.width)
        true, predicted = rle.area(truth.runs) * percent, rle.area(prediction.runs) * percent
        return f"Dice {value:.3f}; foreground: truth {true:.1f} %, prediction {predicted:.1f} %"
    if isinstance(truth, Values) and isinstance(prediction, Values):
        return f"{competition.metric} {value:.3f}; {compared(truth, prediction)}"
    if not isinstance(truth, Instances) or not isinstance(prediction, Instances):
        return f"{competition.metric} {value:.3f}; {count_caption(prediction)}"
    truth_count, count = len(truth.masks), len(prediction.masks)
    drawn = min(truth_count, count)
    told = f"{competition.metric} {value:.3f}; {counted(truth_count, 'true instance')}, {count} predicted"
    return told if drawn == count else f"{told}; the {drawn} with the highest scores are drawn and judged"
