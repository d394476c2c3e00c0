"""Judged detections of many images, ranked once, so that the metric of any of the images takes no sorting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.local.metrics.average_precision import ranked_curve


@dataclass(frozen=True)
class JudgedImage:
    """Fused detections of an image at one IoU threshold, best first.

    Attributes:
        scores: float64 (n,).
        correct: bool (n,), whether each found an instance of the truth that none before it had found.
    """

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class RankedDetections:
    """Detections of several images at one IoU threshold, by falling score; of equal ones the first image's.

    Attributes:
        rows: (n,) unsigned, number of the image, of the smallest type.
        scores: float64 (n,).
        correct: bool (n,).
    """

    rows: NDArray[np.unsignedinteger[Any]]
    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]

    def of(self, kept_N: NDArray[np.bool_]) -> RankedDetections:
        """Return the detections of some images."""
        kept = kept_N[self.rows]
        return RankedDetections(self.rows[kept], self.scores[kept], self.correct[kept])


@dataclass(frozen=True)
class Ranking:
    """What one way to fuse found in some images.

    Attributes:
        rows_N: bool (N,), the images, of N in all.
        at: the detections at each IoU threshold of the metric.
    """

    rows_N: NDArray[np.bool_]  # noqa: N815
    at: tuple[RankedDetections, ...]

    @property
    def nbytes(self) -> int:
        """Bytes in memory; of arrays that thresholds share, each counts."""
        return sum(one.rows.nbytes + one.scores.nbytes + one.correct.nbytes for one in self.at)


def ranked(images: Mapping[int, Sequence[JudgedImage]], count: int, thresholds: int) -> Ranking:
    """Rank the detections of some images.

    Args:
        images: number of the image -> its detections at each threshold.
        count: images in all.
        thresholds: of the metric.
    """
    present = sorted(images)
    rows_N = np.zeros(count, bool)
    rows_N[present] = True
    at = []
    for place in range(thresholds):
        judged = [images[row][place] for row in present]
        rows = np.repeat(np.array(present, np.min_scalar_type(count)), [len(one.scores) for one in judged])
        scores = np.concatenate([np.zeros(0), *(one.scores for one in judged)])
        correct = np.concatenate([np.zeros(0, bool), *(one.correct for one in judged)])
        at.append(_sorted(RankedDetections(rows, scores, correct)))
    return Ranking(rows_N, tuple(at))


def joined(rankings: Sequence[Ranking]) -> Ranking:
    """Return what was found in several sets of images, none of them in two."""
    if len(rankings) == 1:
        return rankings[0]
    at = [
        _sorted(
            RankedDetections(
                np.concatenate([one.rows for one in of_threshold]),
                np.concatenate([one.scores for one in of_threshold]),
                np.concatenate([one.correct for one in of_threshold]),
            )
        )
        for of_threshold in zip(*(ranking.at for ranking in rankings), strict=True)
    ]
    return Ranking(np.any([ranking.rows_N for ranking in rankings], axis=0), tuple(at))


def _sorted(found: RankedDetections) -> RankedDetections:
    # By falling score, then by image; within an image, equal scores keep their order.
    order = np.lexsort((found.rows, -found.scores))
    return RankedDetections(found.rows[order], found.scores[order], found.correct[order])


def average_precision(ranking: Ranking, truths_N: NDArray[np.int64]) -> float:
    """Return the mean over the thresholds of the average precision of all images of a ranking.

    Args:
        ranking: of the images that count.
        truths_N: (N,), true instances of each image.
    """
    truths = int(truths_N[ranking.rows_N].sum())
    curves = [ranked_curve(one.scores, one.correct, truths) for one in ranking.at]
    return float(np.mean([curve.average_precision for curve in curves]))


def of_images(ranking: Ranking, kept_N: NDArray[np.bool_]) -> Ranking:
    """Return what was found in some of the images."""
    kept_N = ranking.rows_N & kept_N
    return Ranking(kept_N, tuple(one.of(kept_N) for one in ranking.at))
