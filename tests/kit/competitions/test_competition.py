"""Ids and sizes of the images of a folder."""

import numpy as np
import pytest

from kit.errors import KitError

RGB_HWC = np.zeros((10, 12, 3), np.uint8)


def test_ids_come_in_the_order_of_the_sample_submission_else_sorted(kidney):
    assert kidney.competition.test_ids(kidney.root) == ["dd", "cc"]
    (kidney.root / "sample_submission.csv").unlink()
    assert kidney.competition.test_ids(kidney.root) == ["cc", "dd"]


def test_sizes_come_from_the_header(each):
    each.image("train", "wide", RGB_HWC[:3])
    assert each.competition.size_of(each.root, "wide") == (3, 12)
    assert each.competition.size_of(each.root, "cc") == (10, 12)
    with pytest.raises(KitError, match="image is missing"):
        each.competition.size_of(each.root, "nobody")
    with pytest.raises(KitError, match="image cannot be read: File name too long"):
        each.competition.size_of(each.root, "x" * 400)
