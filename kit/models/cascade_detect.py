"""Prediction of a Hybrid Task Cascade, step by step, on tensors from the image to the masks.

mmdet's own takes every mask through numpy twice: as each stage's probabilities, and at full size, one by one
to the CPU. For 100 masks of a 2048-px tile that is 400 MB, which then has to be stacked and sent back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kit.models.detections import Detections


def detect(network: Any, x_NCHW: Tensor, metas: Sequence[dict[str, Any]]) -> list[Detections]:
    """Find the instances of a batch.

    Args:
        network: mmdet's detector with a `HybridTaskCascadeRoIHead` of one class and no semantic branch.
        x_NCHW: normalised and padded.
        metas: what mmdet asks about each image; masks are returned at its "img_shape", without the padding,
            which is the same for the whole batch.
    """
    features = network.extract_feat(x_NCHW)
    if not isinstance(features[0], Tensor):
        features = features[-1]  # in training mode a composite backbone's assistant comes before the lead
    scores, deltas = network.rpn_head(features)
    proposals = network.rpn_head.get_bboxes(scores, deltas, img_metas=metas)
    found = _boxes(network.roi_head, features, proposals, metas[0])
    probabilities = _mask_probabilities(network.roi_head, features, [boxes[:, :4] for boxes in found])
    threshold = network.test_cfg.rcnn.mask_thr_binary
    height, width = metas[0]["img_shape"][:2]
    return [
        Detections(boxes[:, :4], boxes[:, 4], paste(prob_Nhw, boxes[:, :4], height, width, threshold))
        for boxes, prob_Nhw in zip(found, probabilities, strict=True)
    ]


def _boxes(
    head: Any, features: Sequence[Tensor], proposals: Sequence[Tensor], meta: dict[str, Any]
) -> list[Tensor]:
    """Per image (n, 5): x0 y0 x1 y1 score, best first; moved from stage to stage, logits averaged."""
    from mmdet.core import bbox2roi

    rois = bbox2roi([boxes[:, :4] for boxes in proposals])  # (n, 5): image x0 y0 x1 y1
    total, deltas = rois.new_zeros(()), rois
    for stage, (extractor, box_head) in enumerate(zip(head.bbox_roi_extractor, head.bbox_head, strict=True)):
        if stage:
            rois = head.bbox_head[stage - 1].regress_by_class(rois, None, deltas, meta)
        logits, deltas = box_head(extractor(features[: extractor.num_inputs], rois))
        total = total + logits
    per_image = (
        torch.split(tensor, [len(boxes) for boxes in proposals])
        for tensor in (rois, total / len(head.bbox_head), deltas)
    )
    return [
        head.bbox_head[-1].get_bboxes(
            boxes, logits, moves, meta["img_shape"], meta["scale_factor"], rescale=False, cfg=head.test_cfg
        )[0]
        for boxes, logits, moves in zip(*per_image, strict=True)
    ]


def _mask_probabilities(head: Any, features: Sequence[Tensor], found: Sequence[Tensor]) -> list[Tensor]:
    """Per image (n, 28, 28): mean of the stages, each of which sees the features of the one before."""
    from mmdet.core import bbox2roi

    extractor = head.mask_roi_extractor[-1]
    shared = extractor(features[: extractor.num_inputs], bbox2roi(list(found)))
    before, total = None, shared.new_zeros(())
    for mask_head in head.mask_head:
        logit_N1hw, before = mask_head(shared, before)
        total = total + logit_N1hw[:, 0].float().sigmoid()
    return list(torch.split(total / len(head.mask_head), [len(boxes) for boxes in found]))


def paste(prob_Nhw: Tensor, boxes: Tensor, height: int, width: int, threshold: float) -> Tensor:
    """Masks of the image's size from the small ones inside their boxes.

    Bilinear interpolation, falling to zero outside, is a product of one matrix for the rows and one for the
    columns; only the box and a pixel around it is computed.

    Args:
        prob_Nhw: float32.
        boxes: float32 (n, 4), x0 y0 x1 y1; one without area gets an empty mask.
        height: of the image.
        width: of the image.
        threshold: probabilities from here on are inside.

    Returns:
        bool (n, height, width).
    """
    mask_NHW = torch.zeros(len(boxes), height, width, dtype=torch.bool, device=boxes.device)
    if not len(boxes):
        return mask_NHW
    size = torch.tensor([width, height], device=boxes.device)
    first = (boxes[:, :2].floor() - 1).clamp(min=0)
    last = torch.minimum(boxes[:, 2:].ceil() + 1, size)
    frames = torch.cat([first, last], dim=1).long().tolist()  # one wait for the GPU
    with torch.autocast(boxes.device.type, enabled=False):
        for prob_hw, box, mask_HW, (x0, y0, x1, y1) in zip(prob_Nhw, boxes, mask_NHW, frames, strict=True):
            rows = _interpolation(box[1], box[3], y0, y1, prob_hw.shape[0])
            columns = _interpolation(box[0], box[2], x0, x1, prob_hw.shape[1])
            mask_HW[y0:y1, x0:x1] = rows @ prob_hw @ columns.T >= threshold
    return mask_NHW


def _interpolation(start: Tensor, stop: Tensor, first: int, last: int, samples: int) -> Tensor:
    """(last - first, samples): how much each sample between start and stop counts at pixels first to last."""
    pixel = torch.arange(first, last, dtype=torch.float32, device=start.device) + 0.5
    sample = torch.arange(samples, dtype=torch.float32, device=start.device)
    # A box from x = 10 to 38 has one of 28 samples per pixel: the centre of pixel 10, 10.5, is place 0, so
    # sample 0 counts 1. In a box from 10 to 24 pixel 10 lies at place 0.5: samples 0 and 1 count a half each.
    # Pixel 9 lies at place -1 or -1.5, a sample or more outside: none counts, its probability is 0.
    place = (pixel - start) / (stop - start).clamp(min=1e-6) * samples - 0.5
    return (1 - (place[:, None] - sample).abs()).clamp(min=0)
