from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.ensemble import Member
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference import fusion, instance_fusion, semantic_fusion
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.store import save_detections
from kit.masks import coco, rle
from tests.kit.inference import drawn

SIZE = (24, 30)


def rectangle(*corners):
    return drawn.rectangle(SIZE, corners)


def detections(*found):
    return drawn.detections(SIZE, found)


def fused(members, weights=None, **options):
    plain = {"morphology": "none", **options}
    found = instance_fusion.fuse_instances(
        members, weights or [1.0] * len(members), InstanceFusion(**plain), SIZE
    )
    return found, [coco.decode(counts, *SIZE) for counts in found.masks]


@pytest.mark.parametrize(("fraction", "needed"), [(0.0, 1), (0.2, 1), (0.5, 1), (0.67, 2), (1.0, 3)])
def test_a_pixel_needs_the_published_number_of_votes(fraction, needed):
    masks = [rectangle(4, 4, 14, 14), rectangle(4, 4, 14, 15), rectangle(5, 4, 15, 14)]
    _, (mask_HW,) = fused([detections((0.9, mask)) for mask in masks], vote_fraction=fraction)
    votes_HW = np.sum(masks, axis=0)
    box = rectangle(4, 4, 15, 15)  # the fused box, rounded outwards
    assert np.array_equal(mask_HW, (votes_HW >= needed) & box)


def test_a_fused_mask_never_leaves_its_fused_box():
    wide, narrow = rectangle(4, 4, 14, 16), rectangle(4, 4, 14, 14)
    found, (mask_HW,) = fused([detections((0.2, wide)), detections((1.0, narrow))])
    assert np.array_equal(mask_HW, rectangle(4, 4, 14, 15))
    assert found.scores.tolist() == pytest.approx([0.6])


def test_masks_follow_their_boxes_even_when_boxes_are_equal():
    left, right = rectangle(2, 2, 12, 12), rectangle(2, 2, 12, 12)
    left[:, 7:] = False
    right[:, :7] = False
    left[2, 11] = right[11, 2] = True  # both masks span the same box
    _, (mask_HW,) = fused([detections((0.9, left)), detections((0.9, right))], vote_fraction=1.0)
    assert np.array_equal(mask_HW, left & right)


def slow_morphology(mask_HW, morphology, size):
    """Plain loops; outside the image nothing changes anything."""

    def step(source_HW, take):
        out, reach = np.zeros_like(source_HW), size // 2
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                part = source_HW[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
                out[y, x] = take(part)
        return out

    first, second = (np.any, np.all) if morphology == "closing" else (np.all, np.any)
    return step(step(mask_HW, first), second)


@pytest.mark.parametrize("morphology", ["closing", "opening"])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("corner", [(0, 0), (7, 9), (12, 16)])
def test_morphology_of_the_window_equals_that_of_the_whole_image(morphology, size, corner):
    rng, (y, x) = np.random.default_rng(3), corner
    mask_HW = np.zeros(SIZE, bool)
    mask_HW[y : y + 12, x : x + 14] = rng.random((12, 14)) < 0.6
    _, masks = fused([detections((0.9, mask_HW))], morphology=morphology, morphology_size=size)
    expected = slow_morphology(mask_HW, morphology, size)
    assert len(masks) == int(expected.any())
    for found_HW in masks:
        assert np.array_equal(found_HW, expected)


def test_overlaps_are_kept_or_given_to_the_better_instance_as_named():
    better, worse = rectangle(2, 2, 12, 12), rectangle(8, 8, 20, 20)
    member = detections((0.9, better), (0.5, worse))
    assert all(np.array_equal(*pair) for pair in zip(fused([member])[1], [better, worse], strict=True))
    _, masks = fused([member], overlap="exclusive")
    assert np.array_equal(masks[0], better)
    assert np.array_equal(masks[1], worse & ~better)


def test_small_and_unlikely_instances_are_dropped():
    member = detections(
        (0.9, rectangle(0, 0, 4, 4)), (0.5, rectangle(8, 8, 20, 20)), (0.1, rectangle(0, 20, 9, 29))
    )
    for options, kept in (
        ({"min_area": 16}, [0.9, 0.5, 0.1]),
        ({"min_area": 17}, [0.5, 0.1]),
        ({"min_score": 0.5}, [0.9, 0.5]),
        ({"min_score": 0.51}, [0.9]),
        ({"skip_score": 0.5}, [0.9, 0.5]),
        ({"skip_score": 0.51}, [0.9]),
    ):
        found, _ = fused([member], **options)
        assert found.scores.tolist() == kept


def test_soft_masks_are_means_weighted_by_score_and_weight():
    masks = [rectangle(4, 4, 14, 14), rectangle(4, 4, 14, 13), rectangle(5, 4, 14, 14)]
    members = [detections((score, mask)) for score, mask in zip((0.9, 0.5, 0.2), masks, strict=True)]
    weights = [1.0, 2.0, 0.5]
    trust = np.array([0.9, 1.0, 0.1])
    mean_HW = np.average(masks, axis=0, weights=trust)
    for threshold in (0.04, 0.3, 0.47, 0.53, 0.99):
        _, (mask_HW,) = fused(members, weights, masks="soft", mask_threshold=threshold)
        assert np.array_equal(mask_HW, mean_HW >= threshold)


def test_a_soft_mask_of_two_equal_halves_reaches_half_and_no_more():
    masks = [rectangle(4, 4, 14, 14), rectangle(4, 4, 14, 13)]
    for threshold, expected_HW in zip((0.5, 0.5000001), masks, strict=True):
        members = [detections((0.7, mask)) for mask in masks]
        _, (mask_HW,) = fused(members, masks="soft", mask_threshold=threshold)
        assert np.array_equal(mask_HW, expected_HW)


@pytest.mark.parametrize(("confidence", "score"), [("avg", 0.45), ("max", 0.6), ("box_and_model_avg", 0.45)])
def test_scores_are_fused_as_the_settings_name(confidence, score):
    same = rectangle(2, 2, 12, 12)
    found, _ = fused([detections((0.6, same)), detections((0.3, same))], confidence=confidence)
    assert found.scores.tolist() == pytest.approx([score])


def test_masks_emptied_by_opening_or_voting_are_no_instances():
    thin = rectangle(2, 2, 3, 20)
    assert fused([detections((0.9, thin))], morphology="opening", morphology_size=3)[1] == []
    apart = detections((0.9, rectangle(2, 2, 12, 12) & ~rectangle(3, 3, 11, 11)))
    other = detections((0.8, rectangle(3, 3, 11, 11)))
    found, masks = fused([apart, other], iou=0.5, vote_fraction=1.0)
    assert (len(found.scores), masks) == (0, [])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), overlap=st.sampled_from(["keep", "exclusive"]))
