"""One instance network over one tile under one view: boxes in the tile's own pixels, masks as run lengths."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference import views
from kit.inference.forward import Batcher, inference
from kit.inference.reader import BandSource, require_pixels
from kit.inference.resize import fit, resize_image, resize_mask
from kit.inference.settings import InstanceSettings
from kit.inference.store import CodedDetections
from kit.masks import coco
from kit.models import Detections, InstanceNetwork


def predict_instances(
    module: InstanceNetwork,
    settings: InstanceSettings,
    source: BandSource,
    view: str,
    *,
    device: torch.device,
    where: str,
) -> CodedDetections:
    """Detect instances in a whole tile under one view.

    Args:
        module: its `detect` takes RGB uint8 (1, 3, h, w) on `device`; in eval mode.
        settings: input size, thresholds.
        source: the tile.
        view: name of the view.
        device: where the module is.
        where: member and image, for messages.

    Returns:
        At most `settings.max_per_image` detections, best score first; equal scores keep the network's order.

    Raises:
        KitError: no pixels, boxes or scores that are not numbers, memory out.
    """
    require_pixels(source, where)
    height, width = source.height, source.width
    shown_height, shown_width = fit(height, width, settings.size)
    input_HWC = resize_image(source.read_band(0, height), shown_height, shown_width)
    x_NCHW = torch.from_numpy(np.array(input_HWC)).permute(2, 0, 1)[None]

    def forward(x_NCHW: torch.Tensor) -> Detections:
        with inference(device, autocast=settings.autocast):
            return module.detect(views.apply(view, x_NCHW.to(device)).contiguous())[0]

    found = Batcher(1, where=where).run(forward, x_NCHW)[0]
    scores = found.scores.float().cpu().numpy().astype(np.float64)
    shown_boxes = found.boxes.float().cpu().numpy().astype(np.float64).reshape(-1, 4)
    if not (np.isfinite(scores).all() and np.isfinite(shown_boxes).all()):
        raise KitError(
            "the network returned boxes or scores that are not numbers",
            where=where,
            fix="weights are damaged or overflow in float16: see the training log or set autocast false",
        )
    boxes = views.invert_boxes(view, shown_boxes, shown_height, shown_width)
    boxes *= np.array([width / shown_width, height / shown_height] * 2)
    boxes = np.clip(boxes, 0, [width, height, width, height])
    kept: list[np.int64] = []
    masks: list[bytes] = []
    for index in np.argsort(-scores, kind="stable"):
        x1, y1, x2, y2 = boxes[index]
        if (
            len(kept) == settings.max_per_image
            or scores[index] < settings.score_threshold
            or x1 >= x2
            or y1 >= y2
        ):
            continue
        shown_HW = views.invert(view, found.masks[index]).cpu().numpy().astype(bool)
        mask_HW = resize_mask(shown_HW, height, width, settings.mask_threshold)
        if mask_HW.any():
            kept.append(index)
            masks.append(coco.encode(mask_HW))
    order: NDArray[np.int64] = np.array(kept, np.int64)
    return CodedDetections(height, width, boxes[order], scores[order], masks)
