"""What is shown of a labelled image and its prediction."""

from __future__ import annotations

from kit.competitions.competition import Competition
from kit.local.competitions.scores import score
from kit.masks import rle
from kit.predictions import ClassMasks, Instances, Prediction, SemanticMask, Values


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
    if isinstance(prediction, ClassMasks):
        found = [name for name, runs in prediction.masks.items() if len(runs)]
        return f"predicted: {', '.join(found) or 'nothing'}"
    if isinstance(prediction, Values):
        return ", ".join(
            f"{name} {value if isinstance(value, str) else f'{value:.3g}'}"
            for name, value in prediction.values.items()
        )
    return f"{len(prediction.masks)} predicted instances"


def caption(competition: Competition, truth: Prediction, prediction: Prediction) -> str:
    """Return what stands below a picture: the score of this image alone, and how much there is in both."""
    value = score(competition, {"image": truth}, {"image": prediction}).value
    if isinstance(truth, SemanticMask) and isinstance(prediction, SemanticMask):
        percent = 100 / (truth.height * truth.width)
        true, predicted = rle.area(truth.runs) * percent, rle.area(prediction.runs) * percent
        return f"Dice {value:.3f}; foreground: truth {true:.1f} %, prediction {predicted:.1f} %"
    if not isinstance(truth, Instances) or not isinstance(prediction, Instances):
        return f"{competition.metric} {value:.3f}; {count_caption(prediction)}"
    truth_count, count = len(truth.masks), len(prediction.masks)
    return (
        f"{competition.metric} {value:.3f}; {truth_count} true instances, {count} predicted, "
        f"the {min(truth_count, count)} best-scored drawn"
    )
