"""Run MONAI's sliding window and mmseg's slide mode over a slide in memory, at the network's resolution."""

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


def read_slide(image: Path, scale: float) -> Tensor:
    """Return a slide at the network's resolution, float32 (1, 3, h, w); both peers compute in float32."""
    import cv2
    import tifffile

    # 30000 x 30000 pixels: 2.7 GB as they are stored; at a third 10000 x 10000, 0.3 GB as uint8 and 1.2 GB as
    # float32.
    slide_CHW = tifffile.imread(image)
    height, width = (int(side * scale + 0.5) for side in slide_CHW.shape[1:])
    planes = [cv2.resize(plane_HW, (width, height), interpolation=cv2.INTER_AREA) for plane_HW in slide_CHW]
    return torch.from_numpy(np.stack(planes)).float()[None]


def full_size_mask(prob_HW: NDArray[np.float32], side: int, threshold: float) -> NDArray[np.bool_]:
    """Resize a probability map to (side, side) and return the mask of pixels above the threshold."""
    import cv2

    mask_HW: NDArray[np.bool_] = cv2.resize(prob_HW, (side, side), interpolation=cv2.INTER_LINEAR) > threshold
    return mask_HW


def monai(
    network: Callable[[Tensor], Tensor],
    x_NCHW: Tensor,
    windows: Windows,
    mode: Literal["constant", "gaussian"],
) -> NDArray[np.float32]:
    """Return the probability map (h, w) of MONAI's `sliding_window_inference`."""
    from monai.inferers.utils import sliding_window_inference

    # MONAI takes the overlap as a share of the window. By default a window of 768 moves by 512, so they share
    # 1/3.
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
    """Return the probability map (h, w) of mmseg's `slide_inference`, which predicts one window at a time."""
    from mmseg.models.segmentors import EncoderDecoder

    stride, crop = (windows.stride,) * 2, (windows.input_side,) * 2
    segmentor = SimpleNamespace(
        test_cfg=SimpleNamespace(stride=stride, crop_size=crop),
        out_channels=1,
        num_classes=1,
        align_corners=False,
        encode_decode=lambda window, _meta: network(window),
    )
    # `slide_inference` reads these attributes of its model and no others. A complete model of mmseg would
    # bring one of mmseg's networks, but all ways of this benchmark have to use the same network.
    logit_NCHW = EncoderDecoder.slide_inference(segmentor, x_NCHW, [{}], rescale=False)
    prob_HW: NDArray[np.float32] = logit_NCHW.sigmoid()[0, 0].numpy()
    return prob_HW
