"""Predict a slide as the kidney solution did: the baseline, written anew from the published description.

1. Cut the slide into cores. For each core and each view, read the core with its context through rasterio;
   pixels beyond the border are zero.
2. Predict it, background too, and average the logits of the views.
3. Make probabilities of them, resize these to full resolution, and paste the core into a mask of the slide.
4. Transpose the mask, flatten it, and make run lengths of all of it at once.
"""

from __future__ import annotations

import gc
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.clock import Clock
from benchmarks.slide_data import Windows

VIEWS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "identity": (lambda x: x, lambda x: x),
    "hflip": (lambda x: x.flip(-1), lambda x: x.flip(-1)),
    "rot90": (lambda x: x.rot90(1, (-2, -1)), lambda x: x.rot90(-1, (-2, -1))),
    "transpose": (lambda x: x.rot90(1, (-2, -1)).flip(-2), lambda x: x.flip(-2).rot90(-1, (-2, -1))),
}
"""Name in `kit.inference.views` -> the view and its inverse, for tensors (..., rows, columns)."""


def predict(
    network: Callable[[Tensor], Tensor],
    image: Path,
    windows: Windows,
    *,
    views: Sequence[str],
    threshold: float,
    clock: Clock,
) -> NDArray[np.bool_]:
    """Return the mask of a slide, bool (height, width).

    Args:
        network: takes RGB uint8 (N, 3, H, W) and returns logits (N, 1, H, W).
        image: TIFF whose bands are red, green and blue.
        windows: sides of cores and contexts, scale, and number of windows per batch.
        views: names in `VIEWS`.
        threshold: probability above which a pixel is foreground.
        clock: counts "read" and "rest"; the network counts its own time.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    with rasterio.open(image) as dataset:
        mask_HW = np.zeros((dataset.height, dataset.width), bool)
        corners = itertools.product(
            range(0, dataset.height, windows.core), range(0, dataset.width, windows.core)
        )
        for blocks in _batches(corners, windows.batch_size):
            logits = []
            for view in views:
                apply, invert = VIEWS[view]
                # This read is inside the loop over the views: with four of them, each window is read four
                # times.
                with clock("read"):
                    x_NHWC = np.stack([_read(dataset, y0, x0, windows) for y0, x0 in blocks])
                logits.append(invert(network(apply(torch.from_numpy(x_NHWC).permute(0, 3, 1, 2)))))
            with clock("rest"):
                prob_NCHW = torch.stack(logits).mean(0).sigmoid()
                full_NCHW = F.interpolate(prob_NCHW, (windows.side, windows.side), mode="bilinear")
                # By default a window is 384 + 1536 + 384 = 2304 pixels, so the core is 384:1920. A core at
                # the border of the slide reaches beyond it; `part_HW` ends at the border, and the core is cut
                # to its size.
                inside = slice(windows.context, windows.context + windows.core)
                for (y0, x0), full_HW in zip(blocks, full_NCHW[:, 0].numpy(), strict=True):
                    part_HW = mask_HW[y0 : y0 + windows.core, x0 : x0 + windows.core]
                    part_HW[:] = (full_HW[inside, inside] > threshold)[: len(part_HW), : part_HW.shape[1]]
                gc.collect()  # as published
    return mask_HW


def encode(mask_HW: NDArray[np.bool_]) -> str:
    """Return Kaggle's run lengths of a mask, bool (height, width), as most notebooks do."""
    # Column by column with a zero at each end,  0 | 0 1 1 0 1 | 0  changes before the pixels 2, 4, 5 and 6
    # (counted from 1). Starts and ends alternate; each end minus its start is a length: "2 2 5 1".
    pixels = np.concatenate([[0], mask_HW.T.flatten(), [0]])
    edges = np.where(pixels[1:] != pixels[:-1])[0] + 1
    edges[1::2] -= edges[::2]
    return " ".join(str(number) for number in edges)


def _read(dataset: Any, y0: int, x0: int, windows: Windows) -> NDArray[np.uint8]:
    """Return the window of the core at (y0, x0), at the network's resolution, uint8 (side, side, 3)."""
    import cv2
    from rasterio.windows import Window

    window = Window(x0 - windows.context, y0 - windows.context, windows.side, windows.side)
    window_CHW = dataset.read([1, 2, 3], window=window, boundless=True)
    size = (windows.input_side, windows.input_side)
    input_HWC: NDArray[np.uint8] = cv2.resize(
        np.moveaxis(window_CHW, 0, -1), size, interpolation=cv2.INTER_AREA
    )
    return input_HWC


def _batches(corners: Iterator[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    while batch := list(itertools.islice(corners, size)):
        yield batch
