"""Read an image's stored maps once: a sample of pixels for the search, or exact counts for given masks.

A kidney slide has 100 million pixels at training scale and 16 maps of 200 MB. A search that fuses them for
each of its thousands of questions would read them for days. So the maps are read twice in all: once to draw
a sample that answers the questions of the search to a fraction of a percent, and once to score the few masks
that the search ends with, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference.store import StoredMap, levels_of, open_map
from kit.predictions import SemanticMask
from train_local.data.mask_bands import MaskBands

_SCAN_PIXELS = 1 << 20
"""Pixels of a band of the sample: 16 maps of uint16 take 32 MB. More maps get fewer pixels."""
_COUNT_PIXELS = 1 << 18
"""Pixels of a band of exact counts: 16 maps of float32 take 16 MB. More maps get fewer pixels."""
_MAPS = 16
_MEAN_BINS = 10
_APART = 0.2
"""Maps whose probabilities of a pixel differ by more disagree."""
_CERTAIN_SHARE = 0.2
"""How much a stratum of certain pixels counts in the division of the sample, compared with uncertain ones."""


@dataclass(frozen=True)
class ScanRequest:
    """What `sample_image` needs.

    Attributes:
        maps: the stored maps of the image, all of one size.
        truth: of the image.
        pixels: about how many to draw; all if the image has no more.
    """

    maps: tuple[Path, ...]
    truth: SemanticMask
    pixels: int


@dataclass(frozen=True)
class PixelSample:
    """Pixels of an image that stand for all of them.

    Attributes:
        prob_MP: float32 (maps, pixels), the probabilities.
        truth_P: bool (pixels,).
        weight_P: float32 (pixels,), how many pixels of the image each one stands for.
        complete: every pixel of the image is in it.
    """

    prob_MP: NDArray[np.float32]  # noqa: N815
    truth_P: NDArray[np.bool_]  # noqa: N815
    weight_P: NDArray[np.float32]  # noqa: N815
    complete: bool


def sample_image(request: ScanRequest) -> PixelSample:
    """Draw pixels of an image, more of them where the decision is uncertain.

    The pixels of each band are divided into strata by truth, by mean probability, and by whether the maps
    disagree. From each stratum every n-th pixel is drawn, and stands for n pixels: sums over the sample are
    unbiased for any weights and threshold. A band with 3 strata and 100 pixels to draw, which are divided by
    the root of the strata's sizes, certain strata at a fifth:

        stratum                          pixels      drawn   each stands for
        background, mean below 0.1       1 000 000     51      19 600
        background, mean 0.5, disagree       10 000    26         385
        tissue, mean 0.6, disagree            8 000    23         348

    Raises:
        KitError: a map is missing, damaged or of another size than the image.
    """
    maps = open_maps(request.maps, request.truth)
    height, width = request.truth.height, request.truth.width
    complete = height * width <= request.pixels
    bands = list(_bands(height, width, _SCAN_PIXELS, len(maps)))
    per_band = max(request.pixels // len(bands), 1)
    random = np.random.default_rng([height, width, len(maps)])
    masks = MaskBands(request.truth)
    drawn: list[tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]] = []
    for y0, y1 in bands:
        levels = [one[y0:y1].ravel() for one in maps]
        truth_P = masks.band(y0, y1).ravel() > 0
        if complete:
            places, weight = np.arange(len(truth_P)), np.ones(len(truth_P), np.float32)
        else:
            places, weight = _draw(levels, truth_P, per_band, random)
        prob_MP = np.stack([_probabilities(row[places]) for row in levels])
        drawn.append((prob_MP, truth_P[places], weight))
    probs, truths, weights = zip(*drawn, strict=True)
    return PixelSample(
        np.concatenate(probs, axis=1), np.concatenate(truths), np.concatenate(weights), complete
    )


def _draw(
    levels: Sequence[NDArray[np.uint8] | NDArray[np.uint16]],
    truth_P: NDArray[np.bool_],
    pixels: int,
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the places of drawn pixels, and how many pixels each stands for."""
    sum_P = np.zeros(len(truth_P), np.float32)
    least_P, most_P = np.ones(len(truth_P), np.float32), np.zeros(len(truth_P), np.float32)
    for row in levels:
        prob_P = _probabilities(row)
        sum_P += prob_P
        np.minimum(least_P, prob_P, out=least_P)
        np.maximum(most_P, prob_P, out=most_P)
    bin_P = np.minimum((sum_P * np.float32(_MEAN_BINS / len(levels))).astype(np.uint8), _MEAN_BINS - 1)
    apart_P = (most_P - least_P) > np.float32(_APART)
    stratum_P = (bin_P * 2 + truth_P) * np.uint8(2) + apart_P
    order = np.argsort(stratum_P, kind="stable")
    count = np.bincount(stratum_P, minlength=4 * _MEAN_BINS)
    # Strata 0, 2 (lowest mean, no disagreement) and the last ones of their kind hold what all maps agree on.
    kind = np.arange(4 * _MEAN_BINS)
    certain = (kind % 2 == 0) & ((kind // 4 == 0) | (kind // 4 == _MEAN_BINS - 1))
    share = np.sqrt(count) * np.where(certain, _CERTAIN_SHARE, 1.0)
    wanted = np.minimum(np.ceil(pixels * share / share.sum()).astype(np.int64), count)
    first = np.cumsum(count) - count
    # Stratum of 10 pixels, 4 wanted, random 0.5: the pixels 1, 3, 6 and 8 of it.
    every = [
        first[place]
        + ((np.arange(wanted[place]) + random.random()) * count[place] / wanted[place]).astype(np.int64)
        for place in np.flatnonzero(count)
    ]
    weight = [
        np.full(wanted[place], count[place] / wanted[place], np.float32) for place in np.flatnonzero(count)
    ]
    return order[np.concatenate(every)], np.concatenate(weight)


def _probabilities(levels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
    prob: NDArray[np.float32] = levels.astype(np.float32)
    prob *= np.float32(1 / levels_of(levels.dtype))
    return prob


@dataclass(frozen=True)
class CountRequest:
    """What `count_masks` needs.

    Attributes:
        maps: the stored maps of the image, all of one size.
        truth: of the image.
        weights_QM: float64 (masks, maps), the weight of each map in each mask; 0 leaves it out.
        threshold_Q: float64 (masks,).
    """

    maps: tuple[Path, ...]
    truth: SemanticMask
    weights_QM: NDArray[np.float64]  # noqa: N815
    threshold_Q: NDArray[np.float64]  # noqa: N815


def count_masks(request: CountRequest) -> NDArray[np.float64]:
    """Return the Dice of several masks of one image, (masks,); each map is read once for all of them.

    A mask is what `kit.inference.semantic_fusion.fuse_semantic` makes of the same maps, but for pixels whose
    mean lies within float32's rounding of the threshold.

    Raises:
        KitError: a map is missing, damaged or of another size than the image.
    """
    maps = open_maps(request.maps, request.truth)
    levels = np.array([levels_of(one.dtype) for one in maps])
    shares_QM = request.weights_QM / request.weights_QM.sum(axis=1, keepdims=True) / levels
    shares_QM = shares_QM.astype(np.float32)
    threshold_Q1 = request.threshold_Q.astype(np.float32)[:, None]
    masks = MaskBands(request.truth)
    predicted, hit = (np.zeros(len(shares_QM), np.int64) for _ in range(2))
    true = 0
    for y0, y1 in _bands(request.truth.height, request.truth.width, _COUNT_PIXELS, len(maps)):
        truth_P = masks.band(y0, y1).ravel() > 0
        true += int(np.count_nonzero(truth_P))
        level_MP = np.empty((len(maps), len(truth_P)), np.float32)
        for row_P, one in zip(level_MP, maps, strict=True):
            row_P[:] = one[y0:y1].ravel()
        reached_QP = (shares_QM @ level_MP) >= threshold_Q1
        for place, reached_P in enumerate(reached_QP):
            predicted[place] += np.count_nonzero(reached_P)
            hit[place] += np.count_nonzero(reached_P & truth_P)
    total = predicted + true
    return np.where(total > 0, 2 * hit / np.maximum(total, 1), 1.0)


def open_maps(paths: Sequence[Path], truth: SemanticMask) -> list[StoredMap]:
    """Open the stored maps of an image.

    Raises:
        KitError: a map is missing, damaged or of another size than the image.
    """
    maps = [open_map(path) for path in paths]
    for one, path in zip(maps, paths, strict=True):
        if one.shape != (truth.height, truth.width):
            raise KitError(
                f"the stored map is {one.shape[0]} x {one.shape[1]} pixels, the truth of its image "
                f"{truth.height} x {truth.width}",
                where=path,
                fix="delete it and run the `train` command of this run again; it predicts anew",
            )
    return maps


def _bands(height: int, width: int, pixels: int, maps: int) -> Iterator[tuple[int, int]]:
    rows = max(1, pixels * _MAPS // max(maps, _MAPS) // max(width, 1))
    for y0 in range(0, height, rows):
        yield y0, min(y0 + rows, height)
