"""IoU of many masks with many others, on run lengths; pairs that cannot overlap enough are not counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.local.masks import boxes
from kit.masks import mask_set
from kit.masks.mask_set import MaskSet

_PAIRS = 1 << 20
"""Number of box pairs compared at once; all pairs of the nuclei of a slide would not fit into memory."""


@dataclass(frozen=True)
class Overlaps:
    """Pairs of masks that share pixels, ascending by `a`, then `b`.

    Attributes:
        a: (n,) index of the first mask in its list.
        b: (n,) index of the second mask in its list.
        iou: (n,) intersection over union, in (0, 1].
    """

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    iou: NDArray[np.float64]


def iou_matrix(
    masks_a: Sequence[bytes], masks_b: Sequence[bytes], height: int, width: int
) -> NDArray[np.float64]:
    """Return the intersection over union of every mask of `masks_a` with every mask of `masks_b`.

    Args:
        masks_a: n COCO compressed counts.
        masks_b: m COCO compressed counts.
        height: rows of the image they belong to.
        width: its columns.

    Returns:
        (n, m), in [0, 1]; 0 for two empty masks.

    Raises:
        KitError: a mask is damaged or of another size.
    """
    found = overlaps(masks_a, masks_b, height, width)
    ious = np.zeros((len(masks_a), len(masks_b)))
    ious[found.a, found.b] = found.iou
    return ious


def overlaps(
    masks_a: Sequence[bytes], masks_b: Sequence[bytes], height: int, width: int, *, at_least: float = 0.0
) -> Overlaps:
    """Return the pairs of a mask of `masks_a` and a mask of `masks_b` that share pixels.

    Args:
        masks_a: COCO compressed counts.
        masks_b: COCO compressed counts.
        height: rows of the image they belong to.
        width: its columns.
        at_least: pairs with a smaller intersection over union are left out. Most of them are never counted:
            boxes and areas show that they cannot reach it. Masks of 10 and 40 pixels share 10 at most, so
            their IoU is 10 / 40 = 0.25 at most.

    Raises:
        KitError: a mask is damaged or of another size.
    """
    a, b = _split(mask_set.decode([*masks_a, *masks_b], height, width), len(masks_a))
    return overlaps_of_sets(a, b, height, width, at_least=at_least)


def overlaps_of_sets(a: MaskSet, b: MaskSet, height: int, width: int, *, at_least: float = 0.0) -> Overlaps:
    """Return `overlaps` of masks that are decoded already; runs of a mask may touch each other."""
    areas_a, areas_b, boxes_a, boxes_b = (
        a.areas(),
        b.areas(),
        boxes.of_set(a, height),
        boxes.of_set(b, height),
    )
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    step = max(1, _PAIRS // max(1, b.count))
    for first in range(0, a.count, step):
        part = slice(first, first + step)
        most = _shared_box(boxes_a[part], boxes_b)
        np.minimum(most, areas_a[part, None], out=most)
        np.minimum(most, areas_b, out=most)
        sums = areas_a[part, None] + areas_b
        # Rounding keeps the order of quotients, so no pair that reaches `at_least` below is lost here.
        pair_a, pair_b = np.nonzero((most > 0) & (most / np.maximum(sums - most, 1) >= at_least))
        shared = _intersections(a, b, pair_a + first, pair_b, height * width)
        ious = shared / np.maximum(sums[pair_a, pair_b] - shared, 1)
        kept = (shared > 0) & (ious >= at_least)
        found.append((pair_a[kept] + first, pair_b[kept], ious[kept]))
    return Overlaps(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _split(runs: MaskSet, count: int) -> tuple[MaskSet, MaskSet]:
    """Return the first `count` masks, and the others."""
    cut = int(np.searchsorted(runs.of, count))
    return (
        MaskSet(count, runs.of[:cut], runs.starts[:cut], runs.ends[:cut]),
        MaskSet(runs.count - count, runs.of[cut:] - count, runs.starts[cut:], runs.ends[cut:]),
    )


def _intersections(
    a: MaskSet, b: MaskSet, pair_a: NDArray[np.int64], pair_b: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Return the number of pixels that the masks of each pair share."""
    # A run of a shares with b the pixels of b before the run's end, minus those before its start. For the run
    # 5..15 and a mask b with the runs 0..8 and 12..20 (ends exclusive): 8 + 3 = 11 pixels of b lie before 15,
    # and 5 before 5, so 6 are shared.
    #
    # All masks of b stand on one line, mask k from k * size on, so that one binary search serves all pairs:
    #
    #     line   | mask 0: xxxx....xxxx.... | mask 1: ..xxxxxx........ | mask 2 ...
    #            0                          size                       2 * size
    if len(pair_a) == 0:
        return np.zeros(0, np.int64)
    line_a, line_b = a.of * size, b.of * size
    runs_of_b = np.searchsorted(b.of, np.arange(b.count + 1))
    from_b, to_b = b.starts[runs_of_b[pair_b]], b.ends[runs_of_b[pair_b + 1] - 1]
    # Only runs of a that reach between the first and the last pixel of b can share pixels with it.
    first = np.searchsorted(a.ends + line_a, from_b + pair_a * size, side="right")
    number = np.searchsorted(a.starts + line_a, to_b + pair_a * size) - first
    pair = np.repeat(np.arange(len(pair_a)), number)
    run = np.arange(len(pair)) + np.repeat(first - (np.cumsum(number) - number), number)
    offset = pair_b[pair] * size
    line_starts, lengths = b.starts + line_b, b.ends - b.starts
    before = np.cumsum(lengths) - lengths

    def pixels_below(position: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.searchsorted(line_starts, position, side="right") - 1
        inside = np.minimum(position - line_starts[at], lengths[at])
        return np.where(at < 0, 0, before[at] + inside)

    shared = pixels_below(a.ends[run] + offset) - pixels_below(a.starts[run] + offset)
    return np.bincount(pair, shared, len(pair_a)).astype(np.int64)


def _shared_box(boxes_a: NDArray[np.int64], boxes_b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of pixels in both boxes of every pair, (n, m)."""
    x, y = (
        np.maximum(
            np.minimum.outer(boxes_a[:, axis + 2], boxes_b[:, axis + 2])
            - np.maximum.outer(boxes_a[:, axis], boxes_b[:, axis]),
            0,
        )
        for axis in (0, 1)
    )
    shared: NDArray[np.int64] = x * y
    return shared