def test_portions_of_run_lengths_give_the_same_as_all_at_once(seed, overlap):
    rng = np.random.default_rng(seed)
    members = []
    for _ in range(3):
        corners = rng.integers(0, 12, (6, 2))
        found = [
            (s, rectangle(y, x, y + 9, x + 11)) for (y, x), s in zip(corners, rng.random(6), strict=True)
        ]
        members.append(detections(*found))
    whole, _ = fused(members, overlap=overlap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance_fusion, "_CODED_BYTES", 30)
        portions, _ = fused(members, overlap=overlap)
    assert portions.masks == whole.masks
    assert portions.scores.tolist() == whole.scores.tolist()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    masks=st.sampled_from(["votes", "soft"]),
    overlap=st.sampled_from(["keep", "exclusive"]),
)
def test_neither_the_order_of_members_and_detections_nor_the_scale_of_weights_matters(seed, masks, overlap):
    rng = np.random.default_rng(seed)
    members, weights = [], rng.uniform(0.2, 3, 4)
    for count in rng.integers(0, 8, 4):
        corners = rng.integers(0, 10, (count, 2))
        shapes = [rectangle(y, x, y + 11, x + 12) & (rng.random(SIZE) < 0.8) for y, x in corners]
        members.append(detections(*zip(rng.random(count), shapes, strict=True)))
    options = {"masks": masks, "overlap": overlap, "morphology": "closing", "iou": 0.4}
    found, _ = fused(members, weights.tolist(), **options)
    order = rng.permutation(4)
    shuffled = [members[index].take(rng.permutation(len(members[index].scores))) for index in order]
    again, _ = fused(shuffled, (8 * weights[order]).tolist(), **options)
    assert again.masks == found.masks
    assert again.scores == pytest.approx(found.scores, abs=1e-12)


def test_scores_never_pass_one():
    twice = detections((0.9, rectangle(2, 2, 12, 12)), (0.9, rectangle(2, 2, 12, 12)))
    found, _ = fused([twice, detections()], weights=[3.0, 1.0])
    assert found.scores.tolist() == [1.0]


def test_nothing_found_anywhere_is_an_empty_prediction():
    found, masks = fused([detections(), detections()])
    assert (found.height, found.width, len(found.scores), masks) == (*SIZE, 0, [])


