"""Fuse probability maps into one mask: their weighted mean, cut at a threshold, some rows at a time.

This needs no torch, because processes that fuse run beside those that predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kit.inference.store import LevelRows, Levels, levels_of
from kit.masks import rle

if TYPE_CHECKING:
    from kit.inference.semantic_doubt import MaskDoubt

_BAND_VALUES = 1 << 22
"""Most pixels of the mean map in memory."""


def mean_bands(
    maps: Sequence[LevelRows], weights: Sequence[float]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the weighted mean of stored probability maps, a few million pixels at a time.

    Args:
        maps: uint8 or uint16 (H, W), all of one size; arrays, or results of `open_map`.
        weights: weight of each map, positive; only their ratios count.

    Yields:
        First row, and the mean probabilities from this row on, float32 (rows, W) in [0, 1].
    """
    shares = _shares(maps, weights)
    for y0, y1 in _row_bands(maps[0].shape):
        mean_HW = maps[0][y0:y1].astype(np.float32) * shares[0]
        for levels_HW, share in zip(maps[1:], shares[1:], strict=True):
            mean_HW += levels_HW[y0:y1].astype(np.float32) * share
        yield y0, mean_HW


def _shares(maps: Sequence[LevelRows], weights: Sequence[float]) -> NDArray[np.float32]:
    """Return how much one stored level of each map adds to the mean probability."""
    # Two maps of weights 1 and 3 hold the uint8 levels 102 (probability 0.4) and 204 (0.8) at a pixel. The
    # mean is 102 * 1 / (4 * 255) + 204 * 3 / (4 * 255) = 0.7.
    levels = np.array([levels_of(levels_HW.dtype) for levels_HW in maps])
    return (np.array(weights, np.float64) / (float(np.sum(weights)) * levels)).astype(np.float32)


def _row_bands(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    height, width = shape
    rows = max(1, _BAND_VALUES // width)
    for y0 in range(0, height, rows):
        yield y0, min(y0 + rows, height)


def fuse_semantic(
    maps: Sequence[LevelRows], weights: Sequence[float], threshold: float, doubt: MaskDoubt | None = None
) -> rle.Runs:
    """Return the runs of the pixels whose weighted mean probability is at least `threshold`.

    Args:
        maps: as for `mean_bands`.
        weights: as for `mean_bands`.
        threshold: probability.
        doubt: gets the mean probabilities and the mask.
    """
    encoder = rle.RunLengthEncoder(maps[0].shape[1])
    if len(maps) == 1:
        for levels_HW, reached_HW in _reached(maps[0], weights, threshold):
            encoder.push(reached_HW)
            if doubt is not None:
                doubt.add(levels_HW, reached_HW, unit=1 / levels_of(levels_HW.dtype))
        return encoder.finish()
    for _, mean_HW in mean_bands(maps, weights):
        mask_HW = mean_HW >= np.float32(threshold)
        encoder.push(mask_HW)
        if doubt is not None:
            doubt.add(mean_HW, mask_HW)
    return encoder.finish()


def _reached(
    map_HW: LevelRows, weights: Sequence[float], threshold: float
) -> Iterator[tuple[Levels, NDArray[np.bool_]]]:
    """Yield rows of one map and where they reach the threshold: as `mean_bands`, without floats per pixel."""
    levels = np.arange(levels_of(map_HW.dtype) + 1)
    reached = levels.astype(np.float32) * _shares([map_HW], weights)[0] >= np.float32(threshold)
    least = levels[reached].min(initial=len(levels))
    for y0, y1 in _row_bands(map_HW.shape):
        levels_HW = map_HW[y0:y1]
        yield levels_HW, levels_HW >= least
