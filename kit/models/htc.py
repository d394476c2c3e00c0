"""mmdet's config of DetectoRS-HTC, written from its sizes: published by default, tiny by other numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kit.errors import KitError

_STAGE_IOUS = (0.5, 0.6, 0.7)
_STAGE_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
_STAGE_LOSS_WEIGHTS = (1.0, 0.5, 0.25)
_STRIDES = (4, 8, 16, 32, 64)
_EXPANSION = 4
_ASPP_BRANCHES = 4


@dataclass(frozen=True, kw_only=True)
class DetectorSize:
    """Everything about the detector that may differ between its published and its tiny form.

    Attributes:
        depth: of the ResNet: 50, 101 or 152.
        base_channels: width of the ResNet's first stage.
        norm: "frozen" keeps batch statistics of pretraining fixed and the stem untrained, as published;
            "batch" trains them; "group" needs no batch.
        groups: of "group".
        neck_channels: of the feature pyramid and everything behind it; divisible by 4.
        fc_channels: of the box heads.
        mask_convs: 3x3 convolutions in each mask head.
        mask_channels: width of the mask heads.
        anchor_scales: anchor sides over the stride of their level.
        anchor_ratios: height over width.
        rpn_samples: anchors an image that the proposal loss looks at.
        rpn_nms_pre: proposals kept before NMS, for training and for prediction.
        rpn_proposals: proposals kept after NMS, the same.
        roi_samples: proposals an image that each stage's losses look at.
        roi_positive: share of positives among these.
        finest_scale: boxes with a side below twice this are looked up in the finest level.
        score_threshold: detections below are dropped.
        nms_iou: of the final NMS.
        max_per_image: detections kept.
        mask_threshold: on the mean of the stages' mask probabilities.
    """

    depth: Literal[50, 101, 152] = 50
    base_channels: int = 64
    norm: Literal["frozen", "batch", "group"] = "frozen"
    groups: int = 8
    neck_channels: int = 256
    fc_channels: int = 1024
    mask_convs: int = 4
    mask_channels: int = 256
    anchor_scales: tuple[float, ...] = (8.0,)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_samples: int = 256
    rpn_nms_pre: tuple[int, int] = (2000, 1000)
    rpn_proposals: tuple[int, int] = (2000, 1000)
    roi_samples: int = 512
    roi_positive: float = 0.25
    finest_scale: int = 56
    score_threshold: float = 0.001
    nms_iou: float = 0.5
    max_per_image: int = 100
    mask_threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.neck_channels % _ASPP_BRANCHES:
            raise KitError(
                f"neck_channels {self.neck_channels} cannot be split over {_ASPP_BRANCHES} atrous branches",
                fix=f"choose a multiple of {_ASPP_BRANCHES}",
            )
        if self.norm == "group" and self.base_channels % self.groups:
            raise KitError(
                f"{self.base_channels} channels cannot be split into {self.groups} groups",
                fix="choose a base width that is a multiple of the groups",
            )


def config(size: DetectorSize) -> dict[str, Any]:
    """What `mmdet.models.build_detector` takes.

    The architecture is the published one: ConvAWS convolutions, deformable switchable atrous convolution in
    the last three stages, a feature pyramid that is run twice, three interleaved stages with mask information
    flow, no semantic branch.
    """
    return {
        "type": "HybridTaskCascade",
        "backbone": {**_backbone(size), "output_img": True},
        "neck": {
            "type": "RFP",
            "in_channels": [size.base_channels * _EXPANSION * 2**stage for stage in range(4)],
            "out_channels": size.neck_channels,
            "num_outs": len(_STRIDES),
            "rfp_steps": 2,
            "aspp_out_channels": size.neck_channels // _ASPP_BRANCHES,
            "aspp_dilations": (1, 3, 6, 1),
            "rfp_backbone": {**_backbone(size), "rfp_inplanes": size.neck_channels},
        },
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": size.neck_channels,
            "feat_channels": size.neck_channels,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": list(size.anchor_scales),
                "ratios": list(size.anchor_ratios),
                "strides": list(_STRIDES),
            },
            "bbox_coder": _coder((1.0, 1.0, 1.0, 1.0)),
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0},
            "loss_bbox": {"type": "SmoothL1Loss", "beta": 1.0 / 9.0, "loss_weight": 1.0},
        },
        "roi_head": _roi_head(size),
        "train_cfg": _train_config(size),
        "test_cfg": {
            "rpn": _proposals(size, training=False),
            "rcnn": {
                "score_thr": size.score_threshold,
                "nms": {"type": "nms", "iou_threshold": size.nms_iou},
                "max_per_img": size.max_per_image,
                "mask_thr_binary": size.mask_threshold,
            },
        },
    }


def _backbone(size: DetectorSize) -> dict[str, Any]:
    norms: dict[str, dict[str, Any]] = {
        "frozen": {"type": "BN", "requires_grad": True},
        "batch": {"type": "BN", "requires_grad": True},
        "group": {"type": "GN", "num_groups": size.groups, "requires_grad": True},
    }
    return {
        "type": "DetectoRS_ResNet",
        "depth": size.depth,
        "base_channels": size.base_channels,
        "stem_channels": size.base_channels,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "frozen_stages": 1 if size.norm == "frozen" else -1,
        "norm_cfg": norms[size.norm],
        "norm_eval": size.norm == "frozen",
        "style": "pytorch",
        "conv_cfg": {"type": "ConvAWS"},
        "sac": {"type": "SAC", "use_deform": True},
        "stage_with_sac": (False, True, True, True),
    }


def _coder(stds: tuple[float, ...]) -> dict[str, Any]:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": list(stds)}


def _roi_head(size: DetectorSize) -> dict[str, Any]:
    def extractor(output_size: int) -> dict[str, Any]:
        return {
            "type": "SingleRoIExtractor",
            "roi_layer": {"type": "RoIAlign", "output_size": output_size, "sampling_ratio": 0},
            "out_channels": size.neck_channels,
            "featmap_strides": list(_STRIDES[:4]),
            "finest_scale": size.finest_scale,
        }

    return {
        "type": "HybridTaskCascadeRoIHead",
        "interleaved": True,
        "mask_info_flow": True,
        "num_stages": len(_STAGE_IOUS),
        "stage_loss_weights": list(_STAGE_LOSS_WEIGHTS),
        "bbox_roi_extractor": extractor(7),
        "bbox_head": [
            {
                "type": "Shared2FCBBoxHead",
                "in_channels": size.neck_channels,
                "fc_out_channels": size.fc_channels,
                "roi_feat_size": 7,
                "num_classes": 1,
                "bbox_coder": _coder(stds),
                "reg_class_agnostic": True,
                "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
                "loss_bbox": {"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0},
            }
            for stds in _STAGE_STDS
        ],
        "mask_roi_extractor": extractor(14),
        "mask_head": [
            {
                "type": "HTCMaskHead",
                "with_conv_res": stage > 0,
                "num_convs": size.mask_convs,
                "in_channels": size.neck_channels,
                "conv_out_channels": size.mask_channels,
                "num_classes": 1,
                "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True, "loss_weight": 1.0},
            }
            for stage in range(len(_STAGE_IOUS))
        ],
    }


def _proposals(size: DetectorSize, *, training: bool) -> dict[str, Any]:
    return {
        "nms_pre": size.rpn_nms_pre[0 if training else 1],
        "max_per_img": size.rpn_proposals[0 if training else 1],
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }


def _train_config(size: DetectorSize) -> dict[str, Any]:
    def assigner(positive: float, negative: float, least: float) -> dict[str, Any]:
        return {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": positive,
            "neg_iou_thr": negative,
            "min_pos_iou": least,
            "ignore_iof_thr": -1,
        }

    def sampler(number: int, positive: float, *, with_truth: bool) -> dict[str, Any]:
        return {
            "type": "RandomSampler",
            "num": number,
            "pos_fraction": positive,
            "neg_pos_ub": -1,
            "add_gt_as_proposals": with_truth,
        }

    return {
        "rpn": {
            "assigner": assigner(0.7, 0.3, 0.3),
            "sampler": sampler(size.rpn_samples, 0.5, with_truth=False),
            "allowed_border": 0,
            "pos_weight": -1,
            "debug": False,
        },
        "rpn_proposal": _proposals(size, training=True),
        "rcnn": [
            {
                "assigner": assigner(iou, iou, iou),
                "sampler": sampler(size.roi_samples, size.roi_positive, with_truth=True),
                "mask_size": 28,
                "pos_weight": -1,
                "debug": False,
            }
            for iou in _STAGE_IOUS
        ],
    }
