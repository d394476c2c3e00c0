import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kit.local.metrics.average_precision import (
    average_precision,
    mean_average_precision,
    precision_recall,
    ranked_curve,
)
from kit.masks import coco
from kit.predictions import Instances

SIDE = 24
boxes = st.tuples(st.integers(0, 16), st.integers(0, 16), st.integers(1, 8), st.integers(1, 8))
detections = st.lists(st.tuples(boxes, st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])), max_size=5)
images = st.lists(st.tuples(st.lists(boxes, max_size=4), detections), min_size=1, max_size=4)


def mask_of(box):
    y, x, h, w = box
    mask_HW = np.zeros((SIDE, SIDE), bool)
    mask_HW[y : y + h, x : x + w] = True
    return mask_HW


def instances(box_list, scores=None):
    scores = np.ones(len(box_list)) if scores is None else np.array(scores, float)
    return Instances(SIDE, SIDE, scores, [coco.encode(mask_of(box)) for box in box_list])


def as_inputs(case):
    truths, guesses = {}, {}
    for index, (truth, guess) in enumerate(case):
        truths[f"tile{index}"] = instances(truth)
        ranked = sorted(guess, key=lambda pair: -pair[1])
        guesses[f"tile{index}"] = instances([box for box, _ in ranked], [score for _, score in ranked])
    return truths, guesses


def slow_average_precision(case, iou):
    """Straight from the words: pixels, plain lists, one detection after another."""
    ranked = sorted(
        (-score, index, place, box)
        for index, (_, guess) in enumerate(case)
        for place, (box, score) in enumerate(sorted(guess, key=lambda pair: -pair[1]))
    )
    free = {index: list(range(len(truth))) for index, (truth, _) in enumerate(case)}
    total = sum(len(truth) for truth, _ in case)
    if total == 0:
        return 0.0 if ranked else 1.0
    curve, hits = [], 0
    for count, (_, index, _, box) in enumerate(ranked, start=1):
        best, best_iou = None, 0.0
        for number in free[index]:
            truth_HW, guess_HW = mask_of(case[index][0][number]), mask_of(box)
            overlap = (truth_HW & guess_HW).sum() / (truth_HW | guess_HW).sum()
            if overlap > best_iou:
                best, best_iou = number, overlap
        if best is not None and best_iou >= iou:
            free[index].remove(best)
            hits += 1
        curve.append((hits / total, hits / count))
    area, before = 0.0, 0.0
    for index, (recall, _) in enumerate(curve):
        area += (recall - before) * max(precision for _, precision in curve[index:])
        before = recall
    return area


@settings(max_examples=80)
@given(images)
def test_equals_the_slow_definition(case):
    assert average_precision(*as_inputs(case)) == pytest.approx(slow_average_precision(case, 0.6), abs=1e-12)


@settings(max_examples=30)
@given(images)
def test_the_mean_over_thresholds_is_that_of_each_alone(case):
    thresholds = [0.3, 0.5, 0.75, 0.9]
    expected = sum(slow_average_precision(case, iou) for iou in thresholds) / 4
    assert mean_average_precision(*as_inputs(case), thresholds) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30)
@given(images, st.floats(0.01, 0.999))
def test_only_the_order_of_scores_matters(case, factor):
    truths, guesses = as_inputs(case)
    scaled = {id_: Instances(SIDE, SIDE, one.scores * factor, one.masks) for id_, one in guesses.items()}
    assert average_precision(truths, scaled) == average_precision(truths, guesses)
    backwards = dict(reversed(guesses.items()))
    assert average_precision(truths, backwards) == average_precision(truths, guesses)


@pytest.mark.parametrize("seed", range(3))
def test_equals_coco_evaluation_at_one_threshold_with_every_recall_step_sampled(seed):
    rng = np.random.default_rng(seed)
    case = []
    for _ in range(6):
        truth = [tuple(rng.integers((0, 0, 3, 3), (14, 14, 9, 9))) for _ in range(rng.integers(1, 6))]
        moved = [tuple(np.add(box, rng.integers(-1, 2, 4) * (rng.random() < 0.8))) for box in truth]
        guess = [(tuple(np.maximum(box, (0, 0, 1, 1))), float(rng.random())) for box in (*moved, *truth[:2])]
        case.append((truth, guess))
    truths, guesses = as_inputs(case)
    total = sum(len(truth.masks) for truth in truths.values())

    def rows(all_instances):
        for image, one in enumerate(all_instances.values()):
            for counts, score in zip(one.masks, one.scores, strict=True):
                segmentation = {"size": [SIDE, SIDE], "counts": counts.decode()}
                yield {"image_id": image, "category_id": 1, "score": score, "segmentation": segmentation}

    reference = COCO()
    reference.dataset = {
        "images": [{"id": image, "height": SIDE, "width": SIDE} for image in range(len(truths))],
        "categories": [{"id": 1, "name": "nucleus"}],
        "annotations": [
            {**row, "id": number, "iscrowd": 0, "area": 1} for number, row in enumerate(rows(truths), start=1)
        ],
    }
    reference.createIndex()
    found = reference.loadRes(list(rows(guesses)))
    evaluation = COCOeval(reference, found, "segm")
    evaluation.params.iouThrs = np.array([0.6])
    evaluation.params.recThrs = np.arange(1, total + 1) / total
    evaluation.params.maxDets = [1000]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    assert average_precision(truths, guesses) == pytest.approx(evaluation.eval["precision"].mean(), abs=1e-12)


