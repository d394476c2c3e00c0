"""Region proposal and RoI heads of the published detectors, as mmdet dictionaries."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

_STRIDES = (4, 8, 16, 32, 64)
_STAGE_IOUS = (0.5, 0.6, 0.7)
_STAGE_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
_STAGE_WEIGHTS = (1, 0.5, 0.25)
_WIDTH = 256
_STUFF_CLASSES = 183


def rpn_head(loss_bbox: Config) -> Config:
    """The region proposal head, three anchors a place."""
    return {
        "type": "RPNHead",
        "in_channels": _WIDTH,
        "feat_channels": _WIDTH,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "scales": [8],
            "ratios": [0.5, 1.0, 2.0],
            "strides": list(_STRIDES),
        },
        "bbox_coder": _coder((1.0, 1.0, 1.0, 1.0)),
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
        "loss_bbox": loss_bbox,
    }


def mask_roi_head(num_classes: int) -> Config:
    """Mask R-CNN's: two fully connected layers, boxes a class, four mask convolutions."""
    box = _box_head("Shared2FCBBoxHead", num_classes, _STAGE_STDS[0], {"type": "L1Loss", "loss_weight": 1.0})
    return {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": _extractor(7),
        "bbox_head": {**box, "reg_class_agnostic": False},
        "mask_roi_extractor": _extractor(14),
        "mask_head": _mask_head("FCNMaskHead", num_classes),
    }


def cascade_roi_head(num_classes: int, *, norm_cfg: Config) -> Config:
    """Cascade Mask R-CNN's: three stages of four convolutions, boxes a class, GIoU loss on decoded boxes."""
    return {
        "type": "CascadeRoIHead",
        **_stages(),
        "bbox_head": [
            {
                **_box_head("Shared4Conv1FCBBoxHead", num_classes, stds, _GIOU),
                "reg_class_agnostic": False,
                "reg_decoded_bbox": True,
                "norm_cfg": norm_cfg,
            }
            for stds in _STAGE_STDS
        ],
        "mask_head": _mask_head("FCNMaskHead", num_classes),
    }


def htc_roi_head(num_classes: int, *, semantic: bool, norm_cfg: Config | None, giou: bool) -> Config:
    """HTC++'s: three interleaved stages with mask information flow, class-agnostic boxes.

    Args:
        num_classes: of boxes and masks.
        semantic: with the fused semantic branch.
        norm_cfg: of the box heads' convolutions; None for a bias instead.
        giou: a GIoU loss on decoded boxes instead of a smooth L1 loss on deltas.
    """
    loss = _GIOU if giou else {"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0}
    boxes = [
        {
            **_box_head("Shared4Conv1FCBBoxHead", num_classes, stds, loss),
            "reg_class_agnostic": True,
            "reg_decoded_bbox": giou,
            **({} if norm_cfg is None else {"norm_cfg": norm_cfg}),
        }
        for stds in _STAGE_STDS
    ]
    masks = [
        {**_mask_head("HTCMaskHead", num_classes), "with_conv_res": stage > 0}
        for stage in range(len(_STAGE_STDS))
    ]
    return {
        "type": "HybridTaskCascadeRoIHead",
        "interleaved": True,
        "mask_info_flow": True,
        **_stages(),
        "bbox_head": boxes,
        "mask_head": masks,
        **(_semantic_branch() if semantic else {}),
    }


def train_cfg(*, stages: int | None, proposals: int, border: int, low_quality: bool = True) -> Config:
    """Assigners and samplers.

    Args:
        stages: of a cascade; None for a single stage.
        proposals: kept for training the RoI head.
        border: pixels anchors may leave the image by, -1 for any.
        low_quality: whether an object that overlaps with no proposal well enough gets its best one.
    """
    heads = [_rcnn_train(iou, low_quality=low_quality) for iou in _STAGE_IOUS[: stages or 1]]
    return {
        "rpn": {
            "assigner": _assigner(0.7, 0.3, 0.3, low_quality=True),
            "sampler": _sampler(256, 0.5, with_truth=False),
            "allowed_border": border,
            "pos_weight": -1,
            "debug": False,
        },
        "rpn_proposal": _proposals(2000, proposals),
        "rcnn": heads[0] if stages is None else heads,
    }


def detection_cfg(*, score_thr: float, nms: str = "nms", max_per_img: int = 100) -> Config:
    """Thresholds of a test, of every detector here."""
    return {
        "rpn": _proposals(1000, 1000),
        "rcnn": {
            "score_thr": score_thr,
            "nms": {"type": nms, "iou_threshold": 0.5},
            "max_per_img": max_per_img,
            "mask_thr_binary": 0.5,
        },
    }


_GIOU: Config = {"type": "GIoULoss", "loss_weight": 10.0}


def _stages() -> Config:
    return {
        "num_stages": len(_STAGE_STDS),
        "stage_loss_weights": list(_STAGE_WEIGHTS),
        "bbox_roi_extractor": _extractor(7),
        "mask_roi_extractor": _extractor(14),
    }


def _extractor(output_size: int, strides: tuple[int, ...] = _STRIDES[:4]) -> Config:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": output_size, "sampling_ratio": 0},
        "out_channels": _WIDTH,
        "featmap_strides": list(strides),
    }


def _coder(stds: tuple[float, ...]) -> Config:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": list(stds)}


def _box_head(kind: str, num_classes: int, stds: tuple[float, ...], loss: Config) -> Config:
    return {
        "type": kind,
        "in_channels": _WIDTH,
        "fc_out_channels": 1024,
        "roi_feat_size": 7,
        "num_classes": num_classes,
        "bbox_coder": _coder(stds),
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
        "loss_bbox": loss,
    }


def _mask_head(kind: str, num_classes: int) -> Config:
    return {
        "type": kind,
        "num_convs": 4,
        "in_channels": _WIDTH,
        "conv_out_channels": _WIDTH,
        "num_classes": num_classes,
        "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
    }


def _semantic_branch() -> Config:
    return {
        "semantic_roi_extractor": _extractor(14, strides=(8,)),
        "semantic_head": {
            "type": "FusedSemanticHead",
            "num_ins": len(_STRIDES),
            "fusion_level": 1,
            "num_convs": 4,
            "in_channels": _WIDTH,
            "conv_out_channels": _WIDTH,
            "num_classes": _STUFF_CLASSES,
            "loss_seg": {"type": "CrossEntropyLoss", "ignore_index": 255, "loss_weight": 0.2},
        },
    }


def _assigner(positive: float, negative: float, least: float, *, low_quality: bool) -> Config:
    return {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": least,
        "match_low_quality": low_quality,
        "ignore_iof_thr": -1,
    }


def _sampler(number: int, positive: float, *, with_truth: bool) -> Config:
    return {
        "type": "RandomSampler",
        "num": number,
        "pos_fraction": positive,
        "neg_pos_ub": -1,
        "add_gt_as_proposals": with_truth,
    }


def _rcnn_train(iou: float, *, low_quality: bool) -> Config:
    return {
        "assigner": _assigner(iou, iou, iou, low_quality=low_quality),
        "sampler": _sampler(512, 0.25, with_truth=True),
        "mask_size": 28,
        "pos_weight": -1,
        "debug": False,
    }


def _proposals(before: int, after: int) -> Config:
    return {
        "nms_pre": before,
        "max_per_img": after,
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }
