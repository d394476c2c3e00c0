"""Non-maximum suppression, hard and soft, and RoIAlign."""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  importing it registers torch.ops.torchvision
from torch import Tensor

from ._portable_common import full_precision, refuse

_NAIVE, _LINEAR, _GAUSSIAN = 0, 1, 2
"""mmcv's codes of the soft NMS methods."""

_AVERAGE = 1
"""mmcv's code of average pooling in RoIAlign."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,); the higher goes first, of equals the one with the lower index.
        iou_threshold: a box whose IoU with a kept one is above this is dropped.
        offset: a side is x2 - x1 + offset long.

    Returns:
        int64 (kept,) indices into `boxes`, by falling score.
    """
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    boxes, scores = full_precision(boxes, scores)
    if offset:
        boxes = boxes + boxes.new_tensor([0.0, 0.0, offset, offset])
    # The threshold in the boxes' type: an IoU of exactly 3/5 is not above 0.6, whichever way 0.6 rounds.
    threshold = torch.tensor(iou_threshold, dtype=boxes.dtype).item()
    kept: Tensor = torch.ops.torchvision.nms(boxes, scores, threshold)
    return kept


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft non-maximum suppression (Bodla et al. 2017): scores of overlapping boxes are lowered, not zeroed.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        dets: (n, 5); the first `kept` rows receive x1, y1, x2, y2, lowered score.
        iou_threshold: naive and linear act from this IoU on.
        sigma: width of the Gaussian method, weight exp(-iou^2 / sigma).
        min_score: boxes below this after a round are dropped; the first pick is always kept, as in mmcv.
        method: 0 naive, 1 linear, 2 Gaussian.
        offset: a side is x2 - x1 + offset long.

    Returns:
        int64 (kept,) indices into `boxes` as picked; of equal scores the lower index goes first.
    """
    if method not in (_NAIVE, _LINEAR, _GAUSSIAN):
        raise ValueError(f"softnms: method must be 0 (naive), 1 (linear) or 2 (gaussian), not {method}")
    boxes, scores = full_precision(boxes, scores)
    sides = boxes[:, 2:] - boxes[:, :2] + offset
    areas = sides[:, 0] * sides[:, 1]
    left = torch.arange(len(boxes), device=boxes.device)
    order: list[int] = []
    while left.numel():
        first = int(scores.argmax())
        best = int(left[first])
        dets[len(order), :4] = boxes[best]
        dets[len(order), 4] = scores[first]
        order.append(best)
        rest = torch.arange(len(left), device=left.device) != first
        left, scores = left[rest], scores[rest]
        iou = _iou_with(boxes[best], areas[best], boxes[left], areas[left], offset)
        if method == _GAUSSIAN:
            scores = scores * torch.exp(-iou.square() / sigma)
        else:
            lowered = 1 - iou if method == _LINEAR else torch.zeros_like(iou)
            scores = scores * torch.where(iou >= iou_threshold, lowered, torch.ones_like(iou))
        alive = scores >= min_score
        left, scores = left[alive], scores[alive]
    return torch.tensor(order, dtype=torch.int64, device=boxes.device)


def _iou_with(box: Tensor, area: Tensor, boxes: Tensor, areas: Tensor, offset: int) -> Tensor:
    """IoU of one box with (n, 4) others; 0 where both are empty, so that no NaN enters a score."""
    sides = torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2]) + offset
    inside = sides.clamp(min=0).prod(dim=1)
    return (inside / (area + areas - inside)).nan_to_num(nan=0.0)


def roi_align_forward(
    x: Tensor,
    rois: Tensor,
    output: Tensor,
    _argmax_y: Tensor,
    _argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average-pooled RoIAlign (He et al. 2017).

    Args:
        x: (n, c, h, w) features.
        rois: (k, 5) image index, x1, y1, x2, y2 in image pixels.
        output: (k, c, aligned_height, aligned_width), written.
        aligned_height: bins down a box.
        aligned_width: bins across a box.
        spatial_scale: feature pixels per image pixel.
        sampling_ratio: samples along each side of a bin; 0 takes as many as cover its pixels.
        pool_mode: 1 (average); 0 (maximum) needs the native build.
        aligned: shift by half a pixel, so that a pixel's centre is its sample.
    """
    _need_average(pool_mode)
    features, boxes = full_precision(x, rois)
    output.copy_(
        torch.ops.torchvision.roi_align(
            features, boxes, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    _argmax_y: Tensor,
    _argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of `roi_align_forward`; `grad_input` (n, c, h, w) is written."""
    _need_average(pool_mode)
    grad, boxes = full_precision(grad_output, rois)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(  # noqa: SLF001  autograd's own way to it
            grad,
            boxes,
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def _need_average(pool_mode: int) -> None:
    if pool_mode != _AVERAGE:
        refuse("roi_align with pool_mode='max'")
