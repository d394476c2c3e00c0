import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.inference import mask_fusion
from kit.masks import coco, mask_set

SIZE = (23, 31)


def decoded(runs):
    return [coco.decode(counts, *SIZE) for counts in mask_set.encode(runs, *SIZE)]


def coded(masks):
    return mask_set.decode([coco.encode(mask_HW) for mask_HW in masks], *SIZE)


def filtered(mask_HW, take, reach):
    """Any or all of the square around each pixel, as far as it is in the image."""
    out_HW = np.zeros_like(mask_HW)
    for y, x in np.ndindex(mask_HW.shape):
        part = mask_HW[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        out_HW[y, x] = take(part)
    return out_HW


def slow(masks, weights, needed, tlbr, *, morphology, kernel):
    """One cluster, on whole images."""
    top, left, bottom, right = tlbr
    votes_HW = np.zeros(SIZE, np.int64)
    for mask_HW, weight in zip(masks, weights, strict=True):
        votes_HW += weight * mask_HW
    found_HW = np.zeros(SIZE, bool)
    found_HW[top:bottom, left:right] = votes_HW[top:bottom, left:right] >= needed
    steps = {"none": (), "closing": (np.any, np.all), "opening": (np.all, np.any)}[morphology]
    for take in steps:
        found_HW = filtered(found_HW, take, kernel // 2)
    return found_HW


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    clusters=st.integers(0, 5),
    weighted=st.booleans(),
    morphology=st.sampled_from(["none", "closing", "opening"]),
    kernel=st.sampled_from([1, 3, 5]),
)
def test_clusters_on_sheets_equal_whole_images_one_by_one(seed, clusters, weighted, morphology, kernel):
    rng = np.random.default_rng(seed)
    frames, masks, of, weights, needed, expected = [], [], [], [], [], []
    for cluster in range(clusters):
        (top, bottom), (left, right) = (np.sort(rng.integers(0, side + 1, 2)).tolist() for side in SIZE)
        own = [rng.random(SIZE) < rng.choice([0.0, 0.3, 0.8, 1.0]) for _ in range(rng.integers(1, 4))]
        votes = rng.integers(1, 5, len(own)).tolist() if weighted else [1] * len(own)
        enough = int(rng.integers(1, sum(votes) + 1))
        frames.append([top, left, bottom, right])
        masks, of = masks + own, of + [cluster] * len(own)
        weights, needed = weights + votes, [*needed, enough]
        expected.append(slow(own, votes, enough, frames[-1], morphology=morphology, kernel=kernel))
    found = mask_fusion.fuse(
        coded(masks),
        np.array(of, np.int64),
        np.array(weights, np.int64) if weighted else None,
        np.array(needed, np.int64),
        mask_fusion.Frames(*SIZE, np.array(frames, np.int64).reshape(-1, 4)),
        morphology=morphology,
        kernel=kernel,
    )
    assert found.count == clusters
    for mask_HW, expected_HW in zip(decoded(found), expected, strict=True):
        assert np.array_equal(mask_HW, expected_HW)


@pytest.mark.parametrize("pixels", [1, 300, 1 << 16])
def test_sheets_of_any_size_give_the_same(monkeypatch, pixels):
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 12, (40, 2))
    tlbr = np.concatenate([corners, corners + rng.integers(1, 11, (40, 2))], axis=1)
    masks = coded([rng.random(SIZE) < 0.7 for _ in range(40)])
    arguments = (masks, np.arange(40), None, np.ones(40, np.int64), mask_fusion.Frames(*SIZE, tlbr))
    whole = mask_fusion.fuse(*arguments, morphology="closing", kernel=3)
    monkeypatch.setattr(mask_fusion, "_SHEET", pixels)
    found = mask_fusion.fuse(*arguments, morphology="closing", kernel=3)
    assert mask_set.encode(found, *SIZE) == mask_set.encode(whole, *SIZE)


