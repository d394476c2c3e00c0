"""How masks are written in a table, from the masks alone."""

import numpy as np
import pytest

from kit.local.new_competition.mask_order import is_mask, writing_of
from kit.masks import coco, rle

SIZE = (60, 90)


def blobs():
    random = np.random.default_rng(0)
    for number in range(6):
        mask_HW = np.zeros(SIZE, bool)
        top, left = random.integers(1, 30, 2)
        mask_HW[top : top + 25, left : left + 30] = True
        yield f"image{number}", mask_HW


def text(mask_HW, order, first):
    return rle.to_kaggle(rle.encode(mask_HW.T if order == "rows" else mask_HW), first=first)


@pytest.mark.parametrize("order", ["columns", "rows"])
@pytest.mark.parametrize("first", [0, 1])
def test_the_order_is_the_one_with_the_shorter_borders(order, first):
    cells = [(image, text(mask_HW, order, first)) for image, mask_HW in blobs()]
    found = writing_of([*cells, ("other", "")], dict.fromkeys([image for image, _ in cells], SIZE))
    assert (found.encoding, found.order, found.sure) == ("pairs", order, True)
    assert "the borders of 6 masks are" in found.why


@pytest.mark.parametrize(("corner", "first"), [((0, 0), 0), ((-1, -1), 1)])
def test_a_mask_in_a_corner_tells_where_counting_begins(corner, first):
    mask_HW = np.zeros(SIZE, bool)
    mask_HW[corner] = True
    found = writing_of([("a", text(mask_HW, "columns", first))], {"a": SIZE})
    assert found.first == first
    assert found.why_first == ("a run begins at 0" if first == 0 else "a run ends at the number of pixels")


def test_where_nothing_tells_it_the_usual_way_is_taken_and_said_to_be_unsure():
    unknown = writing_of([("a", "5 3")], {})
    assert (unknown.order, unknown.first, unknown.sure) == ("columns", 1, False)
    assert "no mask could be decoded" in unknown.why
    assert "1 is usual" in unknown.why_first
    outside = writing_of([("a", "5 3 100000 2")], {"a": SIZE})
    assert not outside.sure


def test_base64_of_coco_s_counts_is_known_and_other_words_are_no_masks():
    packed = coco.pack(coco.encode(np.eye(40, dtype=bool)))
    assert writing_of([("a", packed)], {}).encoding == "coco"
    assert is_mask(packed)
    assert is_mask(" 1 2 ")
    for other in ("", "cat", "1 2 3", "AAAAAAAAAAAA"):
        assert not is_mask(other)
    assert writing_of([("a", ""), ("b", "cat")], {}) is None
