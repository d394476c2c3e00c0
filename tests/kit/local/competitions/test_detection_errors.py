import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kit.local.competitions.detection_errors import detection_errors
from kit.local.metrics.average_precision import precision_recall
from kit.masks import coco
from kit.predictions import Instances

SIZE = (20, 40)


def box(top, left, rows, columns):
    mask_HW = np.zeros(SIZE, bool)
    mask_HW[top : top + rows, left : left + columns] = True
    return coco.encode(mask_HW)


def instances(*masks, ignored=()):
    return Instances(*SIZE, np.linspace(0.9, 0.5, len(masks)), list(masks), list(ignored))


A, B = box(5, 5, 10, 10), box(5, 15, 10, 10)
TRUTH = instances(A, B)


@pytest.mark.parametrize(
    ("found", "missed", "false", "split", "merged"),
    [
        ([A, B], [0, 0], [0, 0], [0, 0], [0, 0]),
        ([], [1, 1], [], [0, 0], []),
        ([A], [0, 1], [0], [0, 0], [0]),
        # The left 6 columns of A and its right 4: the first finds it (IoU 0.6), the second finds nothing.
        ([box(5, 5, 10, 6), box(5, 11, 10, 4), B], [0, 0], [0, 1, 0], [1, 0], [0, 0, 0]),
        # Four strips of A: none finds it.
        ([box(5, 5 + 2 * k, 10, 2) for k in range(4)], [1, 1], [1] * 4, [1, 0], [0] * 4),
        # One detection over both: its IoU with A is 0.5, so it finds A and lacks B.
        ([box(5, 5, 10, 20)], [0, 1], [0], [0, 0], [1]),
        # The same twice: the second is false, and A is not split.
        ([A, box(5, 5, 10, 9), B], [0, 0], [0, 1, 0], [0, 0], [0, 0, 0]),
        ([box(0, 30, 4, 4)], [1, 1], [1], [0, 0], [0]),
    ],
)
def test_what_is_wrong_with_detections(found, missed, false, split, merged):
    errors = detection_errors(TRUTH, instances(*found), 0.5)
    told = [
        flags.astype(int).tolist() for flags in (errors.missed, errors.false, errors.split, errors.merged)
    ]
    assert told == [missed, false, split, merged]


def test_detections_in_ignored_regions_are_not_false():
    truth = instances(A, ignored=[box(0, 20, 20, 20)])
    errors = detection_errors(truth, instances(A, box(2, 25, 5, 5), box(2, 17, 5, 4)), 0.5)
    assert errors.false.tolist() == [False, False, True], "half of the last one lies outside"


@given(arrays.arrays(np.int8, (3, 12, 16), elements=st.integers(0, 3)), st.sampled_from([0.3, 0.5, 0.75]))
def test_found_and_false_are_what_the_metric_counts(drawn_NHW, iou):
    truth_HW, found_HW, _ = drawn_NHW
    truth, found = (
        Instances(12, 16, np.linspace(0.9, 0.7, 3), [coco.encode(labels_HW == k) for k in (1, 2, 3)])
        for labels_HW in (truth_HW, found_HW)
    )
    errors = detection_errors(truth, found, iou)
    curve = precision_recall({"a": truth}, {"a": found}, iou)
    assert (~errors.false).tolist() == curve.correct.tolist(), "scores fall, so both are in the same order"
    assert (~errors.missed).sum() == curve.correct.sum()
