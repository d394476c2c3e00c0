"""Annotated masks for mmdet's mask losses; they stay on the network's device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


class TargetMasks:
    """The instance masks of one training image.

    mmdet's own class keeps the masks on the CPU and makes a full-size float copy for every sampled box, in
    each of the three stages. At 2048 px these are 128 copies of 16 MB. This class cuts each box out of the
    mask of its instance, without a copy per box.

    Attributes:
        height: of the padded image.
        width: of the padded image.
    """

    def __init__(self, mask_NHW: Tensor, height: int, width: int) -> None:
        """Pad the masks with zeros to the size of the batch.

        Args:
            mask_NHW: bool, one mask per instance, on the network's device.
            height: of the padded image.
            width: of the padded image.
        """
        rows, columns = height - mask_NHW.shape[-2], width - mask_NHW.shape[-1]
        self._mask_NHW = F.pad(mask_NHW, (0, columns, 0, rows)) if rows or columns else mask_NHW
        self.height = height
        self.width = width

    def crop_and_resize(
        self,
        bboxes: NDArray[np.float32],
        out_shape: tuple[int, int],
        inds: NDArray[np.int64],
        device: torch.device,
        binarize: bool,
    ) -> Any:
        """Cut each box out of the mask of its instance; mmdet calls this, so the names are mmdet's.

        Args:
            bboxes: (n, 4), x0 y0 x1 y1 in pixels.
            out_shape: height and width of the result.
            inds: (n,), index of each box's instance.
            device: on which the result is computed.
            binarize: whether a pixel of the result is 1 if the mask covers at least half of it, otherwise 0;
                if false, its value is the covered share.

        Returns:
            mmdet's `BitmapMasks` (n, *out_shape).
        """
        from mmcv.ops import roi_align
        from mmdet.core import BitmapMasks

        # RoIAlign takes rows of 5 numbers: the box (10, 20, 50, 60) of instance 3 becomes 3, 10, 20, 50, 60.
        rois = torch.from_numpy(np.concatenate([inds[:, None].astype(bboxes.dtype), bboxes], axis=1))
        mask_N1HW = self._mask_NHW.to(device, torch.float32)[:, None]
        cut_N1HW = roi_align(mask_N1HW, rois.to(device), out_shape, 1.0, 0, "avg", True)
        cut_NHW = cut_N1HW[:, 0] >= 0.5 if binarize else cut_N1HW[:, 0]
        return BitmapMasks(cut_NHW.cpu().numpy(), *out_shape)
