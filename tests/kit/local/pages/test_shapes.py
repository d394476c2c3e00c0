import re

import cv2
import numpy as np
import pytest

from kit.competitions import get
from kit.local.pages.judged import judge, wrong_pixels
from kit.local.pages.shapes import shapes
from kit.masks import coco, rle
from kit.predictions import Instances, SemanticMask


def semantic(mask_HW):
    return SemanticMask(*mask_HW.shape, rle.encode(mask_HW))


def boxes_mask(size, *boxes):
    mask_HW = np.zeros(size, bool)
    for top, left, rows, columns in boxes:
        mask_HW[top : top + rows, left : left + columns] = True
    return mask_HW


def rings(path):
    """The corners that path data names, in pixels."""
    found = []
    for part in path.split("z")[:-1]:
        start, *steps = re.split("l", part.removeprefix("M"))
        numbers = [float(word) for word in " ".join([start, *steps]).split()]
        corners = np.array(numbers).reshape(-1, 2)
        found.append(np.cumsum(corners, axis=0))
    return found


def filled(path, size):
    mask_HW = np.zeros(size, np.uint8)
    cv2.fillPoly(mask_HW, [np.round(ring - 0.5).astype(np.int32) for ring in rings(path)], 1)
    return mask_HW.astype(bool)


SIZE = (60, 90)
TRUE = boxes_mask(SIZE, (5, 5, 20, 20), (5, 40, 20, 20), (35, 5, 1, 1))
FOUND = boxes_mask(SIZE, (5, 5, 20, 18), (40, 60, 9, 12))


def test_regions_of_masks_are_judged_and_drawn():
    judged = judge(get("kidney"), semantic(TRUE), semantic(FOUND))
    assert [judged.count(name) for name in ("missed", "false", "split", "merged")] == [2, 1, 0, 0]
    drawn = shapes(judged)
    assert set(drawn.layers) == {"true", "predicted", "missed", "false", "lacking", "surplus"}
    assert (filled(drawn.layers["true"], SIZE) == TRUE).all()
    assert (filled(drawn.layers["predicted"], SIZE) == FOUND).all()
    assert (filled(drawn.layers["lacking"], SIZE) == (TRUE & ~FOUND)).all()
    assert (filled(drawn.layers["false"], SIZE) == boxes_mask(SIZE, (40, 60, 9, 12))).all()
    assert drawn.boxes == [("missed", 40, 5, 20, 20), ("false", 60, 40, 12, 9), ("missed", 5, 35, 1, 1)]
    differ_HW = np.pad(TRUE ^ FOUND, ((0, 30), (0, 0)))
    assert wrong_pixels(judged, 45).tolist() == differ_HW.reshape(2, 45, 2, 45).sum(axis=(1, 3)).tolist()


def test_instances_are_judged_and_drawn():
    true = [coco.encode(boxes_mask(SIZE, box)) for box in ((5, 5, 20, 20), (5, 40, 20, 20))]
    found = [coco.encode(boxes_mask(SIZE, (5, 5, 20, 55)))]
    judged = judge(
        get("vasculature"), Instances(*SIZE, np.ones(2), true), Instances(*SIZE, np.array([0.5]), found)
    )
    assert [judged.count(name) for name in ("missed", "false", "split", "merged")] == [2, 1, 0, 1]
    drawn = shapes(judged)
    assert (filled(drawn.layers["merged"], SIZE) == boxes_mask(SIZE, (5, 5, 20, 55))).all()
    assert wrong_pixels(judged, 90).tolist() == [[2 * 400 + 1100]]


def test_without_truth_there_is_nothing_but_the_prediction():
    judged = judge(get("kidney"), None, semantic(FOUND))
    assert judged.errors is None
    drawn = shapes(judged)
    assert set(drawn.layers) == {"predicted"}
    assert drawn.boxes == []
    assert wrong_pixels(judged, 90).tolist() == [[FOUND.sum()]]


@pytest.mark.parametrize("truth", [TRUE, np.zeros(SIZE, bool)])
def test_an_empty_prediction_may_lack_its_size(truth):
    judged = judge(get("kidney"), semantic(truth), SemanticMask(0, 0, rle.empty()))
    assert judged.count("missed") == (3 if truth.any() else 0)
    assert "predicted" not in shapes(judged).layers
    nothing = Instances(0, 0, np.zeros(0), [])
    of_one = Instances(*SIZE, np.ones(1), [coco.encode(TRUE)])
    assert judge(get("vasculature"), of_one, nothing).count("missed") == 1


def test_the_mask_of_a_slide_is_judged_at_a_smaller_size_and_drawn_at_its_own(monkeypatch):
    monkeypatch.setattr("kit.local.pages.judged._LONGEST", 90)
    big = np.ones((10, 10), bool)
    judged = judge(get("kidney"), semantic(np.kron(TRUE, big)), semantic(np.kron(FOUND, big)))
    assert judged.scale == 10
    assert [judged.count(name) for name in ("missed", "false")] == [2, 1]
    drawn = shapes(judged)
    corners = np.concatenate(rings(drawn.layers["false"]))
    assert corners.min(axis=0).tolist() == [605, 405], "the middles of the first pixels"
    assert drawn.boxes[0] == ("missed", 400, 50, 200, 200)
    assert wrong_pixels(judged, 900).sum() == (TRUE ^ FOUND).sum()


def test_outlines_with_very_many_corners_are_drawn_with_fewer(monkeypatch):
    monkeypatch.setattr("kit.local.pages.shapes._MOST_CHARACTERS", 3000)
    rows, columns = np.mgrid[:600, :600]
    waves = ((rows + 8 * np.sin(columns / 3)) // 40 % 2 == 0) & (columns > 5)
    drawn = shapes(judge(get("kidney"), semantic(waves), semantic(waves)))
    assert sum(map(len, drawn.layers.values())) <= 3000
    assert drawn.tolerance > 0
