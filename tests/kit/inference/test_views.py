import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.inference import views

SIDES = st.integers(1, 7)


@pytest.mark.parametrize("name", views.names())
def test_a_view_is_undone_by_its_inverse(name):
    x_NCHW = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert torch.equal(views.invert(name, views.apply(name, x_NCHW)), x_NCHW)


def test_the_views_are_the_eight_symmetries_of_the_square():
    x_NCHW = torch.arange(9).reshape(1, 1, 3, 3)
    seen = {tuple(views.apply(name, x_NCHW).flatten().tolist()) for name in views.names()}
    assert len(seen) == len(views.names()) == 8


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", lambda a: a),
        ("hflip", np.fliplr),
        ("vflip", np.flipud),
        ("rot90", np.rot90),
        ("rot180", lambda a: np.rot90(a, 2)),
        ("rot270", lambda a: np.rot90(a, 3)),
        ("transpose", np.transpose),
        ("transverse", lambda a: np.rot90(a, 2).T),
    ],
)
def test_views_are_what_numpy_calls_them(name, expected):
    image = np.arange(12).reshape(3, 4)
    assert np.array_equal(views.apply(name, torch.from_numpy(image)).numpy(), expected(image))


@pytest.mark.parametrize("name", views.names())
def test_no_view_moves_channels_or_the_batch(name):
    x_NCHW = torch.arange(2 * 3).reshape(2, 3, 1, 1).expand(2, 3, 4, 4)
    assert torch.equal(views.apply(name, x_NCHW), x_NCHW)


@given(name=st.sampled_from(views.names()), height=SIDES, width=SIDES, data=st.data())
def test_a_box_follows_its_mask_back(name, height, width, data):
    y1, x1 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    y2, x2 = data.draw(st.integers(y1 + 1, height)), data.draw(st.integers(x1 + 1, width))
    mask_HW = torch.zeros(height, width, dtype=torch.bool)
    mask_HW[y1:y2, x1:x2] = True
    rows, columns = np.nonzero(views.apply(name, mask_HW).numpy())
    shown = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
    assert views.invert_boxes(name, shown, height, width).tolist() == [[x1, y1, x2, y2]]


def test_an_unknown_view_lists_the_known_ones():
    with pytest.raises(KitError, match="unknown view 'rot45'") as caught:
        views.apply("rot45", torch.zeros(1, 1, 2, 2))
    assert "identity, hflip, vflip" in str(caught.value)
