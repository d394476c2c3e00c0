"""Doubts of predictions: as the formula says, whatever the bands; larger where members differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.inference import semantic_fusion
from kit.inference.instance_doubt import doubt_of_scores
from kit.inference.instance_fusion import fuse_instances
from kit.inference.instance_settings import InstanceFusion
from kit.inference.semantic_doubt import MaskDoubt
from kit.inference.store import CodedDetections
from kit.masks import coco, rle

SIZE = (11, 9)


def doubt_of(maps, weights, threshold):
    doubt = MaskDoubt()
    semantic_fusion.fuse_semantic(maps, weights, threshold, doubt)
    return doubt.value


@given(st.integers(0, 999), st.floats(0.01, 0.99), st.integers(1, 3), st.booleans())
def test_it_is_one_minus_the_expected_dice_of_the_mask(seed, threshold, count, small):
    random, dtype = np.random.default_rng(seed), np.uint8 if small else np.uint16
    maps = [random.integers(0, np.iinfo(dtype).max + 1, SIZE).astype(dtype) for _ in range(count)]
    weights = random.uniform(0.5, 2, count)
    mean_HW = np.average([levels_HW / np.iinfo(dtype).max for levels_HW in maps], axis=0, weights=weights)
    runs = semantic_fusion.fuse_semantic(maps, list(weights), threshold)
    mask_HW = rle.decode(runs, *SIZE)
    dice = 2 * mean_HW[mask_HW].sum() / (mean_HW.sum() + mask_HW.sum())
    assert doubt_of(maps, list(weights), threshold) == pytest.approx(1 - dice, abs=1e-5)


def test_bands_change_nothing(monkeypatch):
    maps = [np.random.default_rng(seed).integers(0, 65536, (37, 20), np.uint16) for seed in range(2)]
    whole = [doubt_of(maps, [1, 2], 0.5), doubt_of(maps[:1], [1], 0.5)]
    monkeypatch.setattr(semantic_fusion, "_BAND_VALUES", 60)
    assert [doubt_of(maps, [1, 2], 0.5), doubt_of(maps[:1], [1], 0.5)] == pytest.approx(whole)


def test_members_that_disagree_are_in_more_doubt_than_those_that_agree():
    one_HW = np.zeros(SIZE, np.uint8)
    one_HW[2:6, 2:6] = 240
    other_HW = np.roll(one_HW, 2, axis=1)
    assert doubt_of([one_HW, one_HW], [1, 1], 0.4) == pytest.approx(doubt_of([one_HW], [1], 0.4), abs=1e-6)
    assert doubt_of([one_HW, other_HW], [1, 1], 0.4) > 3 * doubt_of([one_HW, one_HW], [1, 1], 0.4)


def test_where_nothing_is_probable_nothing_is_in_doubt_and_a_mask_of_nothing_else_is():
    nothing_HW = np.zeros(SIZE, np.uint16)
    assert doubt_of([nothing_HW], [1], 0.5) == doubt_of([nothing_HW] * 2, [1, 1], 0.5) == 0
    faint_HW = nothing_HW + np.uint16(9000)
    assert doubt_of([faint_HW], [1], 0.5) == 1, "the first true pixel costs such a mask all of its Dice"


def detections(*found):
    """Squares of 6 pixels at (top, left), each with a score."""
    masks = []
    for (top, left), _ in found:
        mask_HW = np.zeros((60, 60), bool)
        mask_HW[top : top + 6, left : left + 6] = True
        masks.append(coco.encode(mask_HW))
    boxes = np.array([[left, top, left + 6, top + 6] for (top, left), _ in found], float).reshape(-1, 4)
    return CodedDetections(60, 60, boxes, np.array([score for _, score in found]), masks)


def test_of_detections_it_grows_with_every_object_that_only_some_members_find():
    def doubt(*members):
        fused = fuse_instances(list(members), [1.0] * len(members), InstanceFusion(), (60, 60))
        return doubt_of_scores(fused.scores)

    places = [(5, 5), (25, 25), (45, 45)]
    every = detections(*((place, 0.95) for place in places))
    agreed = doubt(every, every)
    assert agreed == pytest.approx(3 * 0.95 * 0.05 / (1 + 3 * 0.95 * 0.05))
    one_less = doubt(every, detections(*((place, 0.95) for place in places[1:])))
    assert agreed < one_less < doubt(every, detections((places[2], 0.95)))
    assert doubt(detections(), detections()) == 0


@given(st.lists(st.floats(0, 1), max_size=200))
def test_it_lies_between_0_and_1(scores):
    assert 0 <= doubt_of_scores(np.array(scores)) < 1
