"""Convert stored samples to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kit.images.codecs import Samples


def to_rgb(planes: Sequence[Samples], shift: int, out_HWC: NDArray[np.uint8]) -> None:
    """Write a block's colours to `out_HWC`.

    Args:
        planes: one plane of three or more interleaved channels (h, w, c), of which the first three are used;
            or three planes of one channel each (h, w, 1); 8 or 16 bits.
        shift: an 8-bit level is `min(255, sample >> shift)`.
        out_HWC: (h, w, 3) RGB; may be a part of a larger array.
    """
    import cv2

    levels = [_levels(plane, shift) for plane in planes]
    if len(levels) == 3:
        # One call of vectorised code; three strided copies take ten times as long.
        cv2.merge([level[:, :, 0] for level in levels], out_HWC)
    elif levels[0].shape[2] == 4:
        cv2.cvtColor(levels[0], cv2.COLOR_RGBA2RGB, out_HWC)
    else:
        np.copyto(out_HWC, levels[0][:, :, :3])


def _levels(samples: Samples, shift: int) -> NDArray[np.uint8]:
    """Return 8-bit levels; a view if the samples have 8 bits already."""
    if samples.itemsize == 1:
        return samples.view(np.uint8)
    swapped = not samples.dtype.isnative
    if swapped and shift == 8:
        # In the other byte order, the upper byte is where the machine reads the lower one.
        return samples.view(np.uint16).astype(np.uint8)
    levels = (samples.astype(np.uint16) if swapped else samples) >> shift
    if shift < 8:
        np.minimum(levels, 255, out=levels)
    return levels.astype(np.uint8)
