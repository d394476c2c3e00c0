"""Compare the speed of our average precision with faster-coco-eval and pycocotools."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.rounds import median_ratio
from kit.errors import KitError
from kit.local.metrics.average_precision import average_precision, mean_average_precision
from kit.masks import coco
from kit.predictions import Instances

HEAD = ("metric", "way", "s", "x ours", "AP")
"""`s`: seconds from run lengths in memory to the AP. The peers build an index first; that counts, too."""

IOU = 0.6
IOUS = tuple(np.arange(50, 100, 5) / 100)
_SIDE = 512
_TRUTHS, _COPIES = 25, 4
_EQUAL = 1e-6
"""Largest difference between two APs that count as equal: six digits, as the table shows them."""

_Ways: TypeAlias = Mapping[str, Callable[[], Callable[[], float]]]
"""Name -> function that makes new inputs, which is not timed, and returns the step that is timed."""


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Yield rows under `HEAD`: 330 images of 512 x 512 with 25 true instances and 100 detections each.

    Args:
        small: measure 3 images only.
        rounds: number of rounds; each way runs once per round, pycocotools in the first round only.

    Raises:
        KitError: two ways give different APs, so their times would mean nothing.
    """
    truths, found = _case(3 if small else 330)
    # The competition's AP reads the precision at every true positive: with 8250 true instances at the recalls
    # 1/8250, 2/8250, ..., 1. The peers read it at 101 recalls by default; with these recalls they give the
    # same number.
    total = sum(len(one.masks) for one in truths.values())
    everywhere = np.arange(1, total + 1) / total
    one: _Ways = {
        "ours": lambda: partial(average_precision, truths, found, IOU),
        "faster-coco-eval": lambda: partial(_faster, *_inputs(truths, found), [IOU], everywhere),
        "pycocotools": lambda: partial(_pycocotools, *_inputs(truths, found), [IOU], everywhere),
    }
    mean: _Ways = {
        "ours": lambda: partial(mean_average_precision, truths, found, IOUS),
        "faster-coco-eval": lambda: partial(_faster, *_inputs(truths, found), IOUS, everywhere),
    }
    yield from _table(f"AP at {IOU}", one, rounds)
    yield from _table("mean AP at 0.50 to 0.95", mean, rounds)


def _table(label: str, ways: _Ways, rounds: int) -> Iterator[list[str]]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    values = {}
    # `in_turns` does not fit here: the peers write into their inputs, so each run needs new ones, made while
    # no clock runs. pycocotools runs once:
    # it is there to check the values.
    for number in range(rounds):
        for way, prepare in list(ways.items())[:: 1 if number % 2 else -1]:
            if way != "pycocotools" or number == 0:
                step = prepare()
                began = time.perf_counter()
                values[way] = step()
                seconds[way].append(time.perf_counter() - began)
    if max(values.values()) - min(values.values()) > _EQUAL:
        raise KitError(
            f"{label}: the ways give different values, so their times are not comparable: {values}"
        )
    for way, times in seconds.items():
        ratio = median_ratio(times, seconds["ours"])
        yield [label, way, f"{statistics.median(times):.2f}", f"{ratio:.2f}", f"{values[way]:.6f}"]


def _case(images: int) -> tuple[dict[str, Instances], dict[str, Instances]]:
    """Make wavy ellipses, and four detections of each: moved, stretched and turned by random amounts."""
    # A row is (y, x, a, b, turn): centre, half axes and the phase of the outline's waves. The second factor
    # of `change` is between 0 and 2 for each detection, so IoUs spread from nearly 0 to nearly 1, and the
    # thresholds 0.50 to 0.95 all separate hits from misses.
    rng = np.random.default_rng(0)
    truths, found = {}, {}
    for number in range(images):
        shapes = rng.uniform((20, 20, 8, 8, 0), (_SIDE - 20, _SIDE - 20, 30, 30, 6), (_TRUTHS, 5))
        guesses = np.repeat(shapes, _COPIES, axis=0)
        change = rng.normal(0, (4, 4, 3, 3, 1), guesses.shape) * rng.uniform(0, 2, (len(guesses), 1))
        guesses = np.maximum(guesses + change, (0, 0, 3, 3, -10))
        key = f"{number:04}"
        truths[key] = Instances(_SIDE, _SIDE, np.ones(_TRUTHS), [_blob(*shape) for shape in shapes])
        scores = np.sort(rng.random(len(guesses)))[::-1]
        found[key] = Instances(_SIDE, _SIDE, scores, [_blob(*shape) for shape in rng.permutation(guesses)])
    return truths, found


def _blob(y: float, x: float, a: float, b: float, turn: float) -> bytes:
    # The outline has three waves of 15 % around an ellipse. Only a square of 1.3 times the longer half axis
    # around the centre is computed, since 1.15 of it is the farthest the outline gets.
    mask_HW = np.zeros((_SIDE, _SIDE), bool)
    reach = 1.3 * max(a, b) + 1
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    rows, columns = np.ogrid[top : min(_SIDE, int(y + reach)), left : min(_SIDE, int(x + reach))]
    radius = 1 + 0.15 * np.sin(3 * np.arctan2(rows - y, columns - x) + turn)
    inside_HW = ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < radius**2
    mask_HW[top : top + inside_HW.shape[0], left : left + inside_HW.shape[1]] = inside_HW
    return coco.encode(mask_HW)


def _reference(truths: Mapping[str, Instances]) -> dict[str, Any]:
    # COCO files need an area and a box. Neither matters here: `_evaluated` asks for one range of areas that
    # holds everything, and IoUs of masks don't look at boxes.
    annotations = [
        {**row, "id": number, "iscrowd": 0, "area": 1, "bbox": [0, 0, 1, 1]}
        for number, row in enumerate(_results(truths), start=1)
    ]
    images = [{"id": int(image), "height": _SIDE, "width": _SIDE} for image in truths]
    return {"images": images, "categories": [{"id": 1, "name": "vessel"}], "annotations": annotations}


def _inputs(
    truths: Mapping[str, Instances], found: Mapping[str, Instances]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return _reference(truths), _results(found)


def _results(found: Mapping[str, Instances]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": int(image),
            "category_id": 1,
            "score": score,
            "segmentation": {"size": [_SIDE, _SIDE], "counts": counts},
        }
        for image, one in found.items()
        for score, counts in zip(one.scores.tolist(), one.masks, strict=True)
    ]


def _faster(reference: Any, results: Any, ious: Any, recalls: NDArray[np.float64]) -> float:
    from faster_coco_eval import COCO, COCOeval_faster

    loaded = COCO(reference)
    evaluation = COCOeval_faster(loaded, loaded.loadRes(results), "segm", print_function=_silent)
    return _evaluated(evaluation, ious, recalls)


def _pycocotools(reference: Any, results: Any, ious: Any, recalls: NDArray[np.float64]) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO()
        loaded.dataset = reference
        loaded.createIndex()
        return _evaluated(COCOeval(loaded, loaded.loadRes(results), "segm"), ious, recalls)


def _evaluated(evaluation: Any, ious: Any, recalls: NDArray[np.float64]) -> float:
    """Return the competition's AP: all sizes together, precision read at the given recalls."""
    evaluation.params.iouThrs, evaluation.params.recThrs = np.array(ious), recalls
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.params.maxDets = [1000]
    evaluation.evaluate()
    evaluation.accumulate()
    return float(evaluation.eval["precision"].mean())


def _silent(*_: Any) -> None:
    """Replace the peer's print function."""
