"""What is shown of a labelled image and its prediction."""

from __future__ import annotations

from kit.competitions.competition import Competition
from kit.masks import rle
from kit.predictions import Instances, Prediction, SemanticMask


def confident(prediction: Prediction, truth: Prediction) -> Prediction:
    """Return as many instances as the truth has, those with the highest scores.

    A submission may hold a hundred more with low scores, which would hide everything in the picture.
    """
    if not isinstance(prediction, Instances) or not isinstance(truth, Instances):
        return prediction
    kept = len(truth.masks)
    return Instances(prediction.height, prediction.width, prediction.scores[:kept], prediction.masks[:kept])


def count_caption(prediction: Prediction) -> str:
    """Return what stands below a picture of an image whose truth nobody knows: how much was predicted."""
    if isinstance(prediction, SemanticMask):
        return f"foreground {rle.area(prediction.runs) * 100 / (prediction.height * prediction.width):.1f} %"
    return f"{len(prediction.masks)} predicted instances"


def caption(competition: Competition, truth: Prediction, prediction: Prediction, value: float) -> str:
    """Return what stands below a picture: the score of this image alone, and how much there is in both."""
    if isinstance(truth, SemanticMask) and isinstance(prediction, SemanticMask):
        percent = 100 / (truth.height * truth.width)
        true, predicted = rle.area(truth.runs) * percent, rle.area(prediction.runs) * percent
        return f"Dice {value:.3f}; foreground: truth {true:.1f} %, prediction {predicted:.1f} %"
    truth_count, count = (
        len(item.masks) if isinstance(item, Instances) else 1 for item in (truth, prediction)
    )
    drawn = min(truth_count, count)
    told = f"{competition.metric} {value:.3f}; {truth_count} true instances, {count} predicted"
    return told if drawn == count else f"{told}; the {drawn} with the highest scores are drawn and judged"
