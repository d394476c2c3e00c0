"""Cut an image that is too large for one network input into windows, and merge what is found in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.inference.boxes import nms
from kit.inference.instance_settings import InstanceSettings
from kit.inference.store import CodedDetections
from kit.masks import coco, mask_set, rle

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_AGREE = 0.5
"""Two masks are of one instance from this IoU on, counted inside the rectangle that their windows share."""
_TOUCH = 2.0
"""A box counts as cut if it ends this close to a window's border, in pixels: boxes are not exact."""


@dataclass(frozen=True)
class Window:
    """One network input; rectangles are x1, y1, x2, y2 in pixels of the image.

    Attributes:
        shown: what the network sees.
        core: its part of the image; the cores of all windows do not overlap and make up the image.
    """

    shown: tuple[int, int, int, int]
    core: tuple[int, int, int, int]


def plan(height: int, width: int, settings: InstanceSettings) -> list[list[Window]]:
    """Return the rows of windows, top to bottom; the image itself if it is no larger than a window.

    All windows have one size and are spread evenly, so that neighbours share at least `settings.overlap`
    pixels. Their cores meet in the middle of what they share. With windows of 100 pixels and an overlap of
    40, a side of 160 pixels gets the windows 0..100 and 60..160 with the cores 0..80 and 80..160.
    """
    rows, columns = (_spread(side, settings.window, settings.overlap) for side in (height, width))
    return [
        [Window((x1, y1, x2, y2), (left, top, right, bottom)) for x1, x2, left, right in columns]
        for y1, y2, top, bottom in rows
    ]


