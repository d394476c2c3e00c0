"""Non-maximum suppression, hard and soft, and RoIAlign."""

from __future__ import annotations

import numpy as np
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
    # In numpy: a round is a dozen operations on few numbers, and torch spends more on each call.
    corners, remaining = (tensor.cpu().numpy() for tensor in full_precision(boxes, scores))
    left = np.arange(len(corners))
    picked: list[int] = []
    final: list[float] = []
    while left.size:
        first = int(remaining.argmax())
        best = int(left[first])
        picked.append(best)
        final.append(float(remaining[first]))
        left, remaining = np.delete(left, first), np.delete(remaining, first)
        iou = _iou_with(corners[best], corners[left], offset)
        if method == _GAUSSIAN:
            remaining = remaining * np.exp(-(iou**2) / sigma)
        else:
            remaining = remaining * np.where(iou < iou_threshold, 1, 1 - iou if method == _LINEAR else 0)
        alive = remaining >= min_score
        left, remaining = left[alive], remaining[alive]
    order = torch.tensor(picked, dtype=torch.int64, device=boxes.device)
    dets[: len(order), :4] = boxes[order]
    dets[: len(order), 4] = torch.tensor(final, dtype=torch.float64)
    return order


def _iou_with(box: np.ndarray, boxes: np.ndarray, offset: int) -> np.ndarray:
    """IoU of one box with (n, 4) others; 0 where both are empty, so that no NaN enters a score."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]) + offset
    inside = sides.clip(min=0).prod(axis=1)
    area = (box[2:] - box[:2] + offset).prod()
    union = area + (boxes[:, 2:] - boxes[:, :2] + offset).prod(axis=1) - inside
    iou: np.ndarray = np.divide(inside, union, out=np.zeros_like(inside), where=union != 0)
    return iou


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