def test_more_sheets_than_sixteen_bits_can_number_are_kept_apart(monkeypatch):
    """As masks of few pixels in large boxes would need."""
    monkeypatch.setattr(mask_fusion, "_SHEET", 1)
    side, count = 260, 260 * 260
    pixel = np.random.default_rng(0).permutation(count)
    starts = np.sort(pixel)
    own = np.stack([starts % side, starts // side], axis=1)
    found = mask_fusion.fuse(
        mask_set.MaskSet(count, np.arange(count), starts, starts + 1),
        pixel,
        None,
        np.ones(count, np.int64),
        mask_fusion.Frames(side, side, np.concatenate([own, own + 1], axis=1)[np.argsort(pixel)]),
        morphology="none",
        kernel=1,
    )
    assert np.array_equal(found.of, np.arange(count))
    assert np.array_equal(found.starts, starts[np.argsort(pixel)])


def test_frames_are_rounded_outwards_and_cut_at_the_image():
    boxes = np.array([[1.7, 3.0, 4.2, 5.1], [-9.0, -1.0, 99.0, 99.0], [40.0, 2.0, 50.0, 3.0]])
    frames = mask_fusion.Frames.around(boxes, *SIZE)
    assert frames.tlbr.tolist() == [[3, 1, 6, 5], [0, 0, 23, 31], [2, 31, 3, 31]]


def test_shares_keep_ratios_and_count_zeros_alike():
    of = np.array([0, 0, 1, 1, 1, 2])
    parts, sums = mask_fusion.shares(np.array([1.0, 3.0, 0.0, 0.0, 0.0, 1e-300]), of, 4)
    assert parts[1] == 3 * parts[0]
    assert len({*parts[2:5].tolist()}) == 1
    assert parts.min() > 0
    assert sums.tolist() == [parts[:2].sum(), parts[2:5].sum(), parts[5], 0]


@pytest.mark.parametrize(("min_area", "areas"), [(1, [6, 3, 3]), (3, [6, 3, 3]), (4, [6, 0, 6])])
def test_an_exclusive_mask_of_just_enough_pixels_stays_and_a_smaller_one_takes_none(min_area, areas):
    masks = np.zeros((3, *SIZE), bool)
    for number, mask_HW in enumerate(masks):
        mask_HW[4, 3 * number : 3 * number + 6] = True
    assert mask_fusion.exclusive(coded(masks), *SIZE, min_area).areas().tolist() == areas


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), min_area=st.integers(1, 60))
def test_exclusive_masks_equal_plain_loops(seed, min_area):
    rng = np.random.default_rng(seed)
    masks = [rng.random(SIZE) < rng.choice([0.0, 0.1, 0.5, 1.0]) for _ in range(6)]
    taken_HW, expected = np.zeros(SIZE, bool), []
    for mask_HW in masks:
        free_HW = mask_HW & ~taken_HW
        if free_HW.sum() < min_area:
            free_HW[:] = False
        taken_HW |= free_HW
        expected.append(free_HW)
    found = mask_fusion.exclusive(coded(masks), *SIZE, min_area)
    for mask_HW, expected_HW in zip(decoded(found), expected, strict=True):
        assert np.array_equal(mask_HW, expected_HW)


def test_examples_of_the_documentation():
    runs = mask_set.MaskSet(3, np.arange(3), np.array([2, 3, 4]), np.array([5, 6, 8]))
    frames = mask_fusion.Frames(9, 1, np.array([[0, 0, 9, 1]]))
    of = np.zeros(3, np.int64)
    found = mask_fusion.fuse(runs, of, None, np.array([2]), frames, morphology="none", kernel=1)
    assert (found.starts.tolist(), found.ends.tolist()) == ([3], [6])
    near = mask_fusion.Frames.around(np.array([[2.3, 5.0, 6.1, 8.5]]), 20, 20)
    assert near.tlbr.tolist() == [[5, 2, 9, 7]]

    a_and_b = mask_fusion.Frames(20, 20, np.array([[10, 4, 12, 6], [2, 7, 5, 8]]))
    (sheet,), _ = mask_fusion._sheets(a_and_b, np.array([0, 1]), 1)
    assert (sheet.lines, sheet.stride, sheet.line.tolist()) == (7, 5, [0, 4])
    flat = sheet.place(np.array([0, 0, 1]), np.array([4, 5, 7]), np.array([10, 11, 4]))
    assert [divmod(place, 5) for place in flat.tolist()] == [(1, 1), (2, 2), (5, 3)]
