"""Hybrid task cascade whose test-time augmentation trusts every image scale with certain object sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.core import bbox2result, bbox2roi, bbox_mapping, bbox_mapping_back, multiclass_nms
from mmdet.models.builder import DETECTORS
from mmdet.models.detectors import HybridTaskCascade
from torch import Tensor
from torch.nn import functional as F

AREA_RANGES: dict[str, tuple[float, float]] = {
    "s": (-math.inf, 32.0**2),
    "m": (32.0**2, 96.0**2),
    "m-": (32.0**2, 64.0**2),
    "m+": (64.0**2, 96.0**2),
    "l": (96.0**2, math.inf),
    "l-": (96.0**2, 512.0**2),
    "l+": (512.0**2, math.inf),
}
"""Box areas in pixels of the original image by name: above the first number, up to the second, except that
"l-" ends below it, as published: no range of a part of "l" holds an area of exactly 512 x 512 pixels."""

_MASKS_AT_ONCE = 128
_FLIPPED_DIMS = {"horizontal": (3,), "vertical": (2,), "diagonal": (2, 3)}

Metas = Mapping[str, Any]
BoxResult = list[np.ndarray[Any, np.dtype[np.float32]]]
MaskResult = list[list[np.ndarray[Any, np.dtype[np.bool_]]]]


def within_ranges(boxes_N4: Tensor, ranges: Sequence[str]) -> Tensor:
    """Tell which boxes have an area that one of the ranges holds.

    Args:
        boxes_N4: Left, top, right, bottom in pixels, any leading dimensions.
        ranges: Names out of `AREA_RANGES`.

    Returns:
        Booleans of the leading dimensions.
    """
    left, top, right, bottom = boxes_N4.unbind(-1)
    area = (right - left) * (bottom - top)
    inside = torch.zeros_like(area, dtype=torch.bool)
    for name in ranges:
        above, up_to = AREA_RANGES[name]
        inside |= (area > above) & (area < up_to if name == "l-" else area <= up_to)
    return inside


@DETECTORS.register_module()
class HybridTaskCascadeAug(HybridTaskCascade):  # type: ignore[misc]  # mmdet has no types
    """`HybridTaskCascade` with scale-range voting, as published with ViT-Adapter's HTC++.

    Training and testing on one image are those of `HybridTaskCascade`. On several augmented images, each
    finds boxes on its own; those whose area is out of the ranges of its scale are dropped, the others go
    through one NMS together, and the masks of what is left are averaged over all images and stages.
    `test_cfg.aug` says how:

        aug = dict(scale_ranges=[["l"], ["m", "l"], ["s", "m"]],  # one list a scale, in the pipeline's order
                   augs_per_scale=2,  # images a scale: 1 + the number of flip directions; 2 by default
                   score_thr=0.001, nms=dict(type="soft_nms", iou_threshold=0.5), max_per_img=1000)

    Raises:
        ValueError: If `test_cfg.aug` lacks a word, has an unknown one, or names an unknown range.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.test_cfg is not None and self.test_cfg.get("aug") is not None:
            _check_config(self.test_cfg.aug)

    def aug_test(
        self,
        imgs: Sequence[Tensor],
        img_metas: Sequence[Sequence[Metas]],
        rescale: bool = True,
    ) -> list[tuple[BoxResult, MaskResult]] | list[BoxResult]:
        """Detect on several augmented versions of one image.

        Args:
            imgs: Augmented images (1, C, H, W), scale by scale, all flips of a scale together, as mmdet's
                `MultiScaleFlipAug` makes them.
            img_metas: One dictionary in a list for each, with `img_shape`, `ori_shape`, `scale_factor`,
                `flip` and `flip_direction`.
            rescale: Only True: sizes of objects are those in the original image.

        Returns:
            In a list of one: boxes with scores (n, 5) by class and, with a mask branch, masks of the original
            image's height x width by class.

        Raises:
            ValueError: If `test_cfg` has no `aug`, or the images are not as it declares them.
        """
        if not rescale:
            raise ValueError("scale-range voting works in the original image's pixels: pass rescale=True")
        metas = [image_metas[0] for image_metas in img_metas]
        ranges = self._ranges_by_aug(metas)
        features = [self.extract_feat(img) for img in imgs]
        head = self.roi_head
        semantics = [head.semantic_head(maps)[1] if head.with_semantic else None for maps in features]
        detections = [
            self._detect(maps, semantic, meta, names)
            for maps, semantic, meta, names in zip(features, semantics, metas, ranges, strict=True)
        ]
        boxes, scores = (torch.cat(parts) for parts in zip(*detections, strict=True))
        config = self.test_cfg.aug
        if boxes.shape[0]:
            det_n5, labels_n = multiclass_nms(boxes, scores, config.score_thr, config.nms, config.max_per_img)
        else:  # mmdet's NMS cannot reshape nothing to a box a class
            det_n5, labels_n = boxes.new_zeros((0, 5)), torch.zeros(0, dtype=torch.long, device=boxes.device)
        box_result: BoxResult = bbox2result(det_n5, labels_n, head.bbox_head[-1].num_classes)
        if not head.with_mask:
            return [box_result]
        mask_result: MaskResult = [[] for _ in range(head.mask_head[-1].num_classes)]
        # In parts: thousands of boxes times dozens of classes and images do not fit in memory at once.
        for box_n4, label_n in zip(
            det_n5[:, :4].split(_MASKS_AT_ONCE), labels_n.split(_MASKS_AT_ONCE), strict=True
        ):
            if box_n4.shape[0] == 0:
                continue  # splitting nothing gives one empty part
            prob_nCHW = self._mean_mask(features, semantics, metas, box_n4)
            masks = head.mask_head[-1].get_seg_masks(
                prob_nCHW.cpu().numpy(),  # mmdet's sign that these are probabilities, not logits
                box_n4,
                label_n,
                self.test_cfg.rcnn,
                metas[0]["ori_shape"],
                np.ones(4, dtype=np.float32),
                rescale=True,
            )
            for kept, found in zip(mask_result, masks, strict=True):
                kept.extend(found)
        return [(box_result, mask_result)]

    def _ranges_by_aug(self, metas: Sequence[Metas]) -> list[list[str]]:
        config = self.test_cfg.get("aug")
        if config is None:
            raise ValueError(
                "test_cfg has no aug: HybridTaskCascadeAug needs scale_ranges, score_thr, nms and max_per_img"
            )
        per_scale = config.get("augs_per_scale", 2)
        if len(metas) != per_scale * len(config.scale_ranges):
            raise ValueError(
                f"{len(metas)} augmented images are not {len(config.scale_ranges)} scales x {per_scale}: "
                "set test_cfg.aug.scale_ranges and augs_per_scale as in the test pipeline"
            )
        for start in range(0, len(metas), per_scale):
            factors = [
                np.broadcast_to(meta["scale_factor"], 4).tolist() for meta in metas[start : start + per_scale]
            ]
            if not all(np.allclose(factor, factors[0]) for factor in factors):
                raise ValueError(
                    f"augmented images {start} to {start + per_scale - 1} should be flips of one scale, but "
                    f"their scale factors are {factors}: correct augs_per_scale"
                )
        return [list(names) for names in config.scale_ranges for _ in range(per_scale)]

    def _detect(
        self, maps: Sequence[Tensor], semantic: Tensor | None, meta: Metas, ranges: Sequence[str]
    ) -> tuple[Tensor, Tensor]:
        """Boxes (n, 4 or 4C) in the original frame; scores (n, C + 1), 0 where the area is out of range."""
        head = self.roi_head
        rois = bbox2roi(self.rpn_head.simple_test_rpn(maps, [meta]))
        classes = head.bbox_head[-1].num_classes
        if rois.shape[0] == 0:
            width = 4 if head.bbox_head[-1].reg_class_agnostic else 4 * classes
            return rois.new_zeros((0, width)), rois.new_zeros((0, classes + 1))
        logits = []
        for stage, bbox_head in enumerate(head.bbox_head):
            found = head._bbox_forward(stage, maps, rois, semantic_feat=semantic)  # noqa: SLF001  # mmdet's hook
            logits.append(found["cls_score"])
            if stage + 1 < head.num_stages:
                label = found["cls_score"][:, :-1].argmax(dim=1)
                rois = bbox_head.regress_by_class(rois, label, found["bbox_pred"], meta)
        boxes, scores = head.bbox_head[-1].get_bboxes(
            rois,
            torch.stack(logits).mean(dim=0),
            found["bbox_pred"],
            meta["img_shape"],
            meta["scale_factor"],
            rescale=False,
            cfg=None,
        )
        boxes = bbox_mapping_back(
            boxes, meta["img_shape"], meta["scale_factor"], meta["flip"], meta["flip_direction"]
        )
        # One box for all classes or one for each: the range decides by box.
        inside = within_ranges(boxes.unflatten(1, (-1, 4)), ranges)
        kept = inside.any(dim=1)
        allowed = torch.cat([inside.expand(-1, classes), torch.ones_like(kept)[:, None]], dim=1)
        return boxes[kept], (scores * allowed)[kept]

    def _mean_mask(
        self,
        features: Sequence[Sequence[Tensor]],
        semantics: Sequence[Tensor | None],
        metas: Sequence[Metas],
        box_n4: Tensor,
    ) -> Tensor:
        """Mask probabilities (n, C, H, W) of boxes in the original frame, summed image by image."""
        total = box_n4.new_zeros(())
        for maps, semantic, meta in zip(features, semantics, metas, strict=True):
            flip = meta["flip_direction"] if meta["flip"] else None
            mapped = bbox_mapping(box_n4, meta["img_shape"], meta["scale_factor"], flip is not None, flip)
            prob_nCHW = self._mask_of_stages(maps, semantic, bbox2roi([mapped]))
            total = total + (prob_nCHW if flip is None else prob_nCHW.flip(_FLIPPED_DIMS[flip]))
        return total / len(features)

    def _mask_of_stages(self, maps: Sequence[Tensor], semantic: Tensor | None, rois: Tensor) -> Tensor:
        """Mask probabilities of one image, averaged over the stages."""
        head = self.roi_head
        extractor = head.mask_roi_extractor[-1]
        roi_maps = extractor(maps[: extractor.num_inputs], rois)
        if semantic is not None and "mask" in head.semantic_fusion:
            fused = head.semantic_roi_extractor([semantic], rois)
            roi_maps = roi_maps + F.adaptive_avg_pool2d(fused, roi_maps.shape[-2:])
        last = None
        probs: list[Tensor] = []
        for mask_head in head.mask_head:
            if head.mask_info_flow:
                logits, last = mask_head(roi_maps, last)
            else:
                logits = mask_head(roi_maps, return_feat=False)
            probs.append(logits.sigmoid())
        return torch.stack(probs).mean(dim=0)


def _check_config(config: Mapping[str, Any]) -> None:
    required = {"scale_ranges", "score_thr", "nms", "max_per_img"}
    missing = required - config.keys()
    unknown = config.keys() - required - {"augs_per_scale"}
    if missing or unknown:
        raise ValueError(
            f"test_cfg.aug lacks {sorted(missing)} and has unknown {sorted(unknown)}: it takes scale_ranges, "
            "score_thr, nms, max_per_img and augs_per_scale"
        )
    if config["score_thr"] < 0:
        raise ValueError(f"test_cfg.aug.score_thr is {config['score_thr']}; it must be 0 or more")
    if not (isinstance(config.get("augs_per_scale", 2), int) and config.get("augs_per_scale", 2) > 0):
        raise ValueError(
            f"test_cfg.aug.augs_per_scale is {config['augs_per_scale']!r}, not a positive number"
        )
    names = {name for scale in config["scale_ranges"] for name in scale}
    if any(isinstance(scale, str) for scale in config["scale_ranges"]) or names - AREA_RANGES.keys():
        raise ValueError(
            f"test_cfg.aug.scale_ranges is {config['scale_ranges']}: it takes one list a scale, of names out "
            f"of {', '.join(AREA_RANGES)}"
        )
