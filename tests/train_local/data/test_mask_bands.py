from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kit.masks import rle
from kit.predictions import SemanticMask
from train_local.data.mask_bands import MaskBands


@given(
    st.integers(0, 10_000), st.integers(1, 23), st.integers(1, 17), st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0))
)
def test_bands_of_a_mask_put_together_are_the_mask(seed, height, width, density):
    random = np.random.default_rng(seed)
    mask_HW = random.random((height, width)) < density
    bands = MaskBands(SemanticMask(height, width, rle.encode(mask_HW)))
    cuts = sorted({0, height, *random.integers(0, height + 1, 3).tolist()})
    joined = np.concatenate([bands.band(y0, y1) for y0, y1 in pairwise(cuts)])
    assert np.array_equal(joined, mask_HW * np.uint8(255))
