"""Hits at IoU thresholds: by hand, and against a search through all ways to match."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_api

from kit.local.metrics import matches
from kit.masks import coco
from kit.predictions import Instances

SIDE = 8
BOXES = st.tuples(*[st.integers(0, SIDE - 2)] * 2, *[st.integers(1, 5)] * 2, st.integers(0, 1))


def instances(boxes):
    masks = []
    for top, left, height, width, _ in boxes:
        mask_HW = np.zeros((SIDE, SIDE), bool)
        mask_HW[top : top + height, left : left + width] = True
        masks.append(coco.encode(mask_HW))
    labels = np.array([label for *_, label in boxes], np.int64)
    return Instances(SIDE, SIDE, np.ones(len(masks)), masks, labels=labels)


def most_hits(truth, found, iou):
    """The most pairs above a threshold, from all orders in which detections may choose."""
    pairs = [{"size": [SIDE, SIDE], "counts": mask} for mask in truth.masks]
    guesses = [{"size": [SIDE, SIDE], "counts": mask} for mask in found.masks]
    if not pairs or not guesses:
        return 0
    fits = coco_api.iou(guesses, pairs, [0] * len(pairs)) > iou
    fits &= found.labels[:, None] == truth.labels[None, :]
    slots = max(len(pairs), len(guesses))
    padded = np.zeros((slots, slots), bool)
    padded[: len(guesses), : len(pairs)] = fits
    return max(int(padded[range(slots), list(order)].sum()) for order in permutations(range(slots)))


@given(st.lists(BOXES, max_size=4), st.lists(BOXES, max_size=4))
def test_as_many_hits_as_the_best_way_to_match(truth, found):
    true, guesses, ious = instances(truth), instances(found), [0.1, 0.5, 0.75]
    hits = matches.found_at(true, guesses, ious)
    assert hits.tolist() == [most_hits(true, guesses, iou) for iou in ious]
    both = len(truth) + len(found)
    precisions = [1.0 if not both else hit / (both - hit) for hit in hits]
    assert matches.precision_of_image(true, guesses, ious) == pytest.approx(np.mean(precisions))


def test_an_iou_at_the_threshold_is_no_hit():
    # 4 of 8 pixels: the pages say "greater than 0.5".
    true, found = instances([(0, 0, 4, 2, 0)]), instances([(0, 0, 4, 1, 0)])
    assert matches.found_at(true, found, [0.49, 0.5]).tolist() == [1, 0]


def test_f2_of_ships():
    # 3 ships, 4 detections, 2 hits: precision 1/2, recall 2/3, F2 = 5 * 1/2 * 2/3 / (4 * 1/2 + 2/3) = 0.625.
    ships = [(0, 0, 2, 2, 0), (4, 0, 2, 2, 0), (0, 4, 2, 2, 0)]
    found = [*ships[:2], (6, 6, 2, 2, 0), (3, 3, 1, 1, 0)]
    assert matches.f_beta_of_image(instances(ships), instances(found), [0.5], 2.0) == pytest.approx(0.625)
    assert matches.f_beta_of_image(instances([]), instances([]), [0.5], 2.0) == 1.0
    assert matches.f_beta_of_image(instances([]), instances(found), [0.5], 2.0) == 0.0


def test_another_class_is_no_hit_and_a_missing_image_found_nothing():
    cell, nerve = instances([(0, 0, 3, 3, 0)]), instances([(0, 0, 3, 3, 1)])
    assert matches.found_at(cell, nerve, [0.5]).tolist() == [0]
    empty = instances([])
    scores = matches.mean_of_images({"a": cell, "b": empty}, {}, [0.5], None)
    assert scores == {"a": 0.0, "b": 1.0}
    assert matches.mean_of_images({"a": cell}, {"a": cell}, [0.5], 2.0) == {"a": 1.0}
