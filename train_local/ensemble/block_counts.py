"""What becomes of masks where confident blocks keep the probability of an earlier rung, block by block.

One reading of an image's maps answers for all limits: a block is confident below one doubt and not above it,
and the true and predicted pixels of an image are the sums over its blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.inference.semantic_blocks import BLOCK, BlockDoubt, ConfidentBlocks
from kit.inference.store import Levels, levels_of
from kit.predictions import SemanticMask
from train_local.data.mask_bands import MaskBands
from train_local.ensemble.pixels import open_maps

Pair = tuple[int, int]
"""A rung that windows may be skipped after, and a dearer one."""


@dataclass(frozen=True)
class BlockRequest:
    """What `count_blocks` needs.

    Attributes:
        maps: the stored maps of the image, all of one size.
        truth: of the image.
        weights_RM: float64 (rungs, maps), the weight of each map in each rung; 0 leaves it out.
        threshold_R: float64 (rungs,).
        pairs: to look at, as places of rungs.
    """

    maps: tuple[Path, ...]
    truth: SemanticMask
    weights_RM: NDArray[np.float64]  # noqa: N815
    threshold_R: NDArray[np.float64]  # noqa: N815
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class BlockCounts:
    """An image's pixels under each rung, and how they change where confident blocks are kept.

    Attributes:
        true: pixels of the truth.
        covered_R: bool (rungs,), whether any map of the rung is there.
        whole_R2: int64 (rungs, 2), hit and predicted pixels of each rung's mask.
        doubts: rung -> float64 (rows of blocks, columns of blocks), infinite where no block is confident.
        means: rung -> the mean probabilities of the blocks.
        changes: pair -> int64 (rows of blocks, columns of blocks, 2), hit and predicted pixels more or less
            in a block of the dearer rung if its further passes are replaced by the mean of the block.
    """

    true: int
    covered_R: NDArray[np.bool_]  # noqa: N815
    whole_R2: NDArray[np.int64]  # noqa: N815
    doubts: Mapping[int, NDArray[np.float64]]
    means: Mapping[int, NDArray[np.float64]]
    changes: Mapping[Pair, NDArray[np.int64]]

    def dice(self, rung: int, base: int | None = None, below: float = 0.0) -> float:
        """Return the Dice of a rung, with the blocks whose doubt under an earlier one is below a limit kept.

        NaN if the rung has no map of the image.
        """
        if not self.covered_R[rung]:
            return math.nan
        hit, predicted = (int(value) for value in self.whole_R2[rung])
        if base is not None:
            more = self.changes[base, rung][self.doubts[base] < below].sum(axis=0)
            hit, predicted = hit + int(more[0]), predicted + int(more[1])
        return 2 * hit / (predicted + self.true) if predicted + self.true else 1.0

    def confident(self, base: int, below: float) -> ConfidentBlocks:
        """Return the confident blocks of a rung, as `predict.py` finds them."""
        means = np.where(self.doubts[base] < below, self.means[base], np.nan)
        return ConfidentBlocks(means.astype(np.float32))


def count_blocks(request: BlockRequest) -> BlockCounts:
    """Read the maps of an image once, and count the pixels of its blocks under each rung.

    Where a block is confident, the passes of a dearer rung that the earlier one has not are replaced by the
    block's mean under the earlier one; those that it has stay. An earlier rung of map a, and a dearer one of
    a and b with equal weights: a pixel of 0.2 in a, in a block of mean 0.1, becomes 0.15.

    All confident blocks count as kept. `predict.py` computes some of them, because a window that shows
    another block, too, is not skipped.

    Raises:
        KitError: a map is missing, damaged or of another size than the image.
    """
    maps = open_maps(request.maps, request.truth)
    height, width = request.truth.height, request.truth.width
    levels = np.array([levels_of(one.dtype) for one in maps])
    # A rung whose maps are all missing of this image has no weight and predicts nothing.
    total_R1 = np.maximum(request.weights_RM.sum(axis=1, keepdims=True), 1e-12)
    part_RM = request.weights_RM / total_R1
    share_RM = (part_RM / levels).astype(np.float32)
    threshold_R = request.threshold_R.astype(np.float32)
    bases, masks = sorted({base for base, _ in request.pairs}), MaskBands(request.truth)
    doubts = {base: BlockDoubt(height, width) for base in bases}
    whole_R2, true = np.zeros((len(share_RM), 2), np.int64), 0
    shape = (-(-height // BLOCK), -(-width // BLOCK), 2)
    changes = {pair: np.zeros(shape, np.int64) for pair in request.pairs}
    for row, y0 in enumerate(range(0, height, BLOCK)):
        bands = [one[y0 : y0 + BLOCK] for one in maps]
        truth_HW = masks.band(y0, min(y0 + BLOCK, height)) > 0
        true += int(np.count_nonzero(truth_HW))
        counts = []
        for rung, share_M in enumerate(share_RM):
            prob_HW = _mean(bands, share_M)
            mask_HW = prob_HW >= threshold_R[rung]
            counts.append(_per_block(mask_HW, truth_HW))
            whole_R2[rung] += counts[-1].sum(axis=0)
            if rung in doubts:
                doubts[rung].add(prob_HW, mask_HW)
        for (base, rung), change in changes.items():
            kept_M = request.weights_RM[base] > 0
            rest = float(part_RM[rung][~kept_M].sum())
            if rest == 0:
                continue  # the same maps: nothing is replaced
            mean_W = np.repeat(doubts[base].means[row], BLOCK)[:width].astype(np.float32)
            prob_HW = _mean(bands, np.where(kept_M, share_RM[rung], 0)) + np.float32(rest) * mean_W
            change[row] = _per_block(prob_HW >= threshold_R[rung], truth_HW) - counts[rung]
    return BlockCounts(
        true,
        request.weights_RM.sum(axis=1) > 0,
        whole_R2,
        {base: doubts[base].of_blocks for base in bases},
        {base: doubts[base].means for base in bases},
        changes,
    )


def _mean(bands: Sequence[Levels], share_M: NDArray[np.float32]) -> NDArray[np.float32]:
    mean_HW = np.zeros(bands[0].shape, np.float32)
    for levels_HW, share in zip(bands, share_M, strict=True):
        if share:
            mean_HW += levels_HW * np.float32(share)
    return mean_HW


def _per_block(mask_HW: NDArray[np.bool_], truth_HW: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the hit and the predicted pixels of the blocks of one row, (columns of blocks, 2)."""
    lefts = np.arange(0, mask_HW.shape[1], BLOCK)
    both = [
        np.add.reduceat(np.count_nonzero(one_HW, axis=0), lefts) for one_HW in (mask_HW & truth_HW, mask_HW)
    ]
    return np.stack(both, axis=1).astype(np.int64)
