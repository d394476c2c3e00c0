"""Annotated masks in the form mmdet's mask losses ask for, kept where the network is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


class TargetMasks:
    """The instance masks of one training image.

    mmdet's own class holds them on the CPU and, in each of the three stages, makes a full-size float copy for
    every sampled box: 128 of 16 MB at 2048 px. Here a box looks into the mask of its instance.

    Attributes:
        height: of the padded image.
        width: of the padded image.
    """

    def __init__(self, mask_NHW: Tensor, height: int, width: int) -> None:
        """Pad the masks like their image.

        Args:
            mask_NHW: bool, on the network's device.
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
        """Cut each box's part out of its instance's mask; the names are mmdet's.

        Args:
            bboxes: (n, 4), x0 y0 x1 y1.
            out_shape: height and width of the result.
            inds: (n,), which instance each box belongs to.
            device: of the result's computation.
            binarize: return True where half or more is covered; otherwise return the covered parts.

        Returns:
            mmdet's `BitmapMasks` (n, *out_shape).
        """
        from mmcv.ops import roi_align
        from mmdet.core import BitmapMasks

        rois = torch.from_numpy(np.concatenate([inds[:, None].astype(bboxes.dtype), bboxes], axis=1))
        mask_N1HW = self._mask_NHW.to(device, torch.float32)[:, None]
        cut_N1HW = roi_align(mask_N1HW, rois.to(device), out_shape, 1.0, 0, "avg", True)
        cut_NHW = cut_N1HW[:, 0] >= 0.5 if binarize else cut_N1HW[:, 0]
        return BitmapMasks(cut_NHW.cpu().numpy(), *out_shape)
