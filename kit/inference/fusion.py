"""Passes to one prediction: mean of probability maps, or detections merged over views and fused over members.

Needs no torch: the supervisor on Kaggle fuses while its workers predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.competitions.base import Instances, Prediction, SemanticMask
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.inference.boxes import Cluster, nms, weighted_boxes_fusion
from kit.inference.settings import InstanceFusion, InstanceSettings, Morphology, SemanticFusion
from kit.inference.store import CodedDetections, LevelRows, levels_of, load_detections, open_map
from kit.masks import coco, rle

_BAND_VALUES = 1 << 22
"""Pixels of the mean map that exist at once."""


def fuse(
    ensemble: Ensemble, rung_index: int, image_id: str, pass_files: Mapping[int, Path], size: tuple[int, int]
) -> Prediction:
    """The prediction of one rung for one image.

    Instances: a member's views are merged first, then members are fused; a member's weight is the mean of its
    passes' weights.

    Args:
        ensemble: the plan.
        rung_index: which rung's weights and settings apply.
        image_id: named in messages.
        pass_files: index in `ensemble.passes` -> what `kit.inference.runner.run_pass` returned. A pass of the
            rung that is missing here (its member was dropped) is left out and the others' weights count
            alone.
        size: (height, width) the image has.

    Raises:
        KitError: no pass of the rung is there, a file is damaged or of another size.
    """
    rung = ensemble.rungs[rung_index]
    present = [index for index in range(rung.passes) if index in pass_files]
    if not present:
        raise KitError("no pass of this rung has a result", where=image_id, fix="run its passes first")
    weights = [rung.weights[index] for index in present]
    if ensemble.kind == "semantic":
        maps = [open_map(pass_files[index]) for index in present]
        for prob_HW, index in zip(maps, present, strict=True):
            _require_size(prob_HW.shape, size, pass_files[index], image_id)
        settings = SemanticFusion.from_dict(rung.settings)
        return SemanticMask(*size, fuse_semantic(maps, weights, settings.threshold))
    views_of: dict[int, list[CodedDetections]] = {}
    weights_of: dict[int, list[float]] = {}
    for index, weight in zip(present, weights, strict=True):
        detections = load_detections(pass_files[index])
        _require_size((detections.height, detections.width), size, pass_files[index], image_id)
        member = ensemble.passes[index].member
        views_of.setdefault(member, []).append(detections)
        weights_of.setdefault(member, []).append(weight)
    merged = [
        merge_views(views, InstanceSettings.from_dict(ensemble.members[member].inference))
        for member, views in sorted(views_of.items())
    ]
    means = [float(np.mean(weights_of[member])) for member in sorted(weights_of)]
    return fuse_instances(merged, means, InstanceFusion.from_dict(rung.settings), size)


def _require_size(found: tuple[int, ...], size: tuple[int, int], path: Path, image_id: str) -> None:
    if tuple(found) != tuple(size):
        raise KitError(
            f"a pass over {image_id} is {found[0]} x {found[1]}, the image {size[0]} x {size[1]}",
            where=path,
            fix="delete the scratch folder of passes and run again",
        )


def mean_bands(
    maps: Sequence[LevelRows], weights: Sequence[float]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Weighted mean of stored probability maps, a few million pixels at a time.

    Args:
        maps: uint8 or uint16 (H, W), all of one size; arrays, or what `open_map` returns.
        weights: one a map, positive; only their ratios count.

    Yields:
        First row, and the mean probabilities from there, float32 (rows, W) in [0, 1].
    """
    height, width = maps[0].shape
    rows = max(1, _BAND_VALUES // width)
    levels = [levels_of(levels_HW.dtype) for levels_HW in maps]
    shares = (np.array(weights, np.float64) / (float(np.sum(weights)) * np.array(levels))).astype(np.float32)
    for y0 in range(0, height, rows):
        mean_HW = maps[0][y0 : y0 + rows].astype(np.float32) * shares[0]
        for levels_HW, share in zip(maps[1:], shares[1:], strict=True):
            mean_HW += levels_HW[y0 : y0 + rows].astype(np.float32) * share
        yield y0, mean_HW


def fuse_semantic(maps: Sequence[LevelRows], weights: Sequence[float], threshold: float) -> rle.Runs:
    """Run lengths of the pixels whose weighted mean probability is at least `threshold`, streamed.

    Args:
        maps: as `mean_bands`.
        weights: as `mean_bands`.
        threshold: probability.
    """
    encoder = rle.RunLengthEncoder(maps[0].shape[1])
    for _, mean_HW in mean_bands(maps, weights):
        encoder.push(mean_HW >= np.float32(threshold))
    return encoder.finish()


def merge_views(views: Sequence[CodedDetections], settings: InstanceSettings) -> CodedDetections:
    """One member's detections under several views to one list: NMS over all of them.

    Args:
        views: one an executed view, all of one image.
        settings: the member's; `nms_iou` and `max_per_image` apply.
    """
    together = CodedDetections(
        views[0].height,
        views[0].width,
        np.concatenate([view.boxes for view in views]),
        np.concatenate([view.scores for view in views]),
        [mask for view in views for mask in view.masks],
    )
    if len(views) == 1:
        return together
    return together.take(nms(together.boxes, together.scores, settings.nms_iou)[: settings.max_per_image])


def fuse_instances(
    members: Sequence[CodedDetections],
    weights: Sequence[float],
    settings: InstanceFusion,
    size: tuple[int, int],
) -> Instances:
    """Weighted boxes fusion over members; masks follow their boxes by index and vote.

    Args:
        members: one a member, boxes in pixels.
        weights: one a member.
        settings: of the rung.
        size: (height, width) of the image.

    Returns:
        Best score first; scores are cut at 1, which "avg" confidences can pass when one member puts several
        boxes into a cluster.
    """
    height, width = size
    clusters = weighted_boxes_fusion(
        [member.boxes for member in members],
        [member.scores for member in members],
        weights,
        iou=settings.iou,
        skip_score=settings.skip_score,
    )
    taken_HW = np.zeros(size, bool) if settings.overlap == "exclusive" else None
    scores: list[float] = []
    masks: list[bytes] = []
    for cluster in clusters:
        if cluster.score < settings.min_score:
            break
        mask_HW, (top, left) = vote(cluster, members, settings, size)
        rows, columns = slice(top, top + mask_HW.shape[0]), slice(left, left + mask_HW.shape[1])
        if taken_HW is not None:
            mask_HW = mask_HW & ~taken_HW[rows, columns]
        if np.count_nonzero(mask_HW) < settings.min_area:
            continue
        if taken_HW is not None:
            taken_HW[rows, columns] |= mask_HW
        scores.append(min(cluster.score, 1.0))
        masks.append(
            coco.from_runs(_place(rle.encode(mask_HW), mask_HW.shape[0], top, left, height), height, width)
        )
    return Instances(height, width, np.array(scores, np.float64), masks)


def vote(
    cluster: Cluster, members: Sequence[CodedDetections], settings: InstanceFusion, size: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The fused mask of one cluster.

    A pixel is kept if at least max(1, int(vote_fraction * n)) of the cluster's n masks hold it and it lies in
    the fused box (rounded outwards to whole pixels); then morphology, whose kernel sees the image's border
    and nothing else as a border.

    Args:
        cluster: of the fusion.
        members: what the cluster's indices refer to.
        settings: of the rung.
        size: (height, width) of the image.

    Returns:
        The mask in a window around the box, and the window's (top, left).
    """
    height, width = size
    x1, y1 = (int(value) for value in np.maximum(np.floor(cluster.box[:2]), 0))
    x2, y2 = (int(value) for value in np.minimum(np.ceil(cluster.box[2:]), [width, height]))
    rows, columns = y2 - y1, x2 - x1
    votes_HW = np.zeros((rows, columns), np.int32)
    for source, index in cluster.members:
        runs = coco.runs_of(members[source].masks[index], height, width)
        votes_HW += rle.decode_window(runs, height, (y1, x1, rows, columns))
    needed = max(1, int(settings.vote_fraction * len(cluster.members)))
    mask_HW = votes_HW >= needed
    if settings.morphology == "none":
        return mask_HW, (y1, x1)
    # The kernel must see past the box, but not past the image.
    reach = settings.morphology_size
    top, left = max(0, y1 - reach), max(0, x1 - reach)
    bottom, right = min(height, y2 + reach), min(width, x2 + reach)
    wide_HW = np.zeros((bottom - top, right - left), bool)
    wide_HW[y1 - top : y2 - top, x1 - left : x2 - left] = mask_HW
    return morph(wide_HW, settings.morphology, settings.morphology_size), (top, left)


def morph(mask_HW: NDArray[np.bool_], morphology: Morphology, size: int) -> NDArray[np.bool_]:
    """Closing (dilation, then erosion), opening (erosion, then dilation) with a square of `size` pixels.

    Pixels outside the array count as background when dilating and as foreground when eroding: they change
    nothing.
    """
    if morphology == "none":
        return mask_HW
    import cv2  # only who fuses needs it

    method = cv2.MORPH_CLOSE if morphology == "closing" else cv2.MORPH_OPEN
    kernel = np.ones((size, size), np.uint8)
    changed: NDArray[np.bool_] = cv2.morphologyEx(mask_HW.astype(np.uint8), method, kernel).astype(bool)
    return changed


def _place(runs: rle.Runs, rows: int, top: int, left: int, height: int) -> rle.Runs:
    """Runs of a window of `rows` rows as runs of the image it was cut from at (top, left)."""
    if rows == height:
        return np.stack([runs[:, 0] + left * height, runs[:, 1]], axis=1)
    starts, lengths = runs[:, 0], runs[:, 1]
    first, last = starts // rows, (starts + lengths - 1) // rows
    pieces = last - first + 1
    # A run that goes on in the next column of the window is interrupted in the image: cut it at every
    # column's end.
    column = (
        np.repeat(first, pieces) + np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    )
    begin = np.maximum(np.repeat(starts, pieces), column * rows)
    end = np.minimum(np.repeat(starts + lengths, pieces), (column + 1) * rows)
    return np.stack([(column + left) * height + top + begin - column * rows, end - begin], axis=1)
