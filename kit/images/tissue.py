"""Find out whether a window shows tissue, or only glass and black padding, from a sample of its pixels.

The window is judged in blocks of 64 x 64 pixels, of which every 4th row and column is looked at: 256 samples.
A block shows tissue if more than 1 % of its samples, 3 or more, are neither glass nor padding. A window is
background if no block shows tissue. So the answer does not depend on the window's size: a lone object in a
huge window is seen.

The caller holds the pixels already, and mostly the first rows of blocks show tissue, so the test takes little
time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Background:
    """What glass and padding look like.

    With these values, no labelled pixel is lost on the sample and on the larger sets it was cut from, for
    windows of 64 pixels or more. The published kidney rule (a mean above 205 and a deviation below 20, or a
    mean below 10) loses pale nuclei there.

    Attributes:
        bright: glass has all channels at this level or above, 0..255.
        colour: the channels of glass differ by at most this; those of stains differ more.
        dark: padding has all channels at this level or below.
        specks: share of a block's samples that may be something else (noise, compression).
        block: pixels per side of a block.
        step: distance of the samples in pixels, on both axes.
    """

    bright: int = 210
    colour: int = 25
    dark: int = 10
    specks: float = 0.01
    block: int = 64
    step: int = 4


GLASS = Background()
"""The rule that the engine uses."""


def is_background(window_HWC: NDArray[np.uint8], rule: Background = GLASS) -> bool:
    """Return whether a window shows no tissue.

    Pass the window with its context, not the core alone: tissue at the core's border continues there. A view
    of a larger array is fine, only the samples are copied.

    Args:
        window_HWC: (h, w, 3) RGB, full resolution; a window without pixels is background.
        rule: what background looks like.
    """
    step = rule.step
    samples = max(1, rule.block // step)
    for top in range(0, window_HWC.shape[0], rule.block):
        rows_HWC = np.ascontiguousarray(window_HWC[top : top + rule.block : step, ::step])
        red_HW, green_HW, blue_HW = rows_HWC[..., 0], rows_HWC[..., 1], rows_HWC[..., 2]
        low_HW = np.minimum(np.minimum(red_HW, green_HW), blue_HW)
        high_HW = np.maximum(np.maximum(red_HW, green_HW), blue_HW)
        glass_HW = (low_HW >= rule.bright) & (high_HW - low_HW <= rule.colour)
        tissue_W = np.count_nonzero(~(glass_HW | (high_HW <= rule.dark)), axis=0)
        if not tissue_W.any():
            continue
        starts = np.arange(0, len(tissue_W), samples)
        sizes = np.diff(np.append(starts, len(tissue_W))) * len(rows_HWC)
        if (np.add.reduceat(tissue_W, starts) > rule.specks * sizes).any():
            return False
    return True
