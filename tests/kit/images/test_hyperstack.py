"""Planes behind the only page of a TIFF, which its description announces."""

import numpy as np
import pytest
import tifffile

from tests.kit.images.pages import pages_in


@pytest.mark.parametrize(("truncate", "planes"), [(True, 3), (False, 1)])
def test_only_a_file_that_says_it_has_one_page_for_all_planes_has_planes_behind_it(
    tmp_path, truncate, planes
):
    path, stack_NHW = tmp_path / "a.tif", np.zeros((3 if truncate else 1, 8, 10), np.uint8)
    # Without `truncate` tifffile writes the same kind of description: {"shape": [1, 8, 10]}.
    tifffile.imwrite(path, stack_NHW, truncate=truncate, photometric="minisblack")
    assert pages_in(path) == planes


def test_a_description_of_another_writer_announces_no_planes(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((8, 10), np.uint8),
        description='{"shape": [3, 8, 10], "truncated": false}',
        metadata=None,
    )
    assert pages_in(path) == 1