def test_views_of_a_member_are_merged_by_nms():
    one = detections((0.9, rectangle(2, 2, 12, 12)), (0.4, rectangle(2, 18, 12, 28)))
    other = detections((0.8, rectangle(2, 2, 12, 13)), (0.7, rectangle(14, 2, 22, 12)))
    merged = instance_fusion.merge_views([one, other], InstanceSettings(size=30))
    assert merged.scores.tolist() == [0.9, 0.7, 0.4]
    assert merged.masks == [one.masks[0], other.masks[1], one.masks[1]]
    both = instance_fusion.merge_views(
        [one, other], InstanceSettings(size=30, nms_iou=0.91)
    )  # theirs is 10 / 11
    assert both.scores.tolist() == [0.9, 0.8, 0.7, 0.4]
    best = instance_fusion.merge_views([one, other], InstanceSettings(size=30, max_per_image=2))
    assert best.scores.tolist() == [0.9, 0.7]


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    threshold=st.floats(0.05, 0.95),
)
def test_streamed_means_are_thresholded_like_whole_ones(seed, count, height, width, threshold):
    rng = np.random.default_rng(seed)
    tops = rng.choice([255, 65535], count)
    types = [np.uint8 if top == 255 else np.uint16 for top in tops]
    maps = [rng.integers(0, top + 1, (height, width), kind) for top, kind in zip(tops, types, strict=True)]
    weights = rng.uniform(0.2, 2, count).tolist()
    mean_HW = np.average(
        [map_HW / top for map_HW, top in zip(maps, tops, strict=True)], axis=0, weights=weights
    )
    found_HW = rle.decode(semantic_fusion.fuse_semantic(maps, weights, threshold), height, width)
    clear = np.abs(mean_HW - threshold) > 1e-6
    assert np.array_equal(found_HW[clear], (mean_HW >= threshold)[clear])


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.55, 15 / 255, 1 / 3, 0.9999999])
def test_one_map_is_thresholded_on_its_levels_as_on_its_probabilities(top, threshold):
    levels_HW = np.arange(top + 1).reshape(16, -1).astype(np.uint8 if top == 255 else np.uint16)
    ((_, mean_HW),) = semantic_fusion.mean_bands([levels_HW], [0.7])
    found_HW = rle.decode(semantic_fusion.fuse_semantic([levels_HW], [0.7], threshold), *levels_HW.shape)
    assert np.array_equal(found_HW, mean_HW >= np.float32(threshold))


def test_bands_of_rows_give_the_same_mask_as_one_band(monkeypatch):
    maps = [np.random.default_rng(0).integers(0, 65536, (37, 20), np.uint16)]
    whole = semantic_fusion.fuse_semantic(maps, [1.0], 0.5)
    monkeypatch.setattr(semantic_fusion, "_BAND_VALUES", 60)
    assert [y0 for y0, _ in semantic_fusion.mean_bands(maps, [1.0])] == list(range(0, 37, 3))
    assert np.array_equal(semantic_fusion.fuse_semantic(maps, [1.0], 0.5), whole)


def results_of(kind, members, weights, files):
    """Results of passes, as `fuse` takes them: one member's number and weight per pass, files by pass."""
    made = [
        Member(
            name=f"m{index}",
            weights=f"{index}.safetensors",
            sha256=str(index),
            size=1,
            network={},
            inference={"size": 30} if kind == "instance" else {},
            requires=[],
        )
        for index in range(2)
    ]
    return [
        fusion.PassResult(file=files[index], weight=weight, member=made[member])
        for index, (member, weight) in enumerate(zip(members, weights, strict=True))
        if index in files
    ]


def fuse_files(kind, members, weights, files, settings=(), **options):
    results = results_of(kind, members, weights, files)
    return fusion.fuse(results, dict(settings), SIZE, kind=kind, **{"image_id": "i", **options}).prediction


def test_a_rung_uses_the_passes_that_are_there(tmp_path):
    low, high = np.full(SIZE, 20000, np.uint16), np.full(SIZE, 40000, np.uint16)
    files = {}
    for index, levels_HW in enumerate([low, high]):
        files[index] = tmp_path / f"{index}.npy"
        np.save(files[index], levels_HW)
    assert rle.area(fuse_files("semantic", [0, 1], [1.0, 3.0], files).runs) == SIZE[0] * SIZE[1]
    del files[1]
    assert rle.area(fuse_files("semantic", [0, 1], [1.0, 3.0], files).runs) == 0
    with pytest.raises(KitError, match="no pass of this rung has a result") as caught:
        fuse_files("semantic", [0, 1], [1.0, 3.0], {}, image_id="slide 7")
    assert "slide 7" in str(caught.value)


