import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kit.images.reflection import reflected


@given(st.integers(-100, 100), st.integers(0, 100), st.integers(1, 20))
def test_positions_are_those_of_numpys_reflection(start, count, size):
    far = 200
    padded = np.pad(np.arange(size), far, mode="reflect")
    assert np.array_equal(reflected(start, start + count, size), padded[far + start : far + start + count])
