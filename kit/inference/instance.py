"""Run one instance network over one image under one view; boxes are in pixels of the image, masks are runs.

An image that is larger than the window of the settings is seen in windows. Memory holds one row of them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference import crops, instance_windows, views
from kit.inference.band_source import BandSource, require_pixels
from kit.inference.forward import Batcher, inference
from kit.inference.image_pass import ImagePass
from kit.inference.instance_fusion import merge_views
from kit.inference.instance_settings import InstanceSettings
from kit.inference.resize import fit, resize_image
from kit.inference.store import CodedDetections
from kit.masks import mask_set
from kit.models import Detections, InstanceNetwork


def predict_instances(
    module: InstanceNetwork,
    settings: InstanceSettings,
    pass_: ImagePass,
) -> CodedDetections:
    """Detect instances in an image under one view, or under a set of views merged by NMS.

    Args:
        module: its `detect` takes RGB uint8 (1, 3, h, w) on the pass's device; in eval mode.
        settings: input size, windows, thresholds.
        pass_: the image and how it is shown; its target isn't written.

    Returns:
        At most `settings.max_per_image` detections per window, best score first; equal scores keep the order
        of windows, views and the network.

    Raises:
        KitError: the image has no pixels, boxes or scores are not numbers, masks have another size, or memory
            runs out.
    """
    source = pass_.source
    require_pixels(source, pass_.where)
    windows = instance_windows.plan(source.height, source.width, settings)
    total = len(windows) * len(windows[0])
    found: list[CodedDetections] = []
    for row in windows:
        _, y1, _, y2 = row[0].shown
        band_HWC = source.read_band(y1, y2)
        for window in row:
            x1, _, x2, _ = window.shown
            image_HWC = band_HWC[:, x1:x2]
            by_view = [
                _detect(module, settings, image_HWC, one, device=pass_.device, where=pass_.where)
                for one in views.get_set(pass_.view)
            ]
            found.append(_placed(merge_views(by_view, settings), (y1, x1), source))
            if pass_.on_batch is not None:
                pass_.on_batch(len(found), total)
    return found[0] if total == 1 else instance_windows.merge(windows, found, settings)


def _detect(
    module: InstanceNetwork,
    settings: InstanceSettings,
    image_HWC: NDArray[np.uint8],
    view: views.View,
    *,
    device: torch.device,
    where: str,
) -> CodedDetections:
    """Detect instances in an image or window under one view; boxes and masks are in its own pixels."""
    height, width = image_HWC.shape[:2]
    shown = fit(height, width, max(1, int(settings.size * view.scale + 0.5)))
    x_NCHW = torch.from_numpy(np.array(resize_image(image_HWC, *shown))).permute(2, 0, 1)[None]

    def forward(x_NCHW: torch.Tensor) -> Detections:
        with inference(device, autocast=settings.autocast):
            return module.detect(views.apply(view.name, x_NCHW.to(device)).contiguous())[0]

    found = Batcher(1, where=where).run(forward, x_NCHW)[0]
    scores, shown_boxes = _numbers(found, views.apply(view.name, x_NCHW).shape[-2:], where)
    boxes = views.invert_boxes(view.name, shown_boxes, *shown)
    boxes *= np.array([width / shown[1], height / shown[0]] * 2)
    boxes = np.clip(boxes, 0, [width, height, width, height])
    usable = (scores >= settings.score_threshold) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    order = [index for index in np.argsort(-scores, kind="stable").tolist() if usable[index]]
    kept: list[int] = []
    masks: list[crops.Crop] = []
    for index, crop in zip(order, crops.cut(found.masks, order, view.name), strict=True):
        if len(kept) == settings.max_per_image:
            break
        mask = crop and crops.resize(crop, shown, (height, width), settings.mask_threshold)
        if mask is not None:
            kept.append(index)
            masks.append(mask)
    corners = [(mask.top, mask.left) for mask in masks]
    runs = mask_set.from_crops([mask.pixels for mask in masks], corners, height)
    return CodedDetections(height, width, boxes[kept], scores[kept], mask_set.encode(runs, height, width))


def _numbers(
    found: Detections, size: tuple[int, ...], where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores (n,) and boxes (n, 4) of a network that saw an image of `size`; check its masks, too."""
    scores = found.scores.float().cpu().numpy().astype(np.float64)
    boxes = found.boxes.float().cpu().numpy().astype(np.float64).reshape(-1, 4)
    if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
        raise KitError(
            "the network returned boxes or scores that are not numbers",
            where=where,
            fix="weights are damaged or overflow in float16: see the training log or set autocast false",
        )
    shape = tuple(found.masks.shape)
    if len(boxes) != len(scores) or shape != (len(scores), *size) or found.masks.dtype != torch.bool:
        raise KitError(
            f"the network returned {len(boxes)} boxes, {len(scores)} scores and {found.masks.dtype} masks of "
            f"the shape {shape} for an input of {size[0]} x {size[1]}",
            where=where,
            fix="`detect` has to return a box, a score and a bool mask of the input's size per detection",
        )
    return scores, boxes


def _placed(found: CodedDetections, corner: tuple[int, int], source: BandSource) -> CodedDetections:
    """Return the detections of a window with the corner (top, left) in pixels of its image."""
    size = source.height, source.width
    if (found.height, found.width) == size:
        return found
    runs = mask_set.decode(found.masks, found.height, found.width)
    masks = mask_set.encode(runs.placed(found.height, corner, source.height), *size)
    boxes = found.boxes + np.array([corner[1], corner[0]] * 2)
    return CodedDetections(*size, boxes, found.scores, masks)