def test_views_are_merged_within_and_fused_across_members(tmp_path):
    same = rectangle(2, 2, 12, 12)
    files = {}
    for index, score in enumerate([0.9, 0.6, 0.8]):
        files[index] = tmp_path / f"{index}.npz"
        save_detections(files[index], detections((score, same)))
    found = fuse_files("instance", [0, 1, 0], [1.0] * 3, files, {"morphology": "none"})
    # NMS leaves .9 of the first member; the mean of .9 and .6 over two members.
    assert found.scores.tolist() == pytest.approx([0.75])
    assert np.array_equal(coco.decode(found.masks[0], *SIZE), same)


def test_weights_stay_with_their_members_whatever_the_order_of_passes(tmp_path):
    first, second = rectangle(2, 2, 12, 12), rectangle(2, 16, 12, 26)
    files = stored(tmp_path, detections((0.5, second)), detections((0.5, first)), detections((0.4, first)))
    found = fuse_files("instance", [1, 0, 0], [1.0, 2.0, 4.0], files, {"morphology": "none"})
    assert found.scores.tolist() == pytest.approx([0.375, 0.125])  # members' weights are 3 and 1
    assert np.array_equal(coco.decode(found.masks[0], *SIZE), first)


def stored(tmp_path, *found):
    """Files of passes by index, as `run_pass` leaves them."""
    files = {}
    for index, one in enumerate(found):
        files[index] = tmp_path / f"{index}.npz"
        save_detections(files[index], one)
    return files


def test_a_member_whose_passes_are_missing_is_left_out(tmp_path):
    plain = {"morphology": "none"}
    files = stored(tmp_path, detections((0.8, rectangle(2, 2, 12, 12))), detections())
    assert fuse_files("instance", [0, 1], [1.0] * 2, files, plain).scores.tolist() == pytest.approx([0.4])
    del files[1]  # it did not find nothing, it never ran: the other one is no longer one of two
    assert fuse_files("instance", [0, 1], [1.0] * 2, files, plain).scores.tolist() == pytest.approx([0.8])


def test_scores_are_calibrated_by_member_before_they_are_fused(tmp_path):
    halved = {"kind": "curve", "scores": [0.0, 1.0], "values": [0.0, 0.5]}
    settings = {"morphology": "none", "calibration": {"m1": halved}}
    files = stored(
        tmp_path,
        detections((0.5, rectangle(2, 2, 10, 10))),
        detections((0.9, rectangle(12, 12, 20, 20)), (0.015, rectangle(2, 20, 10, 28))),
    )
    found = fuse_files("instance", [0, 1], [1.0] * 2, files, settings)
    # .9 became .45 and lost its first place; .015 became less than skip_score.
    assert found.scores.tolist() == pytest.approx([0.25, 0.225])
    assert np.array_equal(coco.decode(found.masks[0], *SIZE), rectangle(2, 2, 10, 10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": np.array([[np.nan, 0, 4, 4]])}, "boxes or scores that are not numbers"),
        ({"scores": np.array([np.inf])}, "boxes or scores that are not numbers"),
        ({"scores": np.array([-0.1])}, "a detection has a negative score"),
        ({"scores": np.array([0.1, 0.2])}, "do not fit scores"),
        ({"masks": [coco.encode(np.ones((3, 3), bool))]}, "mask covers 9 pixels, the image has 24 x 30"),
        ({"masks": [b"\xff\xff"]}, "holds no COCO compressed counts"),
        ({"masks": []}, "1 detections have 0 masks"),
    ],
)
@pytest.mark.parametrize("passes", [1, 2])
def test_damaged_detections_name_the_file_or_the_image(tmp_path, change, message, passes):
    good = detections((0.9, rectangle(2, 2, 12, 12)))
    bad = replace(good, **change)
    files = stored(tmp_path, bad, good)
    with pytest.raises(KitError, match=message) as caught:
        fuse_files("instance", [0] * passes, [1.0] * passes, files, image_id="slide 7")
    assert str(files[0]) in str(caught.value) or "slide 7" in str(caught.value)


def test_the_threshold_is_that_of_the_images_organ(tmp_path):
    settings = {"threshold": 0.5, "thresholds": {"lung": 0.2}}
    np.save(tmp_path / "a.npy", np.full(SIZE, 20000, np.uint16))
    areas = [
        rle.area(fuse_files("semantic", [0], [1.0], {0: tmp_path / "a.npy"}, settings, info=info).runs)
        for info in (None, ImageInfo(organ="kidney"), ImageInfo(organ="lung"))
    ]
    assert areas == [0, 0, SIZE[0] * SIZE[1]]


def test_a_result_of_another_size_is_not_taken_for_this_image(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.uint16))
    with pytest.raises(KitError, match="a result of image slide is 3 x 4, the image 24 x 30"):
        fuse_files("semantic", [0], [1.0], {0: tmp_path / "a.npy"}, image_id="slide")
