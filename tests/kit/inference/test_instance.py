import numpy as np
import pytest
import torch

from kit.errors import KitError
from kit.inference import views
from kit.inference.instance import predict_instances
from kit.inference.instance_settings import InstanceSettings
from kit.masks import coco
from kit.models import Detections
from tests.kit.inference.predicting import image_pass

CPU = torch.device("cpu")
RECTANGLES = [(2, 3, 12, 9), (20, 4, 31, 30), (5, 18, 15, 36)]  # y1, x1, y2, x2


def tile(height=32, width=40):
    image_HWC = np.zeros((height, width, 3), np.uint8)
    for y1, x1, y2, x2 in RECTANGLES:
        image_HWC[y1:y2, x1:x2] = 255
    return image_HWC


def detect(module, image_HWC, *, view="identity", size=None, **settings):
    chosen = InstanceSettings(size=size or max(image_HWC.shape), **settings)
    return predict_instances(module, chosen, image_pass(image_HWC, view=view))


@pytest.mark.parametrize("size", [40, 80, 160])
@pytest.mark.parametrize("view", views.names())
def test_every_view_and_size_finds_the_same_instances_in_the_images_pixels(blobs, view, size):
    found = detect(blobs, tile(), view=view, size=size)
    expected = sorted(RECTANGLES, key=lambda r: -(r[2] - r[0]) * (r[3] - r[1]))
    for (y1, x1, y2, x2), box, counts in zip(expected, found.boxes, found.masks, strict=True):
        assert np.abs(box - [x1, y1, x2, y2]).max() <= 0.5
        mask_HW = np.zeros((32, 40), bool)
        mask_HW[y1:y2, x1:x2] = True
        assert np.array_equal(coco.decode(counts, 32, 40), mask_HW)
    assert (np.diff(found.scores) <= 0).all()


def test_the_scale_of_a_view_is_that_of_the_networks_input(blobs):
    seen, find = [], blobs.detect
    blobs.detect = lambda x_NCHW: seen.append(tuple(x_NCHW.shape[2:])) or find(x_NCHW)
    straight = detect(blobs, tile(), size=80)
    for view, shape in {"hflip@0.5": (32, 40), "rot90@1.5": (120, 96), "identity@0.001": (1, 1)}.items():
        found = detect(blobs, tile(), view=view, size=80)
        assert seen[-1] == shape
        if shape != (1, 1):
            assert sorted(found.masks) == sorted(straight.masks)


def test_a_set_of_views_is_merged_by_nms_within_the_pass(blobs):
    alone = detect(blobs, tile(), size=80)
    found = detect(blobs, tile(), view="identity+hflip+rot90@0.5", size=80)
    assert found.masks == alone.masks
    # Scores are of the best view, here all equal; boxes of the first.
    assert found.scores.tolist() == pytest.approx(alone.scores.tolist())
    some = detect(blobs, tile(), view="identity+hflip", size=80, max_per_image=2)
    assert some.masks == alone.masks[:2]


def test_best_detections_are_kept_and_low_scores_dropped(blobs):
    everything = detect(blobs, tile())
    assert detect(blobs, tile(), max_per_image=2).masks == everything.masks[:2]
    threshold = float(everything.scores[1])
    assert detect(blobs, tile(), score_threshold=threshold).masks == everything.masks[:2]


def test_an_empty_tile_has_no_instances(blobs):
    found = detect(blobs, np.zeros((8, 9, 3), np.uint8))
    assert found.boxes.shape == (0, 4)
    assert found.masks == []


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1)])
def test_tiles_of_one_pixel_or_one_row_work(blobs, size):
    found = detect(blobs, np.full((*size, 3), 255, np.uint8), size=64)
    assert [coco.decode(counts, *size).all() for counts in found.masks] == [True]
    assert found.boxes.tolist() == [[0, 0, size[1], size[0]]]


def answering(blobs, boxes, scores, masks):
    found = Detections(torch.tensor(boxes), torch.tensor(scores), torch.tensor(masks))
    blobs.detect = lambda _: [found]
    return blobs


def test_boxes_are_clipped_and_those_outside_or_without_mask_dropped(blobs):
    full, empty = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    module = answering(
        blobs,
        [[-3.0, -1, 2, 9], [5, 5, 9, 9], [0, 0, 2, 2], [1, 1, 1, 3]],
        [0.9, 0.8, 0.7, 0.6],
        np.stack([full, full, empty, full]),
    )
    found = detect(module, np.zeros((4, 4, 3), np.uint8))
    assert found.boxes.tolist() == [[0, 0, 2, 4]]


@pytest.mark.parametrize(("threshold", "kept"), [(0.25, 1), (0.26, 0)])
def test_a_pixel_needs_the_declared_coverage_when_masks_are_resized(blobs, threshold, kept):
    masks = np.zeros((1, 8, 8), bool)
    masks[0, 3, 5] = True
    module = answering(blobs, [[4.0, 2, 6, 4]], [0.5], masks)
    found = detect(module, np.zeros((4, 4, 3), np.uint8), size=8, mask_threshold=threshold)
    assert [np.argwhere(coco.decode(mask, 4, 4)).tolist() for mask in found.masks] == [[[1, 2]]] * kept


def test_equal_scores_keep_the_networks_order(blobs):
    masks = np.zeros((3, 4, 4), bool)
    masks[[0, 1, 2], [0, 1, 2]] = True
    module = answering(blobs, [[0.0, 0, 4, 4]] * 3, [0.5, 0.5, 0.5], masks)
    found = detect(module, np.zeros((4, 4, 3), np.uint8))
    assert [int(coco.decode(counts, 4, 4).argmax(0)[0]) for counts in found.masks] == [0, 1, 2]


def test_scores_that_are_not_numbers_name_member_and_image(blobs):
    module = answering(blobs, [[0.0, 0, 4, 4]], [float("nan")], np.ones((1, 4, 4), bool))
    with pytest.raises(KitError, match="boxes or scores that are not numbers") as caught:
        detect(module, np.zeros((4, 4, 3), np.uint8))
    assert "member m, image i" in str(caught.value)


def test_an_image_without_pixels_is_refused(blobs):
    with pytest.raises(KitError, match="image has no pixels"):
        detect(blobs, np.zeros((5, 0, 3), np.uint8), size=8)


@pytest.mark.parametrize(
    ("masks", "shown"),
    [
        (np.ones((1, 4, 5), bool), r"bool masks of the shape \(1, 4, 5\) for an input of 4 x 4"),
        (np.ones((2, 4, 4), bool), r"1 boxes, 1 scores and torch.bool masks of the shape \(2, 4, 4\)"),
        (np.ones((1, 4, 4), np.float32), "torch.float32 masks"),
    ],
)
def test_masks_that_do_not_fit_the_input_name_member_and_image(blobs, masks, shown):
    module = answering(blobs, [[0.0, 0, 4, 4]], [0.5], masks)
    with pytest.raises(KitError, match=shown) as caught:
        detect(module, np.zeros((4, 4, 3), np.uint8))
    assert "member m, image i" in str(caught.value)
