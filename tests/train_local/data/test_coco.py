import numpy as np
import pytest

from kit.errors import KitError
from kit.masks import coco as counts_codec
from kit.predictions import Instances
from train_local.data import coco


def test_annotations_are_what_pycocotools_reads():
    from pycocotools import mask as oracle

    mask_HW = np.zeros((7, 9), bool)
    mask_HW[2:5, 3:8] = True
    mask_HW[6, 0] = True
    tiles = {
        "b": Instances(7, 9, np.ones(1), [counts_codec.encode(mask_HW)]),
        "a": Instances(7, 9, np.ones(0), []),
    }
    value = coco.whole(tiles, {"a": "train/a.tif", "b": "train/b.tif"}, description="test")
    assert [image["id"] for image in value["images"]] == ["b", "a"]
    (entry,) = value["annotations"]
    packed = oracle.frPyObjects(entry["segmentation"], 7, 9)
    assert np.array_equal(oracle.decode(packed).astype(bool), mask_HW)
    assert np.array_equal(coco.mask_of(entry), mask_HW)
    assert entry["area"] == oracle.area(packed)
    assert entry["bbox"] == oracle.toBbox(packed).tolist()


def test_an_instance_without_pixels_is_named():
    empty = counts_codec.encode(np.zeros((3, 3), bool))
    with pytest.raises(KitError, match="instance 0 of tile t has no pixels"):
        coco.annotations_of("t", Instances(3, 3, np.ones(1), [empty]))
