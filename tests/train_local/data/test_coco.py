import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.masks import coco as counts_codec
from kit.masks import rle
from kit.predictions import Instances
from train_local.data import coco


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.sampled_from((0.0, 0.2, 0.8, 1.0)))
def test_counts_come_back_as_the_same_runs(seed, height, width, density):
    mask_HW = np.random.default_rng(seed).random((height, width)) < density
    runs = rle.encode(mask_HW)
    lengths = coco.counts_of(runs, height, width)
    assert sum(lengths) == height * width
    assert np.array_equal(rle.decode(coco.runs_of(lengths), height, width), mask_HW)


# pycocotools' compiled arrays lack numpy 2's copy keyword.
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
def test_annotations_are_what_pycocotools_reads():
    from pycocotools import mask as oracle

    mask_HW = np.zeros((7, 9), bool)
    mask_HW[2:5, 3:8] = True
    mask_HW[6, 0] = True
    tiles = {
        "b": Instances(7, 9, np.ones(1), [counts_codec.encode(mask_HW)]),
        "a": Instances(7, 9, np.ones(0), []),
    }
    value = coco.part_of(tiles, {"a": "train/a.tif", "b": "train/b.tif"}, description="test")
    assert [image["id"] for image in value["images"]] == ["b", "a"]
    (entry,) = value["annotations"]
    packed = oracle.frPyObjects(entry["segmentation"], 7, 9)
    assert np.array_equal(oracle.decode(packed).astype(bool), mask_HW)
    assert entry["area"] == oracle.area(packed)
    assert entry["bbox"] == oracle.toBbox(packed).tolist()


def test_an_instance_without_pixels_is_named():
    empty = counts_codec.encode(np.zeros((3, 3), bool))
    with pytest.raises(KitError, match="instance 0 of tile t has no pixels"):
        coco.part_of({"t": Instances(3, 3, np.ones(1), [empty])}, {"t": "t.tif"}, description="")
