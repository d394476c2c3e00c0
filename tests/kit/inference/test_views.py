import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.inference import views

SIDES = st.integers(1, 7)
SCALES = st.sampled_from(["", "@1", "@0.8", "@1.25", "@2"])
NAMES = st.builds(str.__add__, st.sampled_from(views.names()), SCALES)


@given(name=NAMES, height=SIDES, width=SIDES)
def test_a_view_is_undone_by_its_inverse_whatever_its_scale(name, height, width):
    x_NCHW = torch.arange(2 * 3 * height * width).reshape(2, 3, height, width)
    assert torch.equal(views.invert(name, views.apply(name, x_NCHW)), x_NCHW)
    assert torch.equal(views.apply(name, views.invert(name, x_NCHW)), x_NCHW)


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


@given(name=NAMES, height=SIDES, width=SIDES, data=st.data())
def test_a_box_follows_its_mask_back(name, height, width, data):
    y1, x1 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    y2, x2 = data.draw(st.integers(y1 + 1, height)), data.draw(st.integers(x1 + 1, width))
    mask_HW = torch.zeros(height, width, dtype=torch.bool)
    mask_HW[y1:y2, x1:x2] = True
    rows, columns = np.nonzero(views.apply(name, mask_HW).numpy())
    shown = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
    assert views.invert_boxes(name, shown, height, width).tolist() == [[x1, y1, x2, y2]]


@pytest.mark.parametrize(
    ("name", "scale"),
    [("hflip", 1.0), ("hflip@0.8", 0.8), ("rot90@1.5", 1.5), ("identity@1e-1", 0.1), ("vflip@16", 16.0)],
)
def test_a_scale_stands_behind_the_symmetry_and_is_1_without(name, scale):
    view, plain = views.get(name), views.get(name.partition("@")[0])
    assert (view.name, view.scale) == (name, scale)
    symmetry = (plain.swap, plain.flip_rows, plain.flip_columns)
    assert (view.swap, view.flip_rows, view.flip_columns) == symmetry


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "nan", "inf", "-inf", "half", "0.8@0.8", "0.8x", "16.1", "1e308"]
)
def test_a_scale_that_is_no_positive_number_or_absurd_is_told(text):
    with pytest.raises(KitError, match="is no scale") as caught:
        views.get(f"hflip@{text}")
    assert f"'hflip@{text}'" in str(caught.value)
    assert "positive number up to 16 after the @" in str(caught.value)


@pytest.mark.parametrize("name", ["rot45", "", "hflip ", "Hflip", "@0.8", "rot45@0.8", "hflip+"])
def test_an_unknown_view_lists_the_known_ones(name):
    with pytest.raises(KitError, match="unknown view") as caught:
        views.get_set(name)
    assert "identity, hflip, vflip" in str(caught.value)


def test_one_view_alone_is_no_set():
    with pytest.raises(KitError, match=r"unknown view 'identity\+hflip'"):
        views.get("identity+hflip")


def test_a_set_is_its_views_in_their_order():
    assert [view.name for view in views.get_set("rot90@0.8+identity+hflip")] == [
        "rot90@0.8",
        "identity",
        "hflip",
    ]
    assert views.get_set("vflip") == (views.get("vflip"),)


@pytest.mark.parametrize("name", ["hflip+hflip", "identity+hflip@0.8+hflip@0.80", "identity+identity@1"])
def test_a_view_counts_once_in_a_set(name):
    with pytest.raises(KitError, match="holds a view twice"):
        views.get_set(name)


@pytest.mark.parametrize(
    ("name", "cost"), [("hflip", 1), ("identity+hflip", 2), ("identity@0.5+hflip@2", 4.25)]
)
def test_the_work_of_a_set_is_the_pixels_the_network_sees(name, cost):
    assert views.work(name) == cost
