"""A running mean of probability maps, so that a ladder's passes need not all lie on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kit.inference.semantic_fusion import mean_bands
from kit.inference.store import levels_of, open_map, write_map


def write_mean(files: Sequence[Path], weights: Sequence[float], target: Path) -> None:
    """Write the weighted mean of maps as a 16-bit map; do nothing if it exists already.

    Args:
        files: stored maps of one size.
        weights: one per map.
        target: the file; it appears when it is complete.

    Raises:
        KitError: a map is missing or damaged, or the disk is full.
    """
    # A worker may have died after it wrote the mean and before it said so. By now the maps may be gone.
    if target.is_file():
        return
    maps = [open_map(path) for path in files]
    height, width = maps[0].shape
    with write_map(target, height, width, "uint16") as writer:
        for _, mean_HW in mean_bands(maps, weights):
            # Levels 100 and 400 with weights 3 and 1 give 175. Rounding moves a mean by half a level at most,
            # 8e-6 of a probability, once per pass.
            levels_HW = np.rint(mean_HW * levels_of(writer.dtype)).clip(0, levels_of(writer.dtype))
            writer.append(levels_HW.astype(writer.dtype))
