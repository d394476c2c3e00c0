"""Detections of views and members to the instances of an image; masks stay run-length coded in between.

Needs no torch: the supervisor on Kaggle fuses while its workers predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kit.errors import KitError
from kit.inference import calibration, mask_fusion
from kit.inference.boxes import Clusters, nms, require_numbers, weighted_boxes_fusion
from kit.inference.instance_windows import joined, plan
from kit.inference.settings import InstanceFusion, InstanceSettings
from kit.inference.store import CodedDetections
from kit.masks import mask_set
from kit.masks.mask_set import MaskSet
from kit.predictions import Instances

_CODED_BYTES = 1 << 21
"""Of run lengths that are decoded at once."""


def require_detections(detections: CodedDetections, where: str | Path) -> None:
    """Refuse stored detections that cannot be ranked or compared.

    Raises:
        KitError: boxes, scores and masks that do not belong together or are not numbers.
    """
    require_numbers(detections.boxes, detections.scores, where=where)
    if len(detections.masks) != len(detections.scores):
        raise KitError(
            f"{len(detections.scores)} detections have {len(detections.masks)} masks",
            where=where,
            fix="delete the file and run that pass again",
        )


def calibrated(detections: CodedDetections, how: calibration.Calibration | None) -> CodedDetections:
    """One member's detections with calibrated scores; as they are without a calibration."""
    if how is None:
        return detections
    scores = calibration.apply(how, detections.scores)
    return CodedDetections(detections.height, detections.width, detections.boxes, scores, detections.masks)


def merge_views(views: Sequence[CodedDetections], settings: InstanceSettings) -> CodedDetections:
    """One member's detections under several views to one list: NMS over all of them.

    Args:
        views: one an executed view, all of one image.
        settings: the member's; `nms_iou` applies, and `max_per_image` to every window.
    """
    together = joined(views)
    if len(views) == 1:
        return together
    windows = plan(together.height, together.width, settings)
    most = settings.max_per_image * len(windows) * len(windows[0])
    return together.take(nms(together.boxes, together.scores, settings.nms_iou)[:most])


def fuse_instances(
    members: Sequence[CodedDetections],
    weights: Sequence[float],
    settings: InstanceFusion,
    size: tuple[int, int],
    *,
    where: str | Path | None = None,
) -> Instances:
    """Weighted boxes fusion over members; masks follow their boxes by index and are fused, too.

    Args:
        members: one a member, boxes in pixels.
        weights: one a member.
        settings: of the rung.
        size: (height, width) of the image.
        where: the image, for messages.

    Returns:
        Best score first; scores are cut at 1, which "avg" confidences can pass when one member puts several
        boxes into a cluster.

    Raises:
        KitError: boxes or scores that are not numbers, damaged masks or masks of another size.
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
    """The first `count` clusters in ranges whose masks may be decoded at once."""
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


def _fused_masks(  # noqa: PLR0917  # the same words as its caller
    clusters: Clusters,
    part: tuple[int, int],
    members: Sequence[CodedDetections],
    weights: Sequence[float],
    settings: InstanceFusion,
    size: tuple[int, int],
    where: str | Path | None,
) -> MaskSet:
    """Masks of the clusters from part[0] up to part[1]."""
    first, last = np.searchsorted(clusters.of, part)
    of, count = clusters.of[first:last] - part[0], part[1] - part[0]
    which = list(
        zip(clusters.sources[first:last].tolist(), clusters.indices[first:last].tolist(), strict=True)
    )
    runs = mask_set.decode([members[source].masks[index] for source, index in which], *size, where=where)
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
