import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from kit.masks.spans import spans


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_each_row_has_its_first_and_the_place_after_its_last(covered):
    for row, (first, after) in zip(covered, spans(covered).tolist(), strict=True):
        places = np.flatnonzero(row).tolist()
        assert [first, after] == ([places[0], places[-1] + 1] if places else [0, 0])
