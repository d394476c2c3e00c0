import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.local.metrics.dice import dice, dice_per_image, mean_dice
from kit.masks import rle

pairs = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


@given(pairs)
def test_dice_equals_its_definition_on_pixels(pair):
    truth_HW, guess_HW = pair
    total = int(truth_HW.sum()) + int(guess_HW.sum())
    expected = 2 * int((truth_HW & guess_HW).sum()) / total if total else 1.0
    assert dice(rle.encode(truth_HW), rle.encode(guess_HW)) == expected


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    full = rle.encode(np.ones((3, 3), bool))
    assert dice(rle.empty(), rle.empty()) == 1.0
    assert dice(rle.empty(), full) == dice(full, rle.empty()) == 0.0


def test_the_mean_runs_over_the_truth_and_a_missing_image_counts_as_empty():
    full = rle.encode(np.ones((3, 3), bool))
    truths = {"a": full, "b": full, "c": rle.empty()}
    assert dice_per_image(truths, {"a": full, "z": full}) == {"a": 1.0, "b": 0.0, "c": 1.0}
    assert mean_dice(truths, {"a": full, "z": full}) == pytest.approx(2 / 3)


def test_a_mean_over_nothing_is_a_programming_error():
    with pytest.raises(ValueError, match="no images"):
        mean_dice({}, {})
