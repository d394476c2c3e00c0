"""Masks as text: every encoding comes back as it went in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kit.competitions import mask_text
from kit.competitions.cells_format import MaskText
from kit.masks import rle

FORMS = st.builds(
    MaskText,
    encoding=st.sampled_from(["pairs", "coco"]),
    order=st.sampled_from(["columns", "rows"]),
    first=st.sampled_from([0, 1]),
    empty=st.sampled_from(["", "-1 0"]),
)


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))), FORMS)
def test_a_mask_comes_back_from_its_text(mask_HW, form):
    height, width = mask_HW.shape
    runs = rle.encode(mask_HW)
    text = mask_text.write(runs, form, height, width)
    assert mask_text.is_empty(text, form) == (not mask_HW.any())
    back = mask_text.read(text, form, height, width, where="row 1")
    assert np.array_equal(rle.decode(back, height, width).astype(bool), mask_HW)


@pytest.mark.parametrize("text", ["", " ", "-1 0"])
def test_an_empty_cell_is_no_mask_in_any_form(text):
    form = MaskText(empty="-1 0")
    assert len(mask_text.read(text, form, 3, 3, where="row 1")) == 0
