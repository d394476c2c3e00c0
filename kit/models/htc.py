"""mmdet's config of a Hybrid Task Cascade, written from its sizes: published by default, tiny by others.

What the families do not share, backbone and neck, stands with them: `detectors`, `cbnet`, `vit_adapter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kit.errors import KitError
from kit.typed_json import Checked

# Each stage gets better boxes than the one before. Corrections get smaller, so they are divided by smaller
# deviations: a shift by 0.05 of the box's width is 0.5 in stage 1 and 1.5 in stage 3.
_STAGE_STDS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
_STRIDES = (4, 8, 16, 32, 64)

Head = Literal["2fc", "4conv1fc", "4conv1fc-plain"]

TINY: Mapping[str, Any] = {
    "neck_channels": 32,
    "fc_channels": 64,
    "mask_convs": 2,
    "mask_channels": 32,
    "anchor_scales": [6.0],
    "rpn_samples": 128,
    "rpn_nms_pre": [300, 300],
    "rpn_proposals": [150, 300],
    "roi_samples": 64,
    "max_per_image": 150,
}
"""What all tiny forms have in common."""


@dataclass(frozen=True, kw_only=True)
class CascadeSize(Checked):
    """Everything behind the backbone that may differ between a published and a tiny form.

    Attributes:
        head: of the boxes. "2fc": two linear layers and a SmoothL1 loss on encoded boxes; "4conv1fc": four
            convolutions with batch norm, one linear layer and ten times the GIoU loss on decoded boxes;
            "4conv1fc-plain": the same layers without norm, with the loss of "2fc".
        head_channels: width of the box heads' convolutions, where there are any.
        neck_channels: of the feature pyramid and everything behind it.
        fc_channels: of the box heads' linear layers.
        mask_convs: 3x3 convolutions in each mask head.
        mask_channels: width of the mask heads; it has to be the neck's, whose features are added to theirs.
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

    head: Head = "2fc"
    head_channels: int = 256
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
        super().__post_init__()
        if self.mask_channels != self.neck_channels:
            raise KitError(
                f"mask heads of {self.mask_channels} channels cannot add features of {self.neck_channels}",
                fix="give mask_channels and neck_channels the same value",
            )


def config(
    size: CascadeSize,
    *,
    backbone: Mapping[str, Any],
    neck: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    detector: str = "HybridTaskCascade",
) -> dict[str, Any]:
    """What `mmdet.models.build_detector` takes: one class, three stages, each mask seeing the one before.

    There is no semantic branch: none of the published solutions had labels for one. What training needs
    besides, `kit.local.training` adds to the built detector.

    Args:
        size: of everything behind the neck.
        backbone: mmdet's config of it.
        neck: of it; with `neck_channels` at strides 4 to 64.
        detector: registered name of the detector.
    """
    return {
        "type": detector,
        "backbone": dict(backbone),
        "neck": dict(neck) if isinstance(neck, Mapping) else [dict(part) for part in neck],
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
        },
        "roi_head": _roi_head(size),
        "test_cfg": {
            "rpn": proposals(size.rpn_nms_pre[1], size.rpn_proposals[1]),
            "rcnn": {
                "score_thr": size.score_threshold,
                "nms": {"type": "nms", "iou_threshold": size.nms_iou},
                "max_per_img": size.max_per_image,
                "mask_thr_binary": size.mask_threshold,
            },
        },
    }


def _coder(stds: tuple[float, ...]) -> dict[str, Any]:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": list(stds)}


def _roi_head(size: CascadeSize) -> dict[str, Any]:
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
        "num_stages": len(_STAGE_STDS),
        "stage_loss_weights": [1.0, 0.5, 0.25],
        "bbox_roi_extractor": extractor(7),
        "bbox_head": [_box_head(size, stds) for stds in _STAGE_STDS],
        "mask_roi_extractor": extractor(14),
        "mask_head": [
            {
                "type": "HTCMaskHead",
                "with_conv_res": stage > 0,
                "num_convs": size.mask_convs,
                "in_channels": size.neck_channels,
                "conv_out_channels": size.mask_channels,
                "num_classes": 1,
            }
            for stage in range(len(_STAGE_STDS))
        ],
    }


def _box_head(size: CascadeSize, stds: tuple[float, ...]) -> dict[str, Any]:
    # A box corrects its place for all classes together ("class agnostic"), so it has four outputs.
    head = {
        "in_channels": size.neck_channels,
        "fc_out_channels": size.fc_channels,
        "roi_feat_size": 7,
        "num_classes": 1,
        "bbox_coder": _coder(stds),
        "reg_class_agnostic": True,
    }
    if size.head == "2fc":
        return {"type": "Shared2FCBBoxHead", **head}
    head = {"type": "Shared4Conv1FCBBoxHead", "conv_out_channels": size.head_channels, **head}
    if size.head == "4conv1fc-plain":
        return head
    # Published with SyncBN, which training makes of it for several processes; the names stay the same.
    return {**head, "norm_cfg": {"type": "BN", "requires_grad": True}}


def proposals(before: int, kept: int) -> dict[str, Any]:
    """Return mmdet's settings of the region proposals.

    Args:
        before: proposals kept before NMS.
        kept: proposals kept after NMS.
    """
    return {
        "nms_pre": before,
        "max_per_img": kept,
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }
