import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.inference import instance_windows
from kit.inference.instance import predict_instances
from kit.inference.instance_settings import InstanceSettings
from kit.masks import coco
from tests.kit.inference import drawn
from tests.kit.inference.predicting import image_pass

SIZE = (40, 70)
HALVES = InstanceSettings(size=40, window=40, overlap=10)
"""Columns 0..40 and 30..70 of an image of `SIZE`; cores meet at column 35."""


@settings(deadline=None)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    window=st.integers(6, 90),
    share=st.floats(0, 0.5),
)
def test_windows_lie_inside_share_what_is_asked_and_their_cores_make_up_the_image(
    height, width, window, share
):
    asked = InstanceSettings(size=8, window=window, overlap=int(window * share))
    rows = instance_windows.plan(height, width, asked)
    times = np.zeros((height, width), np.int64)
    for row in rows:
        for item in row:
            x1, y1, x2, y2 = item.shown
            left, top, right, bottom = item.core
            assert (x2 - x1, y2 - y1) == (min(window, width), min(window, height))
            assert 0 <= x1 <= left < right <= x2 <= width
            assert 0 <= y1 <= top < bottom <= y2 <= height
            times[top:bottom, left:right] += 1
        for one, other in itertools.pairwise(row):
            assert one.shown[2] - other.shown[0] >= asked.overlap
    assert (times == 1).all()


def test_an_image_no_larger_than_a_window_or_without_one_is_seen_whole():
    for asked in (InstanceSettings(size=8), InstanceSettings(size=8, window=70)):
        (only,) = instance_windows.plan(*SIZE, asked)
        assert [item.shown for item in only] == [(0, 0, 70, 40)]


def rectangle(*corners):
    return drawn.rectangle(SIZE, corners)


def detections(*found):
    return drawn.detections(SIZE, found)


def merged(left, right, settings=HALVES):
    found = instance_windows.merge(instance_windows.plan(*SIZE, settings), [left, right], settings)
    return list(zip(found.scores.tolist(), (coco.decode(mask, *SIZE) for mask in found.masks), strict=True))


def test_two_halves_of_an_instance_longer_than_the_overlap_become_one():
    ((score, mask_HW),) = merged(
        detections((0.6, rectangle(5, 20, 15, 40))), detections((0.8, rectangle(5, 30, 15, 60)))
    )
    assert score == 0.8
    assert np.array_equal(mask_HW, rectangle(5, 20, 15, 60))


def test_pieces_of_different_height_become_their_union():
    left, right = rectangle(5, 20, 15, 40), rectangle(6, 30, 14, 60)
    ((_, mask_HW),) = merged(detections((0.6, left)), detections((0.8, right)))
    assert np.array_equal(mask_HW, left | right)


def test_pieces_that_agree_in_just_half_of_what_both_show_become_one():
    piece = detections((0.6, rectangle(5, 20, 15, 40)))
    assert len(merged(piece, detections((0.8, rectangle(5, 30, 10, 60))))) == 1
    assert len(merged(piece, detections((0.8, rectangle(5, 30, 9, 60))))) == 2


def test_a_piece_is_compared_with_each_of_several():
    piece = detections((0.6, rectangle(5, 20, 15, 40)))
    others = detections((0.8, rectangle(5, 30, 9, 60)), (0.7, rectangle(10, 30, 15, 60)))
    found = merged(piece, others)
    assert [score for score, _ in found] == [0.8, 0.7]
    assert np.array_equal(found[1][1], rectangle(5, 20, 15, 40) | rectangle(10, 30, 15, 60))


@pytest.mark.parametrize("turned", [False, True], ids=["columns", "rows"])
def test_windows_two_steps_apart_put_together_what_the_one_between_missed(turned):
    size = (100, 50) if turned else (50, 100)
    asked = InstanceSettings(size=60, window=60, overlap=30)
    plan = instance_windows.plan(*size, asked)
    assert [w.shown[turned::2] for row in plan for w in row] == [(0, 60), (20, 80), (40, 100)]
    masks = [np.zeros((50, 100), bool) for _ in range(2)]
    masks[0][10:20, 20:60] = masks[1][10:20, 40:90] = True
    shown = [mask_HW.T if turned else mask_HW for mask_HW in masks]
    first, last = (drawn.detections(size, [(0.5, mask_HW)]) for mask_HW in shown)
    found = instance_windows.merge(plan, [first, drawn.detections(size, []), last], asked)
    assert [coco.decode(mask, *size).tolist() for mask in found.masks] == [(shown[0] | shown[1]).tolist()]


def test_halves_that_disagree_where_both_are_seen_stay_two():
    left, right = rectangle(5, 20, 15, 40), rectangle(14, 30, 25, 60)
    assert len(merged(detections((0.6, left)), detections((0.8, right)))) == 2


def test_a_cut_piece_gives_way_to_the_whole_even_with_a_better_score():
    whole = rectangle(5, 10, 15, 36)
    ((score, mask_HW),) = merged(detections((0.5, whole)), detections((0.9, rectangle(5, 30, 15, 36))))
    assert score == 0.5
    assert np.array_equal(mask_HW, whole)


