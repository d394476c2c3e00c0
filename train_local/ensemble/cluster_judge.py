"""Judge fused detections without fusing masks that decide nothing, and none twice.

A search asks thousands of times how the same detections of an image are fused: with one detector more, with
other weights, with other settings. Most clusters lie far from any true instance and are wrong, whatever their
mask is, and of the others most were seen before. Their scores and order are those of
`kit.inference.instance_fusion.fuse_instances`, and they are matched as the metric does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.inference import mask_fusion
from kit.inference.boxes import Clusters
from kit.inference.instance_settings import InstanceFusion
from kit.inference.mask_fusion import Frames
from kit.local.masks.iou import Overlaps, overlaps_of_sets
from kit.local.metrics.average_precision import matches
from kit.masks import mask_set
from train_local.ensemble.kept_images import ClusterKey, Integers, KeptImage, Part, Truths
from train_local.ensemble.ranking import JudgedImage

_AT_ONCE = 400
"""Clusters whose masks are fused in one call."""


@dataclass(frozen=True)
class Question:
    """What is fused.

    Attributes:
        parts: of the members, at least one.
        settings: of the fusion; overlaps are kept.
    """

    parts: Sequence[Part]
    settings: InstanceFusion


@dataclass(frozen=True)
class _Open:
    """The clusters of a question whose masks matter.

    Attributes:
        scores: (k,) of all its clusters, best first.
        places: of those whose masks matter, ascending.
        keys: of these.
    """

    scores: NDArray[np.float64]
    places: list[int]
    keys: list[ClusterKey]


def judge(image: KeptImage, questions: Sequence[Question], ious: Sequence[float]) -> list[list[JudgedImage]]:
    """Return the judged detections of each question at each IoU threshold.

    Args:
        image: without ignored regions.
        questions: how to fuse.
        ious: thresholds of the metric, above 0.
    """
    asked = [_open(image, question, min(ious)) for question in questions]
    known: dict[ClusterKey, Truths] = {}
    missing: dict[ClusterKey, InstanceFusion] = {}
    for question, one in zip(questions, asked, strict=True):
        for key in one.keys:
            if key in image.clusters:
                known[key] = image.clusters[key]
            else:
                missing.setdefault(key, question.settings)
    by_kind: dict[tuple[str, bool], list[ClusterKey]] = {}
    for key in missing:
        by_kind.setdefault((key[-1], bool(key[3])), []).append(key)
    for keys in by_kind.values():
        for first in range(0, len(keys), _AT_ONCE):
            part = keys[first : first + _AT_ONCE]
            known.update(zip(part, _fused(image, part, missing[part[0]], min(ious)), strict=True))
    image.clusters.update((key, known[key]) for key in missing)
    return [
        _matched(one, question.settings, known, len(image.truth.masks), ious)
        for question, one in zip(questions, asked, strict=True)
    ]


def _open(image: KeptImage, question: Question, iou: float) -> _Open:
    """Group the boxes of a question, and find the clusters whose masks matter."""
    settings = question.settings
    clusters = image.grouped(question.parts, settings)
    count = int(np.count_nonzero(clusters.scores >= settings.min_score))
    last = int(np.searchsorted(clusters.of, count))
    of = clusters.of[:last]
    offsets = np.cumsum([0, *(len(part.numbers) for part in question.parts)])
    place = offsets[clusters.sources[:last]] + clusters.indices[:last]
    numbers = np.concatenate([part.numbers for part in question.parts])[place]
    frames = Frames.around(clusters.boxes[:count], *image.size).tlbr
    votes, needed = _votes(question, clusters, last, count)
    matter = ~(
        _wrong(image, frames, settings, iou) & _not_empty(image, frames, of, numbers, votes >= needed[of])
    )
    if settings.morphology == "opening" or settings.min_area > 1:
        matter[:] = True  # what is left of a mask cannot be told from one of its pixels
    places = np.flatnonzero(matter).tolist()
    bounds = np.searchsorted(of, np.arange(count + 1)).tolist()
    framed, least = frames.tolist(), needed.tolist()
    soft = settings.masks == "soft"
    listed, shares = numbers.tolist(), votes.tolist() if soft else []
    how = f"{settings.morphology} {settings.morphology_size}"
    keys: list[ClusterKey] = []
    for number in places:
        own = slice(bounds[number], bounds[number + 1])
        members = tuple(listed[own] if soft else sorted(listed[own]))
        keys.append((members, tuple(framed[number]), least[number], tuple(shares[own]), how))
    return _Open(clusters.scores[:count], places, keys)


def _votes(question: Question, clusters: Clusters, last: int, count: int) -> tuple[Integers, Integers]:
    """Return how much each mask counts, (last,), and how much a pixel needs, (count,)."""
    settings, of = question.settings, clusters.of[:last]
    if settings.masks == "votes":
        needed = (settings.vote_fraction * np.bincount(of, minlength=count)).astype(np.int64)
        return np.ones(last, np.int64), np.maximum(1, needed)
    sources, indices = clusters.sources[:last].tolist(), clusters.indices[:last].tolist()
    scores = [part.detections.scores.tolist() for part in question.parts]
    weights = [part.weight for part in question.parts]
    trust = np.array([scores[s][i] * weights[s] for s, i in zip(sources, indices, strict=True)], np.float64)
    votes, total = mask_fusion.shares(trust, of, count)
    return votes, np.maximum(1, np.ceil(settings.mask_threshold * total)).astype(np.int64)


def _wrong(image: KeptImage, frames: Integers, settings: InstanceFusion, iou: float) -> NDArray[np.bool_]:
    """Return which clusters cannot reach the IoU with any true instance, wherever the mask lies."""
    # A mask shares with a true instance at most the pixels that their boxes share, and their union is no
    # smaller than the true instance.
    margin = 0 if settings.morphology == "none" else settings.morphology_size
    y1, x1, y2, x2 = frames.T[:, :, None]
    true_x1, true_y1, true_x2, true_y2 = image.true_boxes.T[:, None, :]
    width = np.minimum(x2 + margin, true_x2) - np.maximum(x1 - margin, true_x1)
    height = np.minimum(y2 + margin, true_y2) - np.maximum(y1 - margin, true_y1)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    wrong: NDArray[np.bool_] = (shared < (iou - 1e-9) * image.true.areas()).all(axis=1)
    return wrong


def _not_empty(
    image: KeptImage, frames: Integers, of: Integers, numbers: Integers, alone: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which fused masks surely have a pixel: one of a mask that decides alone lies in the frame."""
    row, column = image.inside[numbers].T
    y1, x1, y2, x2 = frames[of].T
    held = alone & (row >= y1) & (row < y2) & (column >= x1) & (column < x2)
    return np.bincount(of[held], minlength=len(frames)) > 0


