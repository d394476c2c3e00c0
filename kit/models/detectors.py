"""DetectoRS with a Hybrid Task Cascade, from mmdet: as in the 3rd place of Hacking the Human Vasculature."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kit.errors import KitError
from kit.models.detections import Detections, InstanceTarget
from kit.models.entry import Entry
from kit.models.htc import DetectorSize, config
from kit.models.network import InstanceNetwork
from kit.models.spec import NetworkSpec

SPEC = NetworkSpec(
    name="detectors-r50",
    system="detectors-r50",
    kind="instance",
    output="detections",
    # Of ImageNet, as published.
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    size_divisor=32,
    requires=("mmcv-full", "mmdet"),
)

_LEAST_SIDE = 96
"""SAC reflects two pixels at the border of its input, which in the last stage is the image over 32."""


def build(**size: Any) -> DetectoRS:
    """The network with random weights.

    Args:
        size: fields of `DetectorSize`; the published ones by default.

    Raises:
        KitError: a size that the architecture cannot have.
    """
    chosen = DetectorSize(**size)
    # Not at the top: a semantic ensemble has no use for it and Kaggle would have to install it.
    with _quiet():
        from mmcv import ConfigDict
        from mmdet.models import build_detector

    network = build_detector(ConfigDict(config(chosen)))
    if not next(network.parameters()).is_meta:  # counting parameters needs no values, and there are none
        network.init_weights()
    return DetectoRS(SPEC, network)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence while mmcv is imported: it announces its successor, and torch that there is no CUDA."""
    compiler = logging.getLogger("torch.utils.cpp_extension")
    before = compiler.level
    compiler.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="On January 1, 2023, MMCV will release", category=UserWarning
            )
            yield
    finally:
        compiler.setLevel(before)
    logging.getLogger("mmcv").setLevel(logging.WARNING)  # it would list every parameter's initialisation
    logging.getLogger("mmdet").setLevel(logging.WARNING)


class DetectoRS(InstanceNetwork):
    """mmdet's `HybridTaskCascade` without its data containers, image metas and class lists."""

    network: Any

    def losses(self, x_NCHW: Tensor, targets: Sequence[InstanceTarget]) -> dict[str, Tensor]:
        """Losses of the region proposals and of the three stages' boxes, classes and masks.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.
            targets: one an image; an image may have no instances.

        Returns:
            mmdet's loss name, e.g. "loss_rpn_cls" or "s0.loss_mask", -> scalar.
        """
        from mmdet.core import BitmapMasks

        padded, metas = self._prepare(x_NCHW)
        height, width = padded.shape[-2:]
        boxes = [target["boxes"].to(padded.device, torch.float32) for target in targets]
        masks = []
        for target in targets:
            mask_NHW = target["masks"]
            rows, columns = height - mask_NHW.shape[-2], width - mask_NHW.shape[-1]
            full_NHW = F.pad(mask_NHW, (0, columns, 0, rows)).cpu().numpy().astype(np.uint8)
            masks.append(BitmapMasks(full_NHW, height, width))
        named = self.network.forward_train(
            padded,
            metas,
            gt_bboxes=boxes,
            gt_labels=[box.new_zeros(len(box), dtype=torch.long) for box in boxes],
            gt_masks=masks,
        )
        return {
            name: (torch.stack(value) if isinstance(value, list) else value).sum()
            for name, value in named.items()
            if "loss" in name  # the rest is accuracy
        }

    @torch.no_grad()
    def detect(self, x_NCHW: Tensor) -> list[Detections]:
        """Instances by the settings of `DetectorSize`: score, NMS and mask thresholds are the network's own.

        Args:
            x_NCHW: RGB, uint8 or floating point 0..255.
        """
        padded, metas = self._prepare(x_NCHW)
        found = self.network.simple_test(padded, metas, rescale=False)
        height, width = x_NCHW.shape[-2:]
        return [_detections(boxes[0], masks[0], height, width, x_NCHW.device) for boxes, masks in found]

    def _prepare(self, x_NCHW: Tensor) -> tuple[Tensor, list[dict[str, Any]]]:
        """The normalised batch, padded with zeros as published, and what mmdet asks about each image."""
        height, width = x_NCHW.shape[-2:]
        padded = F.pad(self.normalise(x_NCHW), self.padding(height, width, _LEAST_SIDE))
        meta = {
            "img_shape": (height, width, 3),
            "ori_shape": (height, width, 3),
            "pad_shape": (*padded.shape[-2:], 3),
            "batch_input_shape": tuple(padded.shape[-2:]),
            "scale_factor": np.ones(4, dtype=np.float32),
            "flip": False,
        }
        return padded, [dict(meta) for _ in range(len(padded))]


def _detections(
    boxes: np.ndarray[Any, Any], masks: list[Any], height: int, width: int, device: torch.device
) -> Detections:
    if len(boxes) != len(masks):
        raise KitError(f"the network returned {len(boxes)} boxes and {len(masks)} masks")
    table = torch.from_numpy(boxes.astype(np.float32)).to(device)
    stack = np.stack(masks) if masks else np.zeros((0, height, width), dtype=bool)
    return Detections(table[:, :4], table[:, 4], torch.from_numpy(stack.astype(bool)).to(device))


ENTRIES = (
    Entry(
        spec=SPEC,
        build=build,
        tiny={
            "base_channels": 8,
            "norm": "batch",
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
        },
    ),
)