def test_a_cut_piece_nobody_else_saw_counts_only_with_its_centre_in_the_core():
    outside = detections((0.9, rectangle(5, 33, 15, 40)))  # centre 36.5, the core ends at 35
    inside = detections((0.9, rectangle(5, 25, 15, 40)))
    assert merged(outside, detections()) == []
    assert len(merged(inside, detections())) == 1
    on_the_seam = detections((0.9, rectangle(5, 30, 15, 40)))
    assert merged(on_the_seam, detections()) == []
    assert len(merged(detections(), on_the_seam)) == 1


def test_a_box_counts_as_cut_from_two_pixels_of_the_windows_border_on():
    assert merged(detections((0.9, rectangle(5, 34, 15, 38))), detections()) == []
    assert len(merged(detections((0.9, rectangle(5, 34, 15, 37))), detections())) == 1


def test_what_both_windows_show_whole_is_counted_once():
    seen = rectangle(5, 33, 15, 37)
    ((score, mask_HW),) = merged(detections((0.7, seen)), detections((0.8, seen)))
    assert score == 0.8
    assert np.array_equal(mask_HW, seen)


def test_how_much_two_whole_detections_of_one_instance_overlap_is_a_setting():
    left, right = detections((0.7, rectangle(5, 33, 15, 37))), detections((0.8, rectangle(5, 33, 12, 37)))
    assert len(merged(left, right)) == 1
    assert len(merged(left, right, InstanceSettings(size=40, window=40, overlap=10, nms_iou=0.7))) == 2


def test_the_images_own_border_cuts_nothing():
    corner = rectangle(0, 0, 6, 5)
    assert [score for score, _ in merged(detections((0.4, corner)), detections())] == [0.4]


def test_the_example_of_the_documentation():
    size, asked = (20, 160), InstanceSettings(size=100, window=100, overlap=40)
    plan = instance_windows.plan(*size, asked)
    assert [(w.shown[::2], w.core[::2]) for w in plan[0]] == [((0, 100), (0, 80)), ((60, 160), (80, 160))]

    def found(*spans):
        return drawn.detections(
            size, [(score, drawn.rectangle(size, (y, x0, y + 2, x1))) for score, y, x0, x1 in spans]
        )

    first = found((0.9, 1, 70, 90), (0.8, 5, 80, 100), (0.6, 9, 40, 100), (0.5, 13, 92, 100))
    second = found((0.4, 1, 70, 90), (0.3, 5, 80, 130), (0.7, 9, 60, 130))
    merged = instance_windows.merge(plan, [first, second], asked)
    assert merged.scores.tolist() == [0.9, 0.7, 0.3]
    assert merged.boxes[:, [0, 2]].tolist() == [[70, 90], [40, 130], [80, 130]]


def test_windows_without_detections_merge_to_none():
    assert merged(detections(), detections()) == []


def blobs_image(height, width, seed):
    """Bright rectangles, smaller than the overlap, none touching another."""
    rng = np.random.default_rng(seed)
    image_HWC = np.zeros((height, width, 3), np.uint8)
    for y, x in np.ndindex(height // 24, width // 24):
        rows, columns = rng.integers(4, 16, 2)
        top, left = 24 * y + rng.integers(0, 22 - rows), 24 * x + rng.integers(0, 22 - columns)
        image_HWC[top : top + rows, left : left + columns] = 255
    return image_HWC


def predict(blobs, image_HWC, **options):
    seen = []
    settings = InstanceSettings(score_threshold=0, max_per_image=500, **options)
    asked = image_pass(image_HWC, view="hflip", on_batch=lambda done, total: seen.append((done, total)))
    return predict_instances(blobs, settings, asked), seen


@pytest.mark.parametrize("size", [100, 200])
@pytest.mark.parametrize(("height", "width"), [(240, 336), (90, 300), (100, 101), (151, 151)])
def test_instances_of_a_large_image_are_those_it_would_have_whole(blobs, size, height, width):
    image_HWC = blobs_image(height, width, seed=height)
    whole, _ = predict(blobs, image_HWC, size=max(height, width))
    found, seen = predict(blobs, image_HWC, size=size, window=100, overlap=40)
    assert sorted(found.masks) == sorted(whole.masks)
    assert (np.diff(found.scores) <= 0).all()
    assert seen == [(number + 1, len(seen)) for number in range(len(seen))]
    assert len(seen) > 1


def test_an_instance_across_many_windows_is_put_together(blobs):
    image_HWC = np.zeros((60, 400, 3), np.uint8)
    image_HWC[20:40, 10:390] = 255
    found, _ = predict(blobs, image_HWC, size=64, window=64, overlap=16)
    assert [coco.decode(mask, 60, 400).sum() for mask in found.masks] == [20 * 380]
    assert found.boxes.tolist() == [[10, 20, 390, 40]]


def test_an_image_of_one_long_row_works(blobs):
    found, _ = predict(blobs, np.full((1, 5000, 3), 255, np.uint8), size=128, window=128, overlap=16)
    assert [coco.decode(mask, 1, 5000).all() for mask in found.masks] == [True]
