"""Necks, heads and their training settings, as the published configurations of `cbnetv2.zoo` share them."""

from __future__ import annotations

from typing import Any

Settings = dict[str, Any]

CHANNELS = 256
_STRIDES = [4, 8, 16, 32, 64]
_STAGE_IOUS = (0.5, 0.6, 0.7)
_STAGE_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
_STAGE_LOSS_WEIGHTS = [1.0, 0.5, 0.25]
_STUFF_CLASSES = 183


def neck(in_channels: list[int]) -> Settings:
    """A pyramid of five levels; the fifth is the fourth, thinned out."""
    return {"type": "CBFPN", "in_channels": in_channels, "out_channels": CHANNELS, "num_outs": len(_STRIDES)}


def rpn(loss: Settings | None = None) -> Settings:
    """Three anchors a place; smooth L1 of beta 1/9 for the boxes unless another loss is given."""
    return {
        "type": "RPNHead",
        "in_channels": CHANNELS,
        "feat_channels": CHANNELS,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "scales": [8],
            "ratios": [0.5, 1.0, 2.0],
            "strides": list(_STRIDES),
        },
        "bbox_coder": _coder((1.0, 1.0, 1.0, 1.0)),
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
        "loss_bbox": loss or _smooth_l1(1.0 / 9.0),
    }


def standard_roi(num_classes: int, *, masks: bool) -> Settings:
    """The one-stage head of Faster and Mask R-CNN, with L1 loss."""
    settings: Settings = {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": _extractor(7),
        "bbox_head": {
            **_box_head(num_classes, _STAGE_STDS[0], agnostic=False),
            "loss_bbox": {"type": "L1Loss", "loss_weight": 1.0},
        },
    }
    if masks:
        settings["mask_roi_extractor"] = _extractor(14)
        settings["mask_head"] = mask_head(num_classes)
    return settings


def box_heads(head: str, num_classes: int, *, agnostic: bool, sync_bn: bool) -> list[Settings]:
    """Box heads of the three stages.

    Args:
        head: "2fc", with smooth L1 loss on deltas, or "4conv1fc", with GIoU loss x 10 on boxes.
        num_classes: without background.
        agnostic: whether one box serves all classes.
        sync_bn: kind of the normalisation of "4conv1fc".

    Raises:
        ValueError: another kind of head.
    """
    if head not in {"2fc", "4conv1fc"}:
        raise ValueError(f"there is no box head {head!r}; choose '2fc' or '4conv1fc'")
    plain = [_box_head(num_classes, stds, agnostic=agnostic) for stds in _STAGE_STDS]
    if head == "2fc":
        return plain
    convolutional = {
        "type": "ConvFCBBoxHead",
        "num_shared_convs": 4,
        "num_shared_fcs": 1,
        "conv_out_channels": CHANNELS,
        "norm_cfg": {"type": "SyncBN" if sync_bn else "BN", "requires_grad": True},
        "reg_decoded_bbox": True,
        "loss_bbox": {"type": "GIoULoss", "loss_weight": 10.0},
    }
    return [{**one, **convolutional} for one in plain]


def mask_head(num_classes: int, kind: str = "FCNMaskHead") -> Settings:
    """Four convolutions and an upsampling to 28 x 28."""
    return {
        "type": kind,
        "num_convs": 4,
        "in_channels": CHANNELS,
        "conv_out_channels": CHANNELS,
        "num_classes": num_classes,
        "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
    }


def cascade_roi(boxes: list[Settings], mask_head: Settings | None = None) -> Settings:
    """Three stages of box heads, and of one kind of mask head where one is given."""
    settings: Settings = {
        "type": "CascadeRoIHead",
        "num_stages": len(boxes),
        "stage_loss_weights": list(_STAGE_LOSS_WEIGHTS),
        "bbox_roi_extractor": _extractor(7),
        "bbox_head": boxes,
    }
    if mask_head is not None:
        settings["mask_roi_extractor"] = _extractor(14)
        settings["mask_head"] = mask_head
    return settings


