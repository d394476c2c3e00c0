"""Fuse the detections of views and members to the instances of an image; masks stay runs in between.

This needs no torch: on Kaggle, the supervisor fuses while its workers predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.inference import calibration, mask_fusion
from kit.inference.boxes import Clusters, nms, require_numbers, weighted_boxes_fusion
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.instance_windows import joined, plan
from kit.inference.store import CodedDetections
from kit.masks import mask_set
from kit.masks.mask_set import MaskSet
from kit.predictions import Instances

_CODED_BYTES = 1 << 21
"""Bytes of compressed counts that are decoded at once."""


def require_detections(detections: CodedDetections, where: str | Path) -> None:
    """Refuse stored detections that cannot be ranked or compared.

    Raises:
        KitError: the numbers of boxes, scores and masks differ, or they are not numbers.
    """
    require_numbers(detections.boxes, detections.scores, where=where)
    if len(detections.masks) != len(detections.scores):
        raise KitError(
            f"{len(detections.scores)} detections have {len(detections.masks)} masks",
            where=where,
            fix="delete the file and run that pass again",
        )


def calibrated(detections: CodedDetections, how: calibration.Calibration | None) -> CodedDetections:
    """Return one member's detections with calibrated scores; unchanged if `how` is None."""
    if how is None:
        return detections
    scores = calibration.apply(how, detections.scores)
    return CodedDetections(detections.height, detections.width, detections.boxes, scores, detections.masks)


def merge_views(views: Sequence[CodedDetections], settings: InstanceSettings) -> CodedDetections:
    """Merge one member's detections under several views into one list by NMS.

    Args:
        views: detections under each view, all of one image.
        settings: of the member; `nms_iou` is used, and `max_per_image` as the limit of each window.
    """
    together = joined(views)
    return together if len(views) == 1 else together.take(best_of_views(together, settings))


def best_of_views(together: CodedDetections, settings: InstanceSettings) -> NDArray[np.int64]:
    """Return the positions of the detections that `merge_views` keeps of several views, best first."""
    windows = plan(together.height, together.width, settings)
    most = settings.max_per_image * len(windows) * len(windows[0])
    return nms(together.boxes, together.scores, settings.nms_iou)[:most]


def fuse_instances(
    members: Sequence[CodedDetections],
    weights: Sequence[float],
    settings: InstanceFusion,
    size: tuple[int, int],
    *,
    where: str | Path | None = None,
) -> Instances:
    """Fuse the boxes of all members by weighted boxes fusion, and the masks of the boxes in each cluster.

    Args:
        members: detections of each member, boxes in pixels.
        weights: weight of each member.
        settings: settings of the rung.
        size: (height, width) of the image.
        where: the image, for messages.

    Returns:
        Instances, best score first. Scores are cut at 1: "avg" confidences can be larger if one member puts
        several boxes into a cluster.

    Raises:
        KitError: boxes or scores are not numbers, or masks are damaged or of another size.
    """
    height, width = size
    clusters = weighted_boxes_fusion(
        [member.boxes for member in members],
        [member.scores for member in members],
        weights,
        iou=settings.iou,
        skip_score=settings.skip_score,
        confidence=settings.confidence,
    )
    likely = int(np.count_nonzero(clusters.scores >= settings.min_score))
    fused = mask_set.join(
        [
            _fused_masks(clusters, part, members, weights, settings, size, where)
            for part in _portions(clusters, likely, members)
        ]
    )
    if settings.overlap == "exclusive":
        fused = mask_fusion.exclusive(fused, height, width, settings.min_area)
    kept = np.flatnonzero(fused.areas() >= settings.min_area)
    scores = np.minimum(clusters.scores[kept], 1.0)
    return Instances(height, width, scores, mask_set.encode(fused.take(kept), height, width))


def _portions(
    clusters: Clusters, count: int, members: Sequence[CodedDetections]
) -> Iterator[tuple[int, int]]:
    """Yield ranges of the first `count` clusters whose masks may be decoded at once."""
    coded = [0] * count
    for cluster, source, index in zip(
        clusters.of.tolist(), clusters.sources.tolist(), clusters.indices.tolist(), strict=True
    ):
        if cluster < count:
            coded[cluster] += len(members[source].masks[index])
    first = total = 0
    for cluster, own in enumerate(coded):
        if cluster > first and total + own > _CODED_BYTES:
            yield first, cluster
            first, total = cluster, 0
        total += own
    if count:
        yield first, count


def _fused_masks(  # noqa: PLR0917  # what its caller has
    clusters: Clusters,
    part: tuple[int, int],
    members: Sequence[CodedDetections],
    weights: Sequence[float],
    settings: InstanceFusion,
    size: tuple[int, int],
    where: str | Path | None,
) -> MaskSet:
    """Return the fused masks of the clusters part[0]..part[1]."""
    first, last = np.searchsorted(clusters.of, part)
    of, count = clusters.of[first:last] - part[0], part[1] - part[0]
    which = list(
        zip(clusters.sources[first:last].tolist(), clusters.indices[first:last].tolist(), strict=True)
    )
    runs = mask_set.decode([members[source].masks[index] for source, index in which], *size, where=where)
    # Soft masks: a pixel needs `mask_threshold` of the summed trust (score * weight of the member) of its
    # cluster. Of masks with trust 0.6, 0.3 and 0.1 and the threshold 0.5, the first one decides alone.
    # Votes: a pixel needs `vote_fraction` of the masks, rounded down, but at least one: of 3 masks and 0.5,
    # one.
    if settings.masks == "soft":
        trust = np.array([members[source].scores[index] * weights[source] for source, index in which])
        votes, total = mask_fusion.shares(trust, of, count)
        needed = np.maximum(1, np.ceil(settings.mask_threshold * total)).astype(np.int64)
    else:
        votes = None
        needed = np.maximum(1, (settings.vote_fraction * np.bincount(of, minlength=count)).astype(np.int64))
    frames = mask_fusion.Frames.around(clusters.boxes[slice(*part)], *size)
    return mask_fusion.fuse(
        runs, of, votes, needed, frames, morphology=settings.morphology, kernel=settings.morphology_size
    )
