"""What stands below the picture of an image, with its truth and without."""

import numpy as np
import pytest

from kit import competitions
from kit.local.pages.held_out import caption, compared, confident, count_caption
from kit.masks import coco, rle
from kit.predictions import ClassMasks, Instances, SemanticMask, Values

KIDNEY, VESSELS = competitions.get("kidney"), competitions.get("vasculature")
HALF = SemanticMask(2, 2, rle.encode(np.array([[1, 0], [1, 0]], bool)))
NOTHING = SemanticMask(2, 2, rle.empty())


def instances(count):
    scores = np.linspace(1, 0.5, count) if count else np.zeros(0)
    return Instances(2, 2, scores, [coco.encode(np.ones((2, 2), bool))] * count)


@pytest.mark.parametrize(
    ("prediction", "told"),
    [
        (HALF, "foreground 50.0 %"),
        (ClassMasks(2, 2, {"a": HALF.runs, "b": NOTHING.runs, "c": HALF.runs}), "predicted: a, c"),
        (ClassMasks(2, 2, {"a": NOTHING.runs}), "predicted: nothing"),
        (Values({"age": 40.0, "kind": "cat"}), "age 40, kind cat"),
        (instances(3), "3 predicted instances"),
    ],
)
def test_without_truth_it_says_how_much_was_predicted(prediction, told):
    assert count_caption(prediction) == told


def test_as_many_instances_are_drawn_as_are_true():
    kept = confident(instances(5), instances(2))
    assert (len(kept.masks), kept.scores.tolist()) == (2, [1.0, 0.875])
    assert confident(HALF, instances(2)) is HALF
    assert confident(instances(5), HALF).scores.size == 5


def test_values_that_differ_most_come_first_and_there_are_not_too_many():
    truth = Values({"a": 1.0, "b": "x", "c": 2.0, "d": "same"})
    found = Values({"a": 0.25, "b": "y", "c": 2.0, "d": "same"})
    assert compared(truth, found).startswith("b is x, predicted y; a is 1, predicted 0.25")
    many = Values({f"v{number}": float(number) for number in range(9)})
    assert compared(many, many).endswith("; 3 more values")


@pytest.mark.parametrize(
    ("competition", "truth", "prediction", "told"),
    [
        (KIDNEY, HALF, NOTHING, "Dice 0.500; foreground: truth 50.0 %, prediction 0.0 %"),
        (KIDNEY, Values({"a": 1.0}), Values({"a": 2.0}), "mean Dice 0.500; a is 1, predicted 2"),
        (
            KIDNEY,
            ClassMasks(2, 2, {"a": HALF.runs}),
            ClassMasks(2, 2, {"a": HALF.runs}),
            "mean Dice 0.500; predicted: a",
        ),
        (VESSELS, instances(2), instances(2), "AP@0.6 0.500; 2 true instances, 2 predicted"),
        (
            VESSELS,
            instances(2),
            instances(3),
            "AP@0.6 0.500; 2 true instances, 3 predicted; the 2 with the highest scores are drawn and judged",
        ),
    ],
)
def test_with_truth_it_says_the_score_and_how_much_is_in_both(competition, truth, prediction, told):
    assert caption(competition, truth, prediction, 0.5) == told
