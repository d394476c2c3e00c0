"""Masks whose pixels 32 bits cannot number: nothing here ever holds one of them as pixels."""

import numpy as np
import pytest
from pycocotools import mask as pycocotools

from kit.local.masks.iou import iou_matrix
from kit.local.metrics.dice import dice
from kit.masks import coco, mask_set, rle

SIDE = 66_000
PIXELS = SIDE * SIDE
ENDS = np.array([[0, 1], [PIXELS - 1, 1]])
FULL = np.array([[0, PIXELS]])
HALVES = np.array([[5, PIXELS // 2 - 5]]), np.array([[PIXELS // 4, PIXELS // 2 + 7]])


def test_bands_of_a_slide_are_encoded_to_the_last_pixel():
    rows, band_HW = 1000, np.zeros((1000, SIDE), bool)
    encoder = rle.RunLengthEncoder(SIDE)
    for top in range(0, SIDE, rows):
        band_HW[0, 0], band_HW[-1, -1] = top == 0, top == SIDE - rows
        band_HW[:, 40_000] = True
        encoder.push(band_HW)
    assert encoder.height == SIDE
    assert encoder.finish().tolist() == [[0, 1], [40_000 * SIDE, SIDE], [PIXELS - 1, 1]]


@pytest.mark.parametrize("runs", [ENDS, FULL, *HALVES], ids=["ends", "full", "first half", "second half"])
def test_texts_and_counts_survive_a_round_trip(runs):
    assert np.array_equal(rle.from_kaggle(rle.to_kaggle(runs), SIDE, SIDE, where="row 1"), runs)
    counts = coco.from_runs(runs, SIDE, SIDE)
    assert np.array_equal(coco.runs_of(counts, SIDE, SIDE), runs)
    several = mask_set.decode([counts, coco.from_runs(rle.empty(), SIDE, SIDE), counts], SIDE, SIDE)
    assert several.areas().tolist() == [rle.area(runs), 0, rle.area(runs)]
    assert mask_set.encode(several.columns(SIDE), SIDE, SIDE)[2] == counts
    last = rle.decode_window(runs, SIDE, (SIDE - 2, SIDE - 1, 2, 1))
    start, length = runs[-1].tolist()
    assert last[:, 0].tolist() == [start <= pixel < start + length for pixel in (PIXELS - 2, PIXELS - 1)]


def test_counts_up_to_what_pycocotools_can_hold_are_its_own():
    """It writes 32 bits; reading its own bytes back, it loses those above 31."""
    side = 60_000
    runs = np.array([[3, 1], [7, side * side - 11], [side * side - 2, 2]])
    lengths = rle.to_lengths(runs, side * side).tolist()
    theirs = pycocotools.frPyObjects({"counts": lengths, "size": [side, side]}, side, side)
    assert coco.from_runs(runs, side, side) == theirs["counts"]


def test_overlaps_are_counted_exactly():
    shared = rle.intersection(*HALVES)
    first, second = (rle.area(runs) for runs in HALVES)
    assert shared == PIXELS // 2 - PIXELS // 4
    coded = [coco.from_runs(runs, SIDE, SIDE) for runs in (*HALVES, ENDS)]
    ious = iou_matrix(coded, coded, SIDE, SIDE)
    assert ious[0, 1] == ious[1, 0] == shared / (first + second - shared)
    assert ious.diagonal().tolist() == [1, 1, 1]
    assert ious[0, 2] == 0
    assert dice(*HALVES) == 2 * shared / (first + second)
