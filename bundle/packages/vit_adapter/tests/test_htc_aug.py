"""Scale-range voting on a miniature cascade: against stock mmdet, brute force and mirrored images."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv import ConfigDict
from mmdet.core import BitmapMasks, bbox2roi, bbox_mapping, merge_aug_masks
from mmdet.models import build_detector
from vit_adapter.htc_aug import AREA_RANGES, within_ranges

CLASSES, HEIGHT, WIDTH = 2, 64, 96
STRIDES = [4, 8, 16]
ANY = ["s", "m", "l"]
EVERYTHING = {"score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 1.0}, "max_per_img": 10_000}

PROPOSALS = {
    "nms_pre": 40,
    "max_per_img": 30,
    "nms": {"type": "nms", "iou_threshold": 0.7},
    "min_bbox_size": 0,
}


def aug_config(scale_ranges, augs_per_scale=1, **words):
    return {**EVERYTHING, "scale_ranges": scale_ranges, "augs_per_scale": augs_per_scale, **words}


def extractor(size):
    layer = {"type": "RoIAlign", "output_size": size, "sampling_ratio": 1}
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": layer,
        "out_channels": 8,
        "featmap_strides": STRIDES,
    }


def coder(scale):
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": [scale] * 4}


def semantic_branch():
    return {
        "semantic_roi_extractor": {**extractor(7), "featmap_strides": [8]},
        "semantic_head": {
            "type": "FusedSemanticHead",
            "num_ins": 3,
            "fusion_level": 1,
            "num_convs": 1,
            "in_channels": 8,
            "conv_out_channels": 8,
            "num_classes": 5,
            "loss_seg": {"type": "CrossEntropyLoss", "ignore_index": 255, "avg_non_ignore": True},
        },
    }


def train_config():
    def assigner(iou):
        return {"type": "MaxIoUAssigner", "pos_iou_thr": iou, "neg_iou_thr": iou, "min_pos_iou": iou}

    def sampler(*, with_truth):
        return {
            "type": "RandomSampler",
            "num": 16,
            "pos_fraction": 0.5,
            "add_gt_as_proposals": with_truth,
        }

    stage = {
        "assigner": assigner(0.5),
        "sampler": sampler(with_truth=True),
        "mask_size": 14,
        "pos_weight": -1,
    }
    return {
        "rpn": {
            "assigner": assigner(0.5),
            "sampler": sampler(with_truth=False),
            "allowed_border": -1,
            "pos_weight": -1,
        },
        "rpn_proposal": PROPOSALS,
        "rcnn": [stage] * 3,
    }


def config(aug=None, *, kind="HybridTaskCascadeAug", semantic=False, agnostic=True, masks=True):
    boxes = {
        "type": "Shared2FCBBoxHead",
        "in_channels": 8,
        "fc_out_channels": 16,
        "roi_feat_size": 7,
        "num_classes": CLASSES,
        "reg_class_agnostic": agnostic,
        "loss_bbox": {"type": "SmoothL1Loss"},
    }
    mask = {
        "type": "HTCMaskHead",
        "num_convs": 1,
        "in_channels": 8,
        "conv_out_channels": 8,
        "roi_feat_size": 7,
        "num_classes": CLASSES,
    }
    return ConfigDict(
        type=kind,
        backbone={
            "type": "ResNet",
            "depth": 18,
            "base_channels": 4,
            "stem_channels": 4,
            "num_stages": 3,
            "strides": (1, 2, 2),
            "dilations": (1, 1, 1),
            "out_indices": (0, 1, 2),
            "norm_cfg": {"type": "GN", "num_groups": 2},
        },
        neck={"type": "FPN", "in_channels": [4, 8, 16], "out_channels": 8, "num_outs": 3},
        rpn_head={
            "type": "RPNHead",
            "in_channels": 8,
            "feat_channels": 8,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [8],
                "ratios": [0.5, 1.0, 2.0],
                "strides": STRIDES,
            },
            "bbox_coder": coder(1.0),
            "loss_bbox": {"type": "SmoothL1Loss"},
        },
        roi_head={
            "type": "HybridTaskCascadeRoIHead",
            "num_stages": 3,
            "stage_loss_weights": [1, 0.5, 0.25],
            "bbox_roi_extractor": extractor(7),
            "bbox_head": [{**boxes, "bbox_coder": coder(scale)} for scale in (0.1, 0.05, 0.033)],
            **({"mask_roi_extractor": extractor(7)} if masks else {}),
            **({"mask_head": [{**mask, "with_conv_res": i > 0} for i in range(3)]} if masks else {}),
            **(semantic_branch() if semantic else {}),
        },
        train_cfg=train_config(),
        test_cfg={
            "rpn": PROPOSALS,
            "rcnn": {**EVERYTHING, "mask_thr_binary": 0.5},
            **({} if aug is None else {"aug": aug}),
        },
    )


def detector(aug=None, **words):
    """Random weights that keep the scale of what they are given: boxes move a little, scores differ."""
    torch.manual_seed(0)
    network = build_detector(config(aug, **words))
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            gain = 0.15 if "rpn_reg" in name else 1.2
            torch.nn.init.normal_(parameter, std=gain / np.sqrt(parameter[0].numel()))
    return network.eval()


def image(scale=1, seed=0):
    return torch.randn(1, 3, HEIGHT * scale, WIDTH * scale, generator=torch.Generator().manual_seed(seed))


def meta(scale=1, flip=None):
    return {
        "img_shape": (HEIGHT * scale, WIDTH * scale, 3),
        "pad_shape": (HEIGHT * scale, WIDTH * scale, 3),
        "ori_shape": (HEIGHT, WIDTH, 3),
        "scale_factor": np.full(4, scale, dtype=np.float32),
        "flip": flip is not None,
        "flip_direction": flip,
    }


def detect(network, images, metas):
    """Detections of an augmented image: boxes (n, 5) and masks by class."""
    with torch.no_grad():
        found = network.aug_test(images, [[entry] for entry in metas], rescale=True)
    assert len(found) == 1
    return found[0]


def simple(network, img, entry):
    with torch.no_grad():
        return network.simple_test(img, [entry], rescale=True)[0]


def assert_same(found, expected, *, pixels=0.0):
    (boxes, masks), (expected_boxes, expected_masks) = found, expected
    assert sum(map(len, boxes)) > 10
    for box_n5, mask_n, expected_box_n5, expected_mask_n in zip(
        boxes, masks, expected_boxes, expected_masks, strict=True
    ):
        np.testing.assert_allclose(box_n5, expected_box_n5, rtol=1e-4, atol=2e-3)
        differing = np.stack(mask_n) != np.stack(expected_mask_n)
        assert differing.mean() <= pixels


BORDERS = {
    "s": (0, 1024),
    "m": (1024, 9216),
    "m-": (1024, 4096),
    "m+": (4096, 9216),
    "l": (9216, 10**12),
    "l-": (9216, 262144),
    "l+": (262144, 10**12),
}


@given(
    sides=st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 2000)), min_size=1, max_size=20),
    corner=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    names=st.lists(st.sampled_from(sorted(AREA_RANGES)), max_size=4),
)
def test_areas_are_told_apart_at_the_published_borders(sides, corner, names):
    x, y = corner
    boxes_N4 = torch.tensor([[x, y, x + width, y + height] for width, height in sides], dtype=torch.float32)
    expected = [
        any(
            above < width * height <= up_to and not (name == "l-" and width * height == up_to)
            for name, (above, up_to) in BORDERS.items()
            if name in names
        )
        for width, height in sides
    ]
    assert within_ranges(boxes_N4, names).tolist() == expected
    assert sum(within_ranges(boxes_N4, [name]).int() for name in ANY).tolist() == [1] * len(sides)
    for whole, hole in (("m", None), ("l", 512 * 512)):
        parts = within_ranges(boxes_N4, [f"{whole}-", f"{whole}+"])
        parts |= torch.tensor([width * height == hole for width, height in sides])
        assert torch.equal(within_ranges(boxes_N4, [whole]), parts)


@pytest.mark.parametrize(
    ("side", "name"), [(0, "s"), (32, "s"), (64, "m-"), (96, "m+"), (511, "l-"), (512, "l"), (513, "l+")]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_square_at_a_border_belongs_to_the_range_below_but_512_to_no_part_of_large(side, name, dtype):
    box_14 = torch.tensor([[7.0, 7.0, 7.0 + side, 7.0 + side]], dtype=dtype)
    holding = {other for other in AREA_RANGES if within_ranges(box_14, [other]).item()}
    assert holding == {name, name[0]}


@pytest.mark.parametrize("semantic", [False, True])
def test_training_and_a_single_image_are_those_of_the_stock_cascade(semantic):
    ours = detector(aug_config([ANY]), semantic=semantic)
    stock = detector(kind="HybridTaskCascade", semantic=semantic)
    assert_same(simple(ours, image(), meta()), simple(stock, image(), meta()))
    truth = {
        "gt_bboxes": [torch.tensor([[4.0, 4.0, 40.0, 40.0], [30.0, 10.0, 90.0, 60.0]])],
        "gt_labels": [torch.tensor([0, 1])],
        "gt_masks": [true_masks()],
    }
    if semantic:
        truth["gt_semantic_seg"] = torch.randint(0, 5, (1, 1, HEIGHT // 8, WIDTH // 8))
    losses = []
    for network in (ours, stock):
        torch.manual_seed(1)
        losses.append(network.train().forward_train(image(), [meta()], **copy.deepcopy(truth)))
    assert losses[0].keys() == losses[1].keys()
    assert str(losses[0]) == str(losses[1])


def true_masks():
    masks_NYX = np.zeros((2, HEIGHT, WIDTH), dtype=np.uint8)
    masks_NYX[0, 4:40, 4:40] = 1
    masks_NYX[1, 10:60, 30:90] = 1
    return BitmapMasks(masks_NYX, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "words", [{}, {"semantic": True}, {"agnostic": False}, {"semantic": True, "agnostic": False}], ids=str
)
def test_one_image_with_all_ranges_gives_what_a_simple_test_gives(words):
    network = detector(aug_config([ANY]), **words)
    expected = simple(network, image(2), meta(2))
    assert_same(detect(network, [image(2)], [meta(2)]), expected, pixels=1e-4)


@pytest.mark.parametrize(("flip", "dims"), [("horizontal", (3,)), ("vertical", (2,)), ("diagonal", (2, 3))])
def test_a_flipped_image_gives_the_mirrored_result(flip, dims):
    network = detector(aug_config([ANY]))
    mirrored = image(2).flip(dims)
    boxes, masks = simple(network, mirrored, meta(2))
    expected_boxes, expected_masks = [], []
    for box_n5, mask_n in zip(boxes, masks, strict=True):
        left, top, right, bottom, score = box_n5.T
        if 3 in dims:
            left, right = WIDTH - right, WIDTH - left
        if 2 in dims:
            top, bottom = HEIGHT - bottom, HEIGHT - top
        expected_boxes.append(np.stack([left, top, right, bottom, score], axis=1))
        expected_masks.append([np.flip(mask_YX, [dim - 2 for dim in dims]) for mask_YX in mask_n])
    found = detect(network, [mirrored], [meta(2, flip)])
    assert_same(found, (expected_boxes, expected_masks), pixels=2e-3)


def rows(boxes):
    """All boxes with class and score, in an order of their own."""
    found = np.concatenate([np.insert(box_n5, 5, label, axis=1) for label, box_n5 in enumerate(boxes)])
    return found[np.lexsort(found.T)]


@pytest.mark.parametrize("agnostic", [True, False])
def test_each_scale_gives_only_boxes_of_its_ranges(agnostic):
    ranges = [["m-", "l"], ["s", "m+"]]
    images = [image(1), image(1, seed=1).flip(3), image(2), image(2, seed=2).flip(3)]
    metas = [meta(1), meta(1, "horizontal"), meta(2), meta(2, "horizontal")]
    alone = detector(aug_config([ANY]), agnostic=agnostic)
    expected, dropped = [], 0
    for index, (img, entry) in enumerate(zip(images, metas, strict=True)):
        found = rows(detect(alone, [img], [entry])[0])
        area = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
        inside = np.zeros(len(found), dtype=bool)
        for name in ranges[index // 2]:
            inside |= (area > BORDERS[name][0]) & (area <= BORDERS[name][1])
        expected.append(found[inside])
        dropped += (~inside).sum()
        assert inside.any()
    assert dropped > 5
    together = detector(aug_config(ranges, 2), agnostic=agnostic)
    found = rows(detect(together, images, metas)[0])
    expected = np.concatenate(expected)
    np.testing.assert_allclose(found, expected[np.lexsort(expected.T)], rtol=1e-5, atol=1e-4)


def test_masks_are_the_mean_of_all_images_and_stages_as_mmdet_merges_them():
    network = detector(aug_config([ANY], 4), semantic=True)
    flips = [None, "horizontal", "vertical", "diagonal"]
    metas = [meta(2, flip) for flip in flips]
    head = network.roi_head
    boxes_N4 = torch.tensor([[3.0, 5.0, 40.0, 60.0], [10.0, 0.0, 96.0, 20.0]])
    merged = []
    with torch.no_grad():
        features = [network.extract_feat(image(2, seed)) for seed in range(4)]
        semantics = [head.semantic_head(maps)[1] for maps in features]
        for maps, semantic, entry in zip(features, semantics, metas, strict=True):
            mapped = bbox_mapping(
                boxes_N4, entry["img_shape"], entry["scale_factor"], entry["flip"], entry["flip_direction"]
            )
            rois = bbox2roi([mapped])
            roi_maps = head.mask_roi_extractor[-1](maps, rois) + head.semantic_roi_extractor([semantic], rois)
            last = None
            for mask_head in head.mask_head:
                logits, last = mask_head(roi_maps, last)
                merged.append(logits.sigmoid().numpy())
        found_NCHW = network._mean_mask(features, semantics, metas, boxes_N4)
    expected_NCHW = merge_aug_masks(merged, [[entry] for entry in metas for _ in range(3)], None)
    np.testing.assert_allclose(found_NCHW.numpy(), expected_NCHW, rtol=1e-5, atol=1e-6)
    assert expected_NCHW.std() > 0.01


def test_more_boxes_than_masks_at_once_all_get_their_own():
    network = detector(aug_config([ANY], 3))
    images, metas = [image(2)] * 3, [meta(2)] * 3
    boxes, masks = detect(network, images, metas)
    assert sum(map(len, boxes)) > 128
    once_boxes, once_masks = simple(network, images[0], metas[0])
    for label in range(CLASSES):
        of = {
            tuple(np.round(box, 2)): mask
            for box, mask in zip(once_boxes[label], once_masks[label], strict=True)
        }
        assert len(boxes[label]) == len(masks[label]) == 3 * len(of)
        for box, mask_YX in zip(boxes[label], masks[label], strict=True):
            assert (mask_YX != of[tuple(np.round(box, 2))]).mean() < 1e-3


def test_soft_nms_of_the_aug_config_lowers_scores_of_repeated_boxes():
    nms = {"type": "soft_nms", "iou_threshold": 0.5}
    network = detector(aug_config([ANY], 2, nms=nms, score_thr=0.001, max_per_img=20))
    plain = detector(aug_config([ANY], 1))
    once, _ = detect(plain, [image()], [meta()])
    boxes, masks = detect(network, [image(), image()], [meta(), meta()])
    assert 0 < sum(map(len, boxes)) <= 20
    assert sum(map(len, masks)) == sum(map(len, boxes))
    best = max(box_n5[:, 4].max() for box_n5 in once)
    scores = np.sort(np.concatenate(boxes)[:, 4])[::-1]
    assert scores[0] == pytest.approx(best)
    assert scores[1] < best


def empty(found):
    boxes, masks = found
    assert [box_n5.shape for box_n5 in boxes] == [(0, 5)] * CLASSES
    assert masks == [[] for _ in range(CLASSES)]


@pytest.mark.parametrize("agnostic", [True, False])
def test_no_proposals_give_no_boxes_and_no_masks_for_every_class(agnostic):
    network = detector(aug_config([ANY], 2), agnostic=agnostic)
    network.rpn_head.test_cfg.min_bbox_size = 10_000
    empty(detect(network, [image(), image().flip(3)], [meta(), meta(1, "horizontal")]))


def test_no_boxes_in_range_give_the_same_empty_result():
    network = detector(aug_config([["l+"]]))
    empty(detect(network, [image()], [meta()]))


def test_an_image_without_proposals_leaves_the_others_theirs():
    network = detector(aug_config([ANY, ANY]))
    network.rpn_head.test_cfg.min_bbox_size = 70  # an image of 64 x 96 has none, its double has
    expected = rows(detect(detector_of(network, [ANY]), [image(2)], [meta(2)])[0])
    assert len(expected)
    found = rows(detect(network, [image(1), image(2)], [meta(1), meta(2)])[0])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def detector_of(network, scale_ranges):
    other = copy.deepcopy(network)
    other.test_cfg.aug.scale_ranges = scale_ranges
    return other


def test_without_a_mask_branch_the_boxes_come_alone():
    network = detector(aug_config([ANY]), masks=False)
    boxes = detect(network, [image()], [meta()])
    assert [box_n5.shape[1] for box_n5 in boxes] == [5, 5]
    with_masks, _ = detect(detector(aug_config([ANY])), [image()], [meta()])
    assert len(with_masks) == len(boxes)


def test_mmdet_calls_it_for_several_images():
    network = detector(aug_config([ANY], 2))
    images, metas = [image(), image().flip(3)], [meta(), meta(1, "horizontal")]
    with torch.no_grad():
        found = network(img=images, img_metas=[[entry] for entry in metas], return_loss=False, rescale=True)
    assert_same(found[0], detect(network, images, metas))


@pytest.mark.parametrize(
    ("aug", "message"),
    [
        ({**EVERYTHING}, r"test_cfg.aug lacks \['scale_ranges'\] and has unknown \[\]"),
        (aug_config([ANY], flips=3), r"has unknown \['flips'\]: it takes scale_ranges, score_thr"),
        (aug_config([["s", "xl"]]), r"scale_ranges is .*'xl'.*one list a scale, of names out of s, m, m-"),
        (aug_config(["s", "m"]), r"one list a scale"),
        (aug_config([ANY], 0), r"augs_per_scale is 0, not a positive number"),
        (aug_config([ANY], score_thr=-0.1), r"score_thr is -0.1; it must be 0 or more"),
    ],
)
def test_a_wrong_aug_config_is_refused_when_the_detector_is_built(aug, message):
    with pytest.raises(ValueError, match=message):
        build_detector(config(aug))


@pytest.mark.parametrize(
    ("aug", "metas", "message"),
    [
        (None, [meta()] * 2, "test_cfg has no aug: HybridTaskCascadeAug needs scale_ranges"),
        (
            aug_config([ANY, ["l"]], 2),
            [meta()] * 2,
            r"2 augmented images are not 2 scales x 2: set test_cfg.aug",
        ),
        (
            aug_config([ANY], 2),
            [meta(1), meta(2)],
            r"images 0 to 1 should be flips of one scale, .* correct augs_per",
        ),
    ],
)
def test_images_that_are_not_as_declared_are_refused(aug, metas, message):
    with pytest.raises(ValueError, match=message):
        detect(detector(aug), [image()] * len(metas), metas)


def test_another_frame_than_the_original_image_is_refused():
    network = detector(aug_config([ANY]))
    with pytest.raises(ValueError, match="pass rescale=True"):
        network.aug_test([image()], [[meta()]], rescale=False)


def test_two_images_a_scale_are_assumed_as_published():
    aug = {name: value for name, value in aug_config([ANY]).items() if name != "augs_per_scale"}
    images, metas = [image(), image().flip(3)], [meta(), meta(1, "horizontal")]
    assert_same(detect(detector(aug), images, metas), detect(detector(aug_config([ANY], 2)), images, metas))
