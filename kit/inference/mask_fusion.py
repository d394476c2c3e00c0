"""Fuse the masks of each cluster of detections to one mask.

Masks come and go as runs. In between, each cluster has a small window on a sheet, beside the windows of other
clusters. Counting votes, morphology and finding the runs of the fused masks are then one operation each on
the sheet, which fits the processor's cache, instead of one per mask of some thousand pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kit.inference.instance_settings import Morphology
from kit.masks.mask_set import MaskSet

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SHEET = 1 << 16
"""Most pixels of a sheet, unless one window alone is larger."""
_SHARES = 1 << 20
"""Parts that the weights of a cluster are rounded to: sums of integers do not depend on their order."""


@dataclass(frozen=True)
class Frames:
    """The rectangles of an image in which k fused masks may lie.

    Attributes:
        height: rows of the image.
        width: columns of the image.
        tlbr: (k, 4) top, left, bottom, right in pixels, inside the image.
    """

    height: int
    width: int
    tlbr: Integers

    @classmethod
    def around(cls, boxes: Floats, height: int, width: int) -> Self:
        """Return the pixels that boxes (k, 4) x1, y1, x2, y2 touch: rounded outwards, cut at the image.

        The box 2.3, 5.0, 6.1, 8.5 has the frame top 5, left 2, bottom 9, right 7.
        """
        near = np.clip(np.floor(boxes[:, [1, 0]]), 0, [height, width])
        far = np.clip(np.ceil(boxes[:, [3, 2]]), near, [height, width])
        return cls(height, width, np.concatenate([near, far], axis=1).astype(np.int64))


def shares(weights: Floats, of: Integers, count: int) -> tuple[Integers, Integers]:
    """Return weights as integers in the same ratios, and their sum in each group.

    Weights 0.3 and 0.1 of one group are 3/4 and 1/4 of its sum:

    >>> shares(np.array([0.3, 0.1]), np.array([0, 0]), 1)
    (array([786432, 262144]), array([1048576]))

    Args:
        weights: (n,), not negative; if all weights of a group are 0, they count equally.
        of: (n,) the group of each.
        count: number of groups.
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
    """Return for each cluster the pixels that enough of its masks hold, after morphology.

    Args:
        runs: n masks.
        cluster: (n,) the cluster of each mask.
        votes: (n,) how much each mask counts; None if each counts 1.
        needed: (k,) votes that a pixel needs to be kept; positive.
        frames: k, one per cluster; votes outside a frame are ignored. Closing may add pixels outside the
            frame, but not outside the image. The border of the image changes nothing.
        morphology: "closing", "opening" or "none".
        kernel: side of the square of the morphology, pixels, odd.

    Returns:
        k masks.
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
    # The smallest integer type: up to 16 bits, numpy sorts by counting (radix sort) and not by comparing.
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
    """Give each pixel to the first mask that holds it, so that masks do not overlap.

    A mask that is left with fewer than `min_area` pixels becomes empty, and the next masks may take its
    pixels.

    Args:
        runs: masks, best first.
        height: rows of the image.
        width: columns of the image.
        min_area: pixels.

    Returns:
        As many masks.
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


# Cluster a has the frame of rows 10..12 and columns 4..6 (ends exclusive), cluster b that of rows 2..5 and
# column 7. With a margin of 1 around each frame, their windows have 4 and 3 lines, and b needs 5 pixels:
#
#     line 0   . . . . .     margin of a
#     line 1   . a a . .     column 4 of the image: rows 10 and 11
#     line 2   . a a . .     column 5
#     line 3   . . . . .     margin of a
#     line 4   . . . . .     margin of b
#     line 5   . b b b .     column 7: rows 2, 3 and 4
#     line 6   . . . . .     margin of b
#
# Pixels on a line follow each other in the runs of the image, too, so that runs of the sheet become runs of
# the image by one addition. Margins keep the masks of two clusters apart and end every run inside its line.
@dataclass(frozen=True)
class _Sheet:
    """Windows of clusters one below another; a line of the sheet is a column of the image.

    Attributes:
        frames: frames of all k clusters.
        clusters: (m,) the clusters on this sheet.
        line: (k,) the first line of each cluster's window; meaningless for clusters of other sheets.
        lines: number of lines.
        stride: pixels of a line.
        margin: pixels around each frame; background until morphology.
    """

    frames: Frames
    clusters: Integers
    line: Integers
    lines: int
    stride: int
    margin: int

    def place(self, of: Integers, column: Integers, row: Integers) -> Integers:
        """Return the place on the flat sheet of pixels (row, column) of the image, in windows of clusters."""
        top, left = self.frames.tlbr[:, 0], self.frames.tlbr[:, 1]
        return (self.line[of] + column - left[of] + self.margin) * self.stride + row - top[of] + self.margin

    def count(
        self, begins: Integers, ends: Integers, weights: Integers | None, needed: Integers
    ) -> NDArray[np.uint8]:
        """Return 1 where the runs from `begins` to `ends` reach the needed votes, uint8 (lines, stride)."""
        size = self.lines * self.stride
        # A pixel is kept if enough masks hold it. Three masks of a cluster, of which two are needed, in one
        # column:
        #
        #     row            0 1 2 3 4 5 6 7 8
        #     masks              a a a             +1 where a mask begins, -1 after its end
        #                          b b b           (2: +1, 3: +1, 4: +1, 5: -1, 6: -1, 8: -1)
        #                            c c c c
        #     votes          0 0 1 2 3 2 1 1 0     the running sum of these
        #     kept                 # # #           rows 3 to 5
        change = np.bincount(begins, weights, size) - np.bincount(ends, weights, size)
        votes = np.cumsum(change, out=change).reshape(self.lines, self.stride)
        return (votes >= needed[self._cluster_of_line()][:, None]).view(np.uint8)

    def morph(self, foreground: NDArray[np.uint8], morphology: Morphology, kernel: int) -> None:
        """Close (dilate, then erode) or open (erode, then dilate) every window in place.

        Before a dilation, pixels outside the image become background, before an erosion foreground: in both
        cases they change no pixel inside.
        """
        import cv2  # needed for fusing masks alone

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
        """Return cluster, first pixel and pixel after the last of every run, column-major in the image."""
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
        """Yield the parts of the sheet that stand for pixels outside the image."""
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
    """Return sheets of windows of similar height, and the sheet of each cluster (k,).

    Clusters are sorted by height, so that lines of a sheet are little longer than its windows need.
    """
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
