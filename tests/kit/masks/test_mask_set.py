import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.errors import KitError
from kit.masks import coco, mask_set, rle


@st.composite
def some_masks(draw):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    return shape, draw(st.lists(hnp.arrays(bool, shape), max_size=5))


def runs_of(found, number):
    own = found.of == number
    return np.stack([found.starts[own], found.ends[own] - found.starts[own]], axis=1)


@given(some_masks())
def test_runs_equal_those_of_each_mask_alone_and_give_the_same_bytes(case):
    shape, masks = case
    coded = [coco.encode(mask_HW) for mask_HW in masks]
    found = mask_set.decode(coded, *shape)
    assert found.count == len(masks)
    for number, mask_HW in enumerate(masks):
        assert np.array_equal(runs_of(found, number), rle.encode(mask_HW))
    assert found.areas().tolist() == [int(mask_HW.sum()) for mask_HW in masks]
    assert mask_set.encode(found, *shape) == coded
    # Runs cut at the end of columns are joined again.
    assert mask_set.encode(found.columns(shape[0]), *shape) == coded


@given(some_masks(), st.randoms(use_true_random=False))
def test_masks_are_taken_and_joined_in_order(case, random):
    shape, masks = case
    coded = [coco.encode(mask_HW) for mask_HW in masks]
    chosen = sorted(random.sample(range(len(masks)), random.randint(0, len(masks))))
    taken = mask_set.decode(coded, *shape).take(np.array(chosen, np.int64))
    assert mask_set.encode(taken, *shape) == [coded[index] for index in chosen]
    twice = mask_set.join([taken, mask_set.decode([], *shape), taken])
    assert mask_set.encode(twice, *shape) == [coded[index] for index in chosen] * 2


@given(some_masks(), st.integers(0, 4), st.integers(0, 4))
def test_masks_of_a_window_are_placed_in_their_image(case, top, left):
    (rows, columns), masks = case
    height, width = rows + top + 1, columns + left
    found = mask_set.decode([coco.encode(mask_HW) for mask_HW in masks], rows, columns)
    placed = mask_set.encode(found.placed(rows, (top, left), height), height, width)
    for mask_HW, counts in zip(masks, placed, strict=True):
        expected_HW = np.zeros((height, width), bool)
        expected_HW[top : top + rows, left : left + columns] = mask_HW
        assert coco.encode(expected_HW) == counts


@given(some_masks())
def test_crops_are_encoded_where_they_lie(case):
    (rows, columns), masks = case
    corners = [(number, 2 * number) for number in range(len(masks))]
    height, width = rows + 5, columns + 10
    found = mask_set.encode(mask_set.from_crops(masks, corners, height), height, width)
    for mask_HW, (top, left), counts in zip(masks, corners, found, strict=True):
        expected_HW = np.zeros((height, width), bool)
        expected_HW[top : top + rows, left : left + columns] = mask_HW
        assert coco.encode(expected_HW) == counts


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"", "holds no COCO compressed counts"),
        (b"\xff", "holds no COCO compressed counts"),
        (b"P", "holds no COCO compressed counts"),  # says that more follows
        (b"P" * 12 + b"0", "holds no COCO compressed counts"),
        (coco.encode(np.ones((3, 3), bool)), "mask covers 9 pixels, the image has 4 x 4"),
        (b"Nb0", "mask has a run of -2 pixels"),  # -2 and 18: the right sum
    ],
)
def test_one_damaged_mask_among_good_ones_is_refused(bad, message):
    good = coco.encode(np.eye(4, dtype=bool))
    with pytest.raises(KitError, match=message) as caught:
        mask_set.decode([good, bad, good], 4, 4, where="a.npz")
    assert "a.npz" in str(caught.value)


def test_bytes_that_end_in_the_next_mask_are_not_joined_with_it():
    with pytest.raises(KitError, match="no COCO compressed counts"):
        mask_set.decode([b"P", b"0"], 4, 4)
