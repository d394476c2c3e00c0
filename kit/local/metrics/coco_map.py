"""COCO's mask mAP, computed by faster-coco-eval, for comparison with published networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kit.masks import mask_set
from kit.predictions import Instances


@dataclass(frozen=True)
class CocoMap:
    """Average precisions in [0, 1]; None if there is no truth of that size.

    Attributes:
        mean: mean over IoU 0.50, 0.55 ... 0.95.
        at_50: AP at IoU 0.50.
        at_75: AP at IoU 0.75.
        small: `mean` for truths below 32 x 32 pixels.
        medium: `mean` for truths from 32 x 32 to 96 x 96 pixels.
        large: `mean` for truths above.
    """

    mean: float | None
    at_50: float | None
    at_75: float | None
    small: float | None
    medium: float | None
    large: float | None


def coco_map(truths: Mapping[str, Instances], predictions: Mapping[str, Instances]) -> CocoMap:
    """Return what the COCO challenge reports, the mean over classes.

    Only the 100 best detections per image and class count.

    Equal scores are ranked by image id, then by position in the image.

    Args:
        truths: id -> true instances (scores and ignored regions are not used).
        predictions: id -> detections; ids without truth are ignored, a missing one found nothing.

    Raises:
        KitError: a mask is damaged or of another size than its image.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    images = sorted(truths)
    true = [truths[image] for image in images]
    found = [predictions.get(image, Instances(0, 0, np.zeros(0), [])) for image in images]
    reference = COCO(_dataset(true, true))
    evaluation = COCOeval_faster(reference, COCO(_dataset(found, true)), "segm", print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    # COCO reports -1 where there is no truth to find.
    values = [float(value) for value in evaluation.stats[:6]]
    return CocoMap(*(None if value < 0 else value for value in values))


def _dataset(instances: Sequence[Instances], true: Sequence[Instances]) -> dict[str, Any]:
    """Return the content of a COCO file.

    Args:
        instances: of every image.
        true: the truth of the same images, for their sizes.

    Raises:
        KitError: as `coco_map`.
    """
    sizes = [(one.height, one.width) for one in true]
    areas = [mask_set.decode(one.masks, *size).areas() for one, size in zip(instances, sizes, strict=True)]
    image_of = np.repeat(np.arange(len(true)), [len(one.masks) for one in instances])
    area_of = np.concatenate([np.zeros(0, np.int64), *areas])
    score_of = np.concatenate([np.zeros(0), *(np.asarray(one.scores, np.float64) for one in instances)])
    label_of = np.concatenate([np.zeros(0, np.int64), *(one.labels for one in instances)])
    classes = 1 + max((int(one.labels.max(initial=0)) for one in (*instances, *true)), default=0)
    rows = zip(image_of.tolist(), area_of.tolist(), score_of.tolist(), label_of.tolist(), strict=True)
    masks = [counts for one in instances for counts in one.masks]
    return {
        "images": [{"id": number, "height": h, "width": w} for number, (h, w) in enumerate(sizes)],
        "categories": [{"id": number + 1, "name": f"class {number}"} for number in range(classes)],
        "annotations": [
            {
                "id": number + 1,  # the library takes id 0 for "no annotation"
                "image_id": image,
                "category_id": label + 1,
                "iscrowd": 0,
                "area": area,
                "score": score,
                "segmentation": {"size": list(sizes[image]), "counts": masks[number]},
            }
            for number, (image, area, score, label) in enumerate(rows)
        ],
    }


def _silent(*_: Any) -> None:
    """Print nothing."""