def _fused(
    image: KeptImage, keys: Sequence[ClusterKey], settings: InstanceFusion, iou: float
) -> list[Truths]:
    """Fuse the masks of clusters of one kind."""
    of = np.repeat(np.arange(len(keys)), [len(members) for members, *_ in keys])
    runs = mask_set.decode(
        [image.masks[number] for members, *_ in keys for number in members], *image.size, where=image.image_id
    )
    votes = np.array([vote for _, _, _, shares, _ in keys for vote in shares], np.int64)
    fused = mask_fusion.fuse(
        runs,
        of,
        votes if len(votes) else None,
        np.array([needed for _, _, needed, *_ in keys], np.int64),
        Frames(*image.size, np.array([frame for _, frame, *_ in keys], np.int64)),
        morphology=settings.morphology,
        kernel=settings.morphology_size,
    )
    pairs = overlaps_of_sets(fused, image.true, *image.size, at_least=iou)
    found: list[list[tuple[int, float]]] = [[] for _ in keys]
    for cluster, truth, overlap in zip(pairs.a.tolist(), pairs.b.tolist(), pairs.iou.tolist(), strict=True):
        found[cluster].append((truth, overlap))
    return [(area, tuple(own)) for area, own in zip(fused.areas().tolist(), found, strict=True)]


def _matched(
    asked: _Open,
    settings: InstanceFusion,
    known: dict[ClusterKey, Truths],
    truths: int,
    ious: Sequence[float],
) -> list[JudgedImage]:
    there = np.ones(len(asked.scores), bool)
    pairs: list[tuple[int, int, float]] = []
    for place, key in zip(asked.places, asked.keys, strict=True):
        area, own = known[key]
        there[place] = area >= settings.min_area
        pairs += [(place, truth, overlap) for truth, overlap in own]
    # As in `fuse_instances`, and the metric ranks them in this order: scores fall, cut at 1 or not.
    scores = np.minimum(asked.scores[there], 1.0)
    numbers = np.cumsum(there) - 1
    found = [pair for pair in pairs if there[pair[0]]]
    overlaps = Overlaps(
        numbers[np.array([place for place, *_ in found], np.int64)],
        np.array([truth for _, truth, _ in found], np.int64),
        np.array([overlap for *_, overlap in found], np.float64),
    )
    return [JudgedImage(scores, matches(overlaps, scores, truths, iou) >= 0) for iou in ious]
