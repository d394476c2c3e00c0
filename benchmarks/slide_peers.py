"""MONAI's sliding window and mmseg's slide mode over a slide held in memory at the network's resolution."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.slide_data import Windows


def read_whole(image: Path, scale: float) -> Tensor:
    """The slide at the network's resolution, float32 (1, 3, h, w): both peers compute so."""
    import cv2
    import tifffile

    whole_CHW = tifffile.imread(image)
    height, width = (int(side * scale + 0.5) for side in whole_CHW.shape[1:])
    planes = [cv2.resize(plane_HW, (width, height), interpolation=cv2.INTER_AREA) for plane_HW in whole_CHW]
    return torch.from_numpy(np.stack(planes)).float()[None]


def full_size_mask(prob_HW: NDArray[np.float32], side: int, threshold: float) -> NDArray[np.bool_]:
    """A probability map as a mask of the slide's own size."""
    import cv2

    mask_HW: NDArray[np.bool_] = cv2.resize(prob_HW, (side, side), interpolation=cv2.INTER_LINEAR) > threshold
    return mask_HW


def monai(
    network: Callable[[Tensor], Tensor],
    x_NCHW: Tensor,
    windows: Windows,
    mode: Literal["constant", "gaussian"],
) -> NDArray[np.float32]:
    """Probability map of `sliding_window_inference`, windows and overlap as the windows have them."""
    from monai.inferers.utils import sliding_window_inference

    found: Any = sliding_window_inference(
        x_NCHW,
        roi_size=(windows.input_side, windows.input_side),
        sw_batch_size=windows.batch_size,
        predictor=lambda window: network(window).sigmoid(),
        overlap=1 - windows.stride / windows.input_side,
        mode=mode,
    )
    prob_HW: NDArray[np.float32] = found[0, 0].numpy()
    return prob_HW


def mmseg(network: Callable[[Tensor], Tensor], x_NCHW: Tensor, windows: Windows) -> NDArray[np.float32]:
    """Probability map of mmseg's `slide_inference`, which sees one window at a time."""
    from mmseg.models.segmentors import EncoderDecoder

    stride, crop = (windows.stride,) * 2, (windows.input_side,) * 2
    segmentor = SimpleNamespace(
        test_cfg=SimpleNamespace(stride=stride, crop_size=crop),
        out_channels=1,
        num_classes=1,
        align_corners=False,
        encode_decode=lambda window, _meta: network(window),
    )
    # Of its model it only wants this; a whole one would bring mmseg's own networks.
    logit_NCHW = EncoderDecoder.slide_inference(segmentor, x_NCHW, [{}], rescale=False)
    prob_HW: NDArray[np.float32] = logit_NCHW.sigmoid()[0, 0].numpy()
    return prob_HW
