"""Is there tissue in this window, or only glass and the black of padding? Decided on a sample of its pixels.

Made for a reader that holds the window anyway: nothing is decoded for the test, and a window with tissue is
usually told from its first rows. A window counts as background only if none of its blocks shows tissue, so
that the answer does not depend on how large the window is: a lone object in a huge window is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Background:
    """What glass and padding look like.

    With these values no labelled pixel is lost on the sample and on the larger sets it was cut from, for
    windows of 64 pixels up; the published kidney rule (a mean above 205 and a deviation below 20, or a mean
    below 10) loses pale nuclei there.

    Attributes:
        bright: glass has no channel below this level, 0..255.
        colour: glass has channels this close to each other; stains do not.
        dark: padding has no channel above this level.
        specks: share of a block's samples that may look otherwise (noise, compression).
        block: pixels a side of the blocks that are judged one by one.
        step: every so many-th pixel of both axes is looked at.
    """

    bright: int = 210
    colour: int = 25
    dark: int = 10
    specks: float = 0.01
    block: int = 64
    step: int = 4


GLASS = Background()
"""The rule the engine uses."""


def is_background(window_HWC: NDArray[np.uint8], rule: Background = GLASS) -> bool:
    """Whether a window shows no tissue.

    Pass the window with its context, not the core alone: tissue at a core's edge continues there.
    A view of a larger array is fine, nothing but the samples is copied.

    Args:
        window_HWC: (h, w, 3) RGB, full resolution; an empty window is background.
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