def _spread(side: int, window: int | None, overlap: int) -> list[tuple[int, int, int, int]]:
    """Return the start and end of each window and of its core, along one axis.

    >>> _spread(160, 100, 40)
    [(0, 100, 0, 80), (60, 160, 80, 160)]
    """
    if window is None or side <= window:
        return [(0, side, 0, side)]
    count = -(-(side - overlap) // (window - overlap))
    starts = [(side - window) * number // (count - 1) for number in range(count)]
    seams = [(after + before + window) // 2 for before, after in itertools.pairwise(starts)]
    return [
        (start, start + window, first, last)
        for start, first, last in zip(starts, [0, *seams], [*seams, side], strict=True)
    ]


def joined(parts: Sequence[CodedDetections]) -> CodedDetections:
    """Return the detections of all parts (at least one) of one image together."""
    return CodedDetections(
        parts[0].height,
        parts[0].width,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        [mask for part in parts for mask in part.masks],
    )


def merge(
    windows: Sequence[Sequence[Window]], found: Sequence[CodedDetections], settings: InstanceSettings
) -> CodedDetections:
    """Merge the detections of all windows into those of the image.

    A detection is cut if its box touches a border of its window that is not a border of the image. If two
    masks agree where both windows can see them, the complete one is kept; of two cut ones, their union. A cut
    detection without a partner is kept if its centre lies in the core of its window. NMS merges complete
    ones.

    Args:
        windows: those of `plan`.
        found: detections of each window, row by row, in pixels of the image.
        settings: `nms_iou` is used.

    Returns:
        Detections, best score first; equal scores in the order of the windows.
    """
    #     0                 60    80    100               160
    #     |---------- window 1 ----------|                         core 1: 0..80
    #                       |---------- window 2 ----------|       core 2: 80..160
    #                          AAAAAA                              70..90, complete in both windows
    #                             BBBBBBBBBBBBBBB                  80..130: window 1 shows 80..100 of it
    #                 CCCCCCCCCCCCCCCCCCCCCCCCCCC                  40..130, cut in both windows
    #                                 DD                           92..100, found in window 1 only
    # A: no detection is cut, so NMS keeps the better one. B: the two masks agree inside 60..100, which both
    # windows show, so the complete one is kept and the cut one dropped, whatever their scores. C: the masks
    # 40..100 and 60..130 agree there, too, and both are cut: they become one detection, their union, with the
    # better score. D: a cut detection without a partner is kept only if its centre lies in the core of its
    # window. Its centre is 96, so it is dropped: window 2, which shows it completely, did not find it.
    all_found = joined(found)
    counts = [len(part.scores) for part in found]
    numbers = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
    window_of = np.repeat(np.arange(len(found)), counts)
    flat = [window for row in windows for window in row]
    shown = np.array([window.shown for window in flat], np.int64).reshape(-1, 4)
    cut = _cut(all_found.boxes, shown[window_of], all_found.height, all_found.width)
    pairs = [
        pair
        for first, second in _neighbours(len(windows), len(windows[0]))
        for pair in _same(all_found, cut, (numbers[first], numbers[second]), (shown[first], shown[second]))
    ]
    gone = np.zeros(len(cut), bool)
    for first, second in pairs:
        if cut[first] != cut[second]:
            gone[first if cut[first] else second] = True
    groups = _groups([pair for pair in pairs if not gone[list(pair)].any() and cut[list(pair)].all()])
    grouped = np.zeros(len(cut), bool)
    grouped[[number for group in groups for number in group]] = True
    centres = (all_found.boxes[:, :2] + all_found.boxes[:, 2:]) / 2
    core = np.array([window.core for window in flat], np.float64).reshape(-1, 4)[window_of]
    in_core = ((centres >= core[:, :2]) & (centres < core[:, 2:])).all(axis=1)
    alone = np.flatnonzero(~gone & ~grouped & (~cut | in_core))
    united = [_united(all_found.take(np.array(group))) for group in groups]
    together = joined([all_found.take(alone), *united])
    return together.take(nms(together.boxes, together.scores, settings.nms_iou))


def _cut(boxes: Floats, shown: NDArray[np.int64], height: int, width: int) -> Bools:
    """Return which boxes (n, 4) touch a border of their window (n, 4) that is not the image's, (n,)."""
    near = (boxes[:, :2] <= shown[:, :2] + _TOUCH) & (shown[:, :2] > 0)
    far = (boxes[:, 2:] >= shown[:, 2:] - _TOUCH) & (shown[:, 2:] < [width, height])
    return np.asarray((near | far).any(axis=1))


def _neighbours(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Yield the numbers of two windows that may share pixels, each pair once.

    Neighbours share up to half of a window, and more where the image is short, so that a window can reach the
    one after the next: windows of 60 pixels at 0, 20 and 40.
    """
    steps = [(down, aside) for down in range(3) for aside in range(-2, 3) if (down, aside) > (0, 0)]
    for row, column in itertools.product(range(rows), range(columns)):
        for down, aside in steps:
            if row + down < rows and 0 <= column + aside < columns:
                yield row * columns + column, (row + down) * columns + column + aside


def _same(
    found: CodedDetections,
    cut: Bools,
    numbers: tuple[NDArray[np.int64], NDArray[np.int64]],
    shown: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Iterator[tuple[int, int]]:
    """Yield pairs of detections of two windows, one or both cut, whose masks agree where both can be seen."""
    first, second = numbers
    left, top = np.maximum(shown[0][:2], shown[1][:2]).tolist()
    right, bottom = np.minimum(shown[0][2:], shown[1][2:]).tolist()
    if not len(first) or not len(second) or left >= right or top >= bottom:
        return
    near = np.maximum(found.boxes[first, None, :2], found.boxes[None, second, :2])
    far = np.minimum(found.boxes[first, None, 2:], found.boxes[None, second, 2:])
    touching = (near < far).all(axis=2) & (cut[first][:, None] | cut[second][None])
    inside: dict[int, rle.Runs] = {}
    for row, column in np.argwhere(touching).tolist():
        one, other = int(first[row]), int(second[column])
        for number in (one, other):
            if number not in inside:
                runs = mask_set.decode([found.masks[number]], found.height, found.width)
                inside[number] = _clipped(runs, found.height, (top, left, bottom, right))
        common = rle.intersection(inside[one], inside[other])
        union = rle.area(inside[one]) + rle.area(inside[other]) - common
        if union and common >= _AGREE * union:
            yield one, other


def _clipped(runs: mask_set.MaskSet, height: int, tlbr: tuple[int, int, int, int]) -> rle.Runs:
    """Return the part of one mask that lies in a rectangle; no run goes on in the next column."""
    top, left, bottom, right = tlbr
    strokes = runs.columns(height)
    column = strokes.starts // height
    first = np.maximum(strokes.starts, column * height + top)
    after = np.minimum(strokes.ends, column * height + bottom)
    kept = (first < after) & (column >= left) & (column < right)
    return np.stack([first[kept], after[kept] - first[kept]], axis=1)


def _groups(pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the groups of numbers that are connected by pairs.

    >>> _groups([(1, 4), (2, 3), (4, 5)])
    [[1, 4, 5], [2, 3]]
    """
    group_of: dict[int, list[int]] = {}
    for first, second in pairs:
        one, other = group_of.get(first, [first]), group_of.get(second, [second])
        joined = one if one is other else sorted({*one, *other})
        group_of.update(dict.fromkeys(joined, joined))
    return list({id(group): group for group in group_of.values()}.values())


def _united(pieces: CodedDetections) -> CodedDetections:
    """Return one detection of the pieces of an instance: the union of their masks, and their best score."""
    height, width = pieces.height, pieces.width
    box = np.concatenate([pieces.boxes[:, :2].min(axis=0), pieces.boxes[:, 2:].max(axis=0)])[None]
    runs = mask_set.decode(pieces.masks, height, width)
    union = rle.union([np.stack([runs.starts, runs.ends - runs.starts], axis=1)])
    mask = coco.from_runs(union, height, width)
    return CodedDetections(height, width, box, pieces.scores.max(keepdims=True), [mask])
