"""Dice of all pixels together, class by class, against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kit.local.metrics.class_dice import global_dice
from kit.masks import rle

STACKS = arrays(bool, (3, 2, 4, 5))


@given(STACKS, STACKS)
def test_it_is_the_mean_over_classes_of_the_dice_of_all_images_as_one(true, found):
    truths, predictions = (
        {f"image {n}": [rle.encode(mask_HW) for mask_HW in image] for n, image in enumerate(stack)}
        for stack in (true, found)
    )
    expected = []
    for number in range(2):
        both, total = (true & found)[:, number].sum(), true[:, number].sum() + found[:, number].sum()
        expected.append(2 * both / total if total else 1.0)
    assert global_dice(truths, predictions) == pytest.approx(np.mean(expected))
    assert global_dice(truths, {}) == pytest.approx(
        np.mean([0.0 if true[:, n].any() else 1.0 for n in (0, 1)])
    )


def test_the_score_of_no_images_is_refused():
    with pytest.raises(ValueError, match="no images"):
        global_dice({}, {})


@given(st.integers(1, 5))
def test_a_large_image_weighs_more(side):
    # Truth of 1 pixel and of side * side pixels; only the large one is found.
    small, large = rle.encode(np.ones((1, 1), bool)), rle.encode(np.ones((side, side), bool))
    found = global_dice({"a": [small], "b": [large]}, {"b": [large]})
    assert found == pytest.approx(2 * side**2 / (2 * side**2 + 1))
