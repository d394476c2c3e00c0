"""Published operations refuse what cannot be."""

import numpy as np
import pytest

from kit.errors import KitError
from train_local.augment import published
from train_local.augment.operation import Example


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: published.GridDropout(ratio=0.0), "ratio is 0.0"),
        (lambda: published.GridDropout(ratio=1.5), "ratio is 1.5"),
        (lambda: published.GaussianBlur(blur_limit=(4, 7)), "two odd numbers"),
        (lambda: published.GaussianBlur(blur_limit=(7, 3)), "two odd numbers"),
        (lambda: published.PiecewiseAffine(nb_rows=1), "a grid of 1 x 4 points"),
    ],
)
def test_values_that_cannot_be_are_refused(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_a_crop_that_leaves_the_image_is_refused():
    example = Example(np.zeros((4, 6, 3), np.uint8), np.zeros((1, 4, 6), np.uint8))
    assert published.Crop(1, 1, 6, 4)(example, np.random.default_rng(0)).image.shape == (3, 5, 3)
    with pytest.raises(KitError, match="a crop ends at column 7 and row 4"):
        published.Crop(0, 0, 7, 4)(example, np.random.default_rng(0))