@given(images)
def test_curves_of_single_images_join_to_that_of_all(case):
    truths, guesses = as_inputs(case)
    one_by_one = [precision_recall({key: truths[key]}, {key: guesses[key]}, 0.5) for key in sorted(truths)]
    scores, correct = (
        np.concatenate([np.zeros(0), *(getattr(one, name) for one in one_by_one)])
        for name in ("scores", "correct")
    )
    order = np.argsort(-scores, kind="stable")
    joined = ranked_curve(scores[order], correct[order] > 0, sum(one.truths for one in one_by_one))
    together = precision_recall(truths, guesses, 0.5)
    assert joined.scores.tolist() == together.scores.tolist()
    assert joined.correct.tolist() == together.correct.tolist()
    assert joined.average_precision == together.average_precision


def test_a_second_detection_of_the_same_truth_is_wrong():
    curve = precision_recall(
        {"a": instances([(2, 2, 6, 6)])}, {"a": instances([(2, 2, 6, 6), (2, 2, 6, 5)], [0.9, 0.8])}
    )
    assert curve.correct.tolist() == [True, False]
    assert curve.precision.tolist() == [1.0, 0.5]
    assert curve.recall.tolist() == [1.0, 1.0]
    assert curve.average_precision == 1.0


def test_detections_of_all_tiles_are_ranked_together():
    truths = {"a": instances([(2, 2, 6, 6)]), "b": instances([(2, 2, 6, 6)])}
    wrong, right = [(15, 15, 3, 3)], [(2, 2, 6, 6)]
    first_wrong = {"a": instances(wrong, [0.9]), "b": instances(right, [0.5])}
    first_right = {"a": instances(wrong, [0.4]), "b": instances(right, [0.5])}
    assert average_precision(truths, first_wrong) == 0.25
    assert average_precision(truths, first_right) == 0.5


def test_the_threshold_itself_is_enough():
    truth, guess = instances([(0, 0, 5, 8)]), instances([(0, 0, 3, 8)], [1.0])
    assert average_precision({"a": truth}, {"a": guess}) == 1.0  # IoU 24/40


def test_a_detection_whose_best_truth_is_taken_finds_its_second_best():
    truths = {"a": instances([(2, 2, 8, 8), (2, 2, 8, 7)])}  # drawn twice, not alike
    twice = {"a": instances([(2, 2, 8, 8), (2, 2, 8, 8)], [0.9, 0.8])}
    assert precision_recall(truths, twice).correct.tolist() == [True, True]


def test_a_detection_takes_the_truth_it_overlaps_most():
    truths = {"a": instances([(2, 2, 8, 7), (2, 2, 8, 8)])}
    found = {
        "a": instances([(2, 2, 8, 8), (2, 2, 5, 7)], [0.9, 0.8])
    }  # the second fits the first truth alone
    assert precision_recall(truths, found).correct.tolist() == [True, True]


def test_many_equal_scores_rank_by_their_place():
    truths = {"a": instances([(2, 2, 6, 6)] * 30)}
    found = {"a": instances([(2, 2, 6, 6)] * 200, np.resize([0.5, 0.9, 0.7], 200))}
    assert np.flatnonzero(precision_recall(truths, found).correct).tolist() == list(range(30))


def test_detections_of_one_image_need_no_order():
    truths = {"a": instances([(2, 2, 6, 6)])}
    backwards = {"a": instances([(2, 2, 6, 5), (2, 2, 6, 6)], [0.2, 0.8])}
    curve = precision_recall(truths, backwards)
    assert curve.scores.tolist() == [0.8, 0.2]
    assert curve.correct.tolist() == [True, False]


def test_without_truth_only_silence_is_right_and_without_predictions_nothing_is_found():
    nothing, something = instances([]), instances([(2, 2, 6, 6)])
    assert average_precision({"a": nothing}, {}) == 1.0
    assert average_precision({"a": nothing}, {"a": something}) == 0.0
    assert average_precision({"a": something}, {}) == 0.0