def htc_roi(boxes: list[Settings], num_classes: int, *, semantic: bool) -> Settings:
    """Interleaved box and mask stages; with the semantic branch their features get its embedding too."""
    masks = [
        {**mask_head(num_classes, "HTCMaskHead"), "with_conv_res": stage > 0} for stage in range(len(boxes))
    ]
    settings = {
        **cascade_roi(boxes),
        "type": "HybridTaskCascadeRoIHead",
        "interleaved": True,
        "mask_info_flow": True,
        "mask_roi_extractor": _extractor(14),
        "mask_head": masks,
    }
    if semantic:
        settings["semantic_roi_extractor"] = {**_extractor(14), "featmap_strides": [8]}
        settings["semantic_head"] = {
            "type": "FusedSemanticHead",
            "num_ins": len(_STRIDES),
            "fusion_level": 1,
            "num_convs": 4,
            "in_channels": CHANNELS,
            "conv_out_channels": CHANNELS,
            "num_classes": _STUFF_CLASSES,
            # The mean over the pixels that count, as mmdet 2.14, which trained these networks, has it.
            "loss_seg": {
                "type": "CrossEntropyLoss",
                "ignore_index": 255,
                "avg_non_ignore": True,
                "loss_weight": 0.2,
            },
        }
    return settings


def standard_training(*, masks: bool) -> Settings:
    """Assignment and sampling for one stage; Mask R-CNN also takes a box's best proposal below the bar."""
    return {
        "rpn": _rpn_training(allowed_border=-1),
        "rpn_proposal": _proposals(before_nms=2000, kept=1000),
        "rcnn": _rcnn_training(0.5, masks=masks, low_quality=masks),
    }


def cascade_training(*, masks: bool, low_quality: bool = False) -> Settings:
    """Assignment and sampling for three stages of rising overlap.

    Args:
        masks: whether masks are trained.
        low_quality: whether a box that no proposal fits well enough gets its best one; so for HTC.
    """
    return {
        "rpn": _rpn_training(allowed_border=0),
        "rpn_proposal": _proposals(before_nms=2000, kept=2000),
        "rcnn": [_rcnn_training(iou, masks=masks, low_quality=low_quality) for iou in _STAGE_IOUS],
    }


def detection(*, masks: bool, soft: bool) -> Settings:
    """Proposals and final suppression; `soft` is the score-decaying kind at a threshold of 0.001."""
    rcnn: Settings = {
        "score_thr": 0.001 if soft else 0.05,
        "nms": {"type": "soft_nms" if soft else "nms", "iou_threshold": 0.5},
        "max_per_img": 100,
    }
    if masks:
        rcnn["mask_thr_binary"] = 0.5
    return {"rpn": _proposals(before_nms=1000, kept=1000), "rcnn": rcnn}


def _box_head(num_classes: int, stds: tuple[float, ...], *, agnostic: bool) -> Settings:
    return {
        "type": "Shared2FCBBoxHead",
        "in_channels": CHANNELS,
        "fc_out_channels": 1024,
        "roi_feat_size": 7,
        "num_classes": num_classes,
        "bbox_coder": _coder(stds),
        "reg_class_agnostic": agnostic,
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
        "loss_bbox": _smooth_l1(1.0),
    }


def _smooth_l1(beta: float) -> Settings:
    return {"type": "SmoothL1Loss", "beta": beta, "loss_weight": 1.0}


def _coder(stds: tuple[float, ...]) -> Settings:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": list(stds)}


def _extractor(size: int) -> Settings:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0},
        "out_channels": CHANNELS,
        "featmap_strides": _STRIDES[:4],
    }


def _proposals(*, before_nms: int, kept: int) -> Settings:
    return {
        "nms_pre": before_nms,
        "max_per_img": kept,
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }


def _assigner(positive: float, negative: float, least: float, *, low_quality: bool) -> Settings:
    return {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": least,
        "match_low_quality": low_quality,
        "ignore_iof_thr": -1,
    }


def _sampler(number: int, positive: float, *, with_truth: bool) -> Settings:
    return {
        "type": "RandomSampler",
        "num": number,
        "pos_fraction": positive,
        "neg_pos_ub": -1,
        "add_gt_as_proposals": with_truth,
    }


def _rpn_training(*, allowed_border: int) -> Settings:
    return {
        "assigner": _assigner(0.7, 0.3, 0.3, low_quality=True),
        "sampler": _sampler(256, 0.5, with_truth=False),
        "allowed_border": allowed_border,
        "pos_weight": -1,
        "debug": False,
    }


def _rcnn_training(iou: float, *, masks: bool, low_quality: bool) -> Settings:
    settings = {
        "assigner": _assigner(iou, iou, iou, low_quality=low_quality),
        "sampler": _sampler(512, 0.25, with_truth=True),
        "pos_weight": -1,
        "debug": False,
    }
    return {**settings, "mask_size": 28} if masks else settings
