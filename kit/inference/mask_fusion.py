"""Masks of clusters of detections to one mask each, drawn side by side on sheets.

Run lengths come in and go out. In between each cluster has a small window of a sheet, so that counting votes,
morphology and finding the fused run lengths take one pass over the sheet, which fits the processor's cache,
instead of one over each mask.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kit.inference.settings import Morphology
from kit.masks.mask_set import MaskSet

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SHEET = 1 << 16
"""Pixels of a sheet, unless one window alone is larger."""
_SHARES = 1 << 20
"""Weights are counted in whole parts of their sum, so that a sum has one value whatever its order."""


@dataclass(frozen=True)
class Frames:
    """Where k masks of an image may lie.

    Attributes:
        height: rows of the image.
        width: its columns.
        tlbr: (k, 4) top, left, bottom, right in pixels, inside the image.
    """

    height: int
    width: int
    tlbr: Integers

    @classmethod
    def around(cls, boxes: Floats, height: int, width: int) -> Self:
        """The pixels that boxes (k, 4) x1, y1, x2, y2 touch: rounded outwards, cut at the image."""
        near = np.clip(np.floor(boxes[:, [1, 0]]), 0, [height, width])
        far = np.clip(np.ceil(boxes[:, [3, 2]]), near, [height, width])
        return cls(height, width, np.concatenate([near, far], axis=1).astype(np.int64))


def shares(weights: Floats, of: Integers, count: int) -> tuple[Integers, Integers]:
    """Weights (n,) as whole numbers in the same ratios, and their sums in each of `count` groups.

    Args:
        weights: not negative; a group whose weights are all 0 shares equally.
        of: (n,) the group of each.
        count: of groups.
    """
    totals = np.bincount(of, weights, count)[of]
    equal = 1 / np.bincount(of, minlength=count)[of]
    parts = np.rint(np.where(totals > 0, weights / np.where(totals > 0, totals, 1), equal) * _SHARES)
    return parts.astype(np.int64), np.bincount(of, parts, count).astype(np.int64)


def fuse(
    runs: MaskSet,
    cluster: Integers,
    votes: Integers | None,
    needed: Integers,
    frames: Frames,
    *,
    morphology: Morphology,
    kernel: int,
) -> MaskSet:
    """Pixels that enough masks of a cluster hold, inside the cluster's frame, after morphology.

    Args:
        runs: of n masks.
        cluster: (n,) which cluster each mask belongs to.
        votes: (n,) how much each mask counts; None where each counts 1.
        needed: (k,) votes from which a pixel is kept; positive.
        frames: k, one a cluster; votes outside are ignored. Closing may leave it, but not the image, whose
            border changes nothing.
        morphology: "closing", "opening" or "none".
        kernel: side of its square, odd.

    Returns:
        Runs of k masks.
    """
    strokes = runs.columns(frames.height)
    column = strokes.starts // frames.height
    of = cluster[strokes.of]
    y1, x1, y2, x2 = frames.tlbr.T
    top = np.maximum(strokes.starts - column * frames.height, y1[of])
    bottom = np.minimum(strokes.ends - column * frames.height, y2[of])
    inside = np.flatnonzero((top < bottom) & (column >= x1[of]) & (column < x2[of]))
    column, top, bottom, of = column[inside], top[inside], bottom[inside], of[inside]
    weights = None if votes is None else votes[strokes.of[inside]]

    sheets, sheet_of = _sheets(frames, np.flatnonzero(np.bincount(of)), kernel if morphology != "none" else 1)
    # The smallest type: numbers of up to 16 bits are counted, not compared.
    by_sheet = np.argsort(sheet_of[of].astype(np.min_scalar_type(len(sheets))), kind="stable")
    bounds = np.searchsorted(sheet_of[of][by_sheet], np.arange(len(sheets) + 1)).tolist()
    found = []
    for sheet, begin, end in zip(sheets, bounds, bounds[1:], strict=False):
        own = by_sheet[begin:end]
        place = sheet.place(of[own], column[own], top[own])
        foreground = sheet.count(
            place, place + bottom[own] - top[own], None if weights is None else weights[own], needed
        )
        if morphology != "none":
            sheet.morph(foreground, morphology, kernel)
        found.append(sheet.runs(foreground))
    none = np.empty(0, np.int64)
    of, starts, ends = (np.concatenate(parts) for parts in zip((none,) * 3, *found, strict=True))
    order = np.argsort(of, kind="stable")
    return MaskSet(len(needed), of[order], starts[order], ends[order])


def exclusive(runs: MaskSet, height: int, width: int, min_area: int) -> MaskSet:
    """Each pixel goes to the first mask that holds it; one left with fewer than `min_area` takes none.

    Args:
        runs: of masks, best first.
        height: rows of the image.
        width: its columns.
        min_area: pixels.

    Returns:
        Runs of as many masks; those that got too little are empty.
    """
    taken = np.zeros(height * width, bool)
    bounds = np.searchsorted(runs.of, np.arange(runs.count + 1)).tolist()
    found = [(np.empty(0, np.int64),) * 3]
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        starts, sizes = runs.starts[begin:end], runs.ends[begin:end] - runs.starts[begin:end]
        pixels = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        pixels = pixels[~taken[pixels]]
        if len(pixels) < max(1, min_area):
            continue
        taken[pixels] = True
        opens = np.diff(pixels, prepend=-2) > 1
        closes = np.append(opens[1:], True)
        found.append((np.full(opens.sum(), number), pixels[opens], pixels[closes] + 1))
    of, starts, ends = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return MaskSet(runs.count, of, starts, ends)


@dataclass(frozen=True)
class _Sheet:
    """Windows side by side: a line of the sheet is a column of an image, with `margin` pixels around a frame.

    Attributes:
        frames: of all clusters.
        clusters: (m,) those on this sheet.
        line: (k,) the first line of each cluster's window; of clusters elsewhere, anything.
        lines: in all.
        stride: pixels a line.
        margin: pixels that stay background on every side of a frame, until morphology.
    """

    frames: Frames
    clusters: Integers
    line: Integers
    lines: int
    stride: int
    margin: int

    def place(self, of: Integers, column: Integers, row: Integers) -> Integers:
        """Positions on the flat sheet of pixels (row, column) of the image in the windows of clusters."""
        top, left = self.frames.tlbr[:, 0], self.frames.tlbr[:, 1]
        return (self.line[of] + column - left[of] + self.margin) * self.stride + row - top[of] + self.margin

    def count(
        self, begins: Integers, ends: Integers, weights: Integers | None, needed: Integers
    ) -> NDArray[np.uint8]:
        """Pixels, uint8 (lines, stride) of 0 and 1, where strokes from `begins` to `ends` reach `needed`."""
        size = self.lines * self.stride
        change = np.bincount(begins, weights, size) - np.bincount(ends, weights, size)
        votes = np.cumsum(change, out=change).reshape(self.lines, self.stride)
        return (votes >= needed[self._cluster_of_line()][:, None]).view(np.uint8)

    def morph(self, foreground: NDArray[np.uint8], morphology: Morphology, kernel: int) -> None:
        """Closing (dilation, then erosion) or opening (erosion, then dilation) of every window, in place.

        Pixels outside the image are background to a dilation and foreground to an erosion.
        """
        import cv2  # only who fuses needs it

        square = np.ones((kernel, kernel), np.uint8)
        outside = list(self._outside())
        steps = (cv2.dilate, cv2.erode) if morphology == "closing" else (cv2.erode, cv2.dilate)
        for step in steps:
            for part in outside:
                foreground[part] = step is cv2.erode
            foreground[:] = step(foreground, square)
        for part in outside:
            foreground[part] = 0

    def runs(self, foreground: NDArray[np.uint8]) -> tuple[Integers, Integers, Integers]:
        """Cluster, first pixel and pixel after the last of every run, column-major in the image."""
        flat = foreground.ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        starts, ends = changes[::2], changes[1::2]  # every line begins and ends with background
        line = starts // self.stride
        of = self._cluster_of_line()[line]
        top, left = self.frames.tlbr[of, 0], self.frames.tlbr[of, 1]
        column = left + line - self.line[of] - self.margin
        first = column * self.frames.height + top + starts - line * self.stride - self.margin
        return of, first, first + ends - starts

    def _cluster_of_line(self) -> Integers:
        return np.repeat(self.clusters, np.diff(self.line[self.clusters], append=self.lines))

    def _outside(self) -> Iterator[tuple[slice, slice]]:
        """Parts of the sheet that stand for pixels outside the image."""
        tops = self.line[self.clusters].tolist()
        for (y1, x1, y2, x2), first, after in zip(
            self.frames.tlbr[self.clusters].tolist(), tops, [*tops[1:], self.lines], strict=True
        ):
            own = slice(first, after)
            if y1 < self.margin:
                yield own, slice(0, self.margin - y1)
            if y2 + self.margin > self.frames.height:
                yield own, slice(self.margin + self.frames.height - y1, self.stride)
            if x1 < self.margin:
                yield slice(first, first + self.margin - x1), slice(None)
            if x2 + self.margin > self.frames.width:
                yield slice(after - (x2 + self.margin - self.frames.width), after), slice(None)


def _sheets(frames: Frames, clusters: Integers, margin: int) -> tuple[list[_Sheet], Integers]:
    """Sheets with windows of similar height, and the sheet of each cluster (k,)."""
    rows, columns = (frames.tlbr[:, 2:] - frames.tlbr[:, :2] + 2 * margin).T
    line, sheet_of = np.zeros(len(frames.tlbr), np.int64), np.zeros(len(frames.tlbr), np.int64)
    order = clusters[np.argsort(rows[clusters], kind="stable")]
    sheets: list[_Sheet] = []
    first = lines = 0

    def close(last: int) -> None:
        own = order[first:last]
        sheet_of[own] = len(sheets)
        sheets.append(_Sheet(frames, own, line, lines, int(rows[own[-1]]), margin))

    for position, (height, width) in enumerate(
        zip(rows[order].tolist(), columns[order].tolist(), strict=True)
    ):
        if position > first and (lines + width) * height > _SHEET:
            close(position)
            first, lines = position, 0
        line[order[position]] = lines
        lines += width
    if len(order):
        close(len(order))
    return sheets, sheet_of
